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
        rim = slice(self.reach_px, classes.shape[-1] - self.reach_px)
        asked, weights = self.everywhere(classes, objects)
        return asked[:, rim, rim], None if weights is None else weights[:, rim, rim]

    def everywhere(self, classes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, H, W) classes and objects → the same of all pixels, as if nothing lay beyond them."""
        known, numbers = classes.cpu().numpy(), objects.cpu().numpy()
        ignored = known == IGNORED
        if self.apart:
            numbers = separated(numbers)
            known = np.where(ignored, known, numbers > 0).astype(np.uint8)
        asked = torch.from_numpy(known).to(classes.device)
        if self.borders is None:
            return asked, None
        return asked, torch.from_numpy(self._weights(self.borders, known, numbers, ignored)).to(classes.device)

    def _weights(
        self, form: BorderForm, known: NDArray[np.uint8], numbers: NDArray[np.integer], ignored: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        if form == "unet-2019":
            return border_weights(numbers, form=form, ignored=ignored)
        borders = border_weights(numbers, form=form, class_weights=(0.0, 0.0), ignored=ignored)
        of_class = np.zeros(IGNORED + 1, dtype=np.float32)
        of_class[: len(self.class_weights)] = self.class_weights
        return borders + of_class[known]
