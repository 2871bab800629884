"""The proof that goes before every export: the file's answers are those of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ushape.engines.agreement import Agreement, agreement, noise
from ushape.engines.engine import Network
from ushape.errors import ExportError
from ushape.models.segmenter import Segmenter

Session = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(1, C, H, W) normalised image → (1, K, h, w) logits, by the library that the file is for."""

_STEPS = ((0, 3), (5, 2), (4, 7))  # above the smallest legal input, of its heights and widths: none is square


@dataclass(frozen=True)
class Compared:
    """One input of a legal size, in the exported file and in PyTorch."""

    height: int
    width: int
    agreement: Agreement

    def in_words(self) -> str:
        return f"{self.height} x {self.width}: {self.agreement.in_words()}"


def prove(model: Segmenter, session: Session, name: str) -> tuple[Compared, ...]:
    """The figures for several legal sizes, by the network as it is, in float32; ExportError where any is too large."""
    found = tuple(_compared(model, session, height, width) for height, width in sizes(model))
    if not all(compared.agreement.holds for compared in found):
        raise ExportError(
            f"{name} is not written: read back, it is another network than this one ("
            f"{'; '.join(compared.in_words() for compared in found)}). Please report it, and predict with "
            "`ushape predict --engine torch` meanwhile."
        )
    return found


def sizes(model: Segmenter) -> Sequence[tuple[int, int]]:
    """Heights and widths of the proof."""
    smallest, multiple = model.footprint.smallest_input, model.footprint.multiple
    return [(smallest + rows * multiple, smallest + columns * multiple) for rows, columns in _STEPS]


def _compared(model: Segmenter, session: Session, height: int, width: int) -> Compared:
    x = noise(model, height, width)
    with torch.inference_mode():
        ours = Network(model)(x.to(model.device)).cpu()
    return Compared(height, width, agreement(ours, torch.from_numpy(session(x.numpy()))))
