"""The fastest engine for a network on this machine, by its own clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ushape.device import Precision
from ushape.engines.agreement import agreement, noise
from ushape.engines.engine import ENGINES, Engine, EngineName, build
from ushape.errors import ExportError, MissingExtra
from ushape.freed_memory import keeping_freed_memory
from ushape.models.segmenter import Segmenter

_LARGEST_MEASURED = 512  # pixels a side: what is fastest there is fastest on larger tiles too
_PASSES = 2  # after one that prepares: the shortest counts


@dataclass(frozen=True)
class Choice:
    """The engine that was taken, the seconds of a tile's pass by each that agrees, and why others were left out."""

    engine: Engine
    side_px: int
    seconds: Mapping[EngineName, float]
    left_out: Mapping[EngineName, str]

    def in_words(self) -> str:
        """One line.

        >>> from ushape.engines.engine import Network
        >>> from ushape.models.unet import UNet
        >>> Choice(Network(UNet(width=4)), 188, {"torch": 0.5}, {"openvino": "not installed"}).in_words()
        'torch (a tile of 188 px takes 0.500 s by torch; openvino: not installed)'
        """
        taken = ", ".join(f"{seconds:.3f} s by {name}" for name, seconds in self.seconds.items())
        others = "".join(f"; {name}: {reason}" for name, reason in self.left_out.items())
        return f"{self.engine.name} (a tile of {self.side_px} px takes {taken}{others})"


def fastest(
    model: Segmenter, side_px: int, precision: Precision = "float32", *, filter_bytes: int | None = None
) -> Choice:
    """Of the engines that are installed and give what PyTorch gives, the one whose pass over a tile is the shortest.

    side_px: of the tiles to come; larger ones are measured by one of 512 pixels. filter_bytes: as `build` takes them,
    where they are given. On a GPU, and in another precision
    than float32, PyTorch is the only one.
    """
    footprint = model.footprint
    side = min(footprint.nearest_legal(side_px)[1], footprint.input_for(_LARGEST_MEASURED))
    alone = model.device.type != "cpu" or precision != "float32"
    x = noise(model, side, side).to(model.device)
    found: dict[EngineName, Engine] = {}
    seconds: dict[EngineName, float] = {}
    left_out: dict[EngineName, str] = {}
    limits = {} if filter_bytes is None else {"filter_bytes": filter_bytes}
    with torch.inference_mode(), keeping_freed_memory():
        expected = build("torch", model, precision, filter_bytes=0)(x)
        for name in ENGINES[:1] if alone else ENGINES:
            try:
                engine = build(name, model, precision, **limits)
            except MissingExtra:
                left_out[name] = "not installed"
                continue
            except ExportError:
                left_out[name] = "cannot compute this network"
                continue
            agreed = agreement(expected, engine(x))
            if agreed.holds:
                found[name], seconds[name] = engine, min(_seconds(engine, x) for _ in range(_PASSES))
            else:
                left_out[name] = agreed.in_words()
    best = min(seconds, key=lambda name: seconds[name])
    return Choice(found[best], side, seconds, left_out)


def _seconds(engine: Engine, x: torch.Tensor) -> float:
    begin = time.perf_counter()
    float(engine(x).sum())  # reading the number waits for the device
    return time.perf_counter() - begin
