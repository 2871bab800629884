"""What is asked of the network in a patch that was deformed already: classes, and how much each pixel counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushape.data.borders import BorderForm, border_weights, reach_px, separated
from ushape.labels import IGNORED


@dataclass(frozen=True)
class Targets:
    """Classes and weights of patches, from their objects.

    apart: objects are the one foreground class, and where two touch, a line of pixels becomes background, or nobody
        could tell them apart in the answer (U-Net 2015, Section 3). Where not, the classes stay as they are.
    borders: the form of the border weights; None for no weights at all.
    class_weights: w_c, what a pixel of each class weighs on its own; only of the form that leaves it open.
    """

    apart: bool
    borders: BorderForm | None = None
    class_weights: tuple[float, ...] = ()

    @property
    def reach_px(self) -> int:
        """How far beyond the pixels that are asked for objects count."""
        return max(int(self.apart), reach_px(self.borders) if self.borders else 0)

    def of(self, classes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, h + 2·reach, w + 2·reach) classes and objects → (N, h, w) classes, and float32 weights if any."""
        return self._within(self.reach_px, classes, objects)

    def everywhere(self, classes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, H, W) classes and objects → the same of all pixels, as if nothing lay beyond them."""
        return self._within(0, classes, objects)

    def _within(self, rim_px: int, classes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of all pixels but those of the rim."""
        known, numbers = classes.cpu().numpy(), objects.cpu().numpy()
        ignored = known == IGNORED
        if self.apart:
            numbers = separated(numbers)
            known = np.where(ignored, known, numbers > 0).astype(np.uint8)
        inner = slice(rim_px, known.shape[1] - rim_px), slice(rim_px, known.shape[2] - rim_px)
        asked = np.ascontiguousarray(known[:, *inner])
        if self.borders is None:
            return torch.from_numpy(asked).to(classes.device), None
        weights = self._weights(self.borders, asked, numbers, ignored, rim_px)
        return torch.from_numpy(asked).to(classes.device), torch.from_numpy(weights).to(classes.device)

    def _weights(
        self,
        form: BorderForm,
        asked: NDArray[np.uint8],
        numbers: NDArray[np.integer],
        ignored: NDArray[np.bool_],
        rim_px: int,
    ) -> NDArray[np.float32]:
        if form == "unet-2019":
            return border_weights(numbers, form=form, ignored=ignored, rim_px=rim_px)
        borders = border_weights(numbers, form=form, class_weights=(0.0, 0.0), ignored=ignored, rim_px=rim_px)
        of_class = np.zeros(IGNORED + 1, dtype=np.float32)
        of_class[: len(self.class_weights)] = self.class_weights
        return borders + of_class[asked]
