"""What the classes are: their names, mask values and colours, and how logits become probabilities and masks.

Softmax, its temperature, the decision between classes and the ignored value live here and nowhere else.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import entr
from torch import Tensor

IGNORED = 255
"""The number in a class map whose pixels count nowhere: not in the loss, the scores, or the statistics."""

_FOREGROUND_HUES = (0.09, 0.55, 0.36, 0.83, 0.16, 0.70, 0.00, 0.47)


@dataclass(frozen=True)
class Labels:
    """Exclusive classes, the background first.

    names: one per class. values: what each class is called in the user's mask files, in the same order.
    ignored_values: mask values that mean "do not look here". coloured: mask files are RGB and values are 0xRRGGBB.
    temperature: what logits are divided by, so that the network is as sure as it is right; fitted after its training.

    >>> Labels(("membrane", "cell"), (0, 255)).encode(np.array([[0, 255]])).tolist()
    [[0, 1]]
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    ignored_values: tuple[int, ...] = field(default=())
    coloured: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.values) == len(set(self.values)), self
        assert 1 <= len(self.names) < IGNORED, self
        assert 0 < self.temperature < math.inf, self

    @property
    def classes(self) -> int:
        return len(self.names)

    @property
    def foreground(self) -> range:
        """All classes but the first, which is the background."""
        return range(1, self.classes)

    @property
    def mask_dtype(self) -> np.dtype[np.generic]:
        """The smallest unsigned type that holds every value of a mask file (uint8 per channel for coloured masks)."""
        return np.dtype(np.uint8) if self.coloured else np.min_scalar_type(max(self.values))

    @property
    def unknown(self) -> NDArray[np.integer]:
        """The value, () or (3,), of pixels in a mask of which nothing is known: an ignored one, else the background's.

        >>> int(Labels(("a", "b"), (1, 2), ignored_values=(0,)).unknown), int(Labels(("a", "b"), (0, 255)).unknown)
        (0, 0)
        """
        most = 0xFFFFFF if self.coloured else np.iinfo(self.mask_dtype).max  # type: ignore[type-var]
        value = next((value for value in self.ignored_values if 0 <= value <= most), self.values[0])
        stored = [value >> 16 & 255, value >> 8 & 255, value & 255] if self.coloured else value
        return np.array(stored, dtype=self.mask_dtype)

    def encode(self, mask: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(H, W) mask values → (H, W) class numbers; ignored values and values of no class become IGNORED."""
        classes = np.full(mask.shape, IGNORED, dtype=np.uint8)
        for number, value in enumerate(self.values):
            classes[mask == value] = number
        return classes

    def decode(self, classes: NDArray[np.uint8]) -> NDArray[np.integer]:
        """(H, W) class numbers → (H, W) mask values, or (H, W, 3) where the user's masks are coloured."""
        values = np.array(self.values, dtype=np.uint32)[classes]
        if self.coloured:
            return np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], axis=-1).astype(np.uint8)
        return values.astype(self.mask_dtype)

    def probability(self, logits: Tensor) -> Tensor:
        """(N, K, h, w) logits → probabilities that sum to 1 over K, in float32 (Section 3 of U-Net 2015: soft-max).

        Of two classes the logits may be one, the foreground's. The temperature makes probabilities flatter (above 1) or
        steeper; which class is the most probable stays as it is. The logarithms of probabilities are logits too.
        """
        logits = logits.float()
        logits = per_class(logits) if self.classes == 2 else logits
        return torch.softmax(logits if self.temperature == 1 else logits / self.temperature, dim=1)

    def untempered(self, probability: NDArray[np.floating]) -> NDArray[np.floating]:
        """(K, h, w) probabilities → what they would be at temperature 1."""
        if self.temperature == 1:
            return probability
        powers = (probability / probability.max(axis=0)) ** self.temperature
        before: NDArray[np.floating] = powers / powers.sum(axis=0)
        return before

    def uncertainty(self, probability: NDArray[np.floating]) -> NDArray[np.float32]:
        """(K, h, w) probabilities → (h, w): 0 where one class is certain, 1 where all are equally probable.

        Their entropy, divided by its largest value, ln K.

        >>> Labels(("a", "b"), (0, 1)).uncertainty(np.array([[[0.5, 1.0]], [[0.5, 0.0]]])).tolist()
        [[1.0, 0.0]]
        """
        entropy = entr(probability).sum(axis=0) / math.log(max(2, self.classes))
        uncertainty: NDArray[np.float32] = np.clip(entropy, 0, 1).astype(np.float32)
        return uncertainty

    def decide(self, probability: NDArray[np.floating]) -> NDArray[np.uint8]:
        """(K, h, w) probabilities → (h, w) class numbers: the most probable class, the first of equals."""
        numbers: NDArray[np.uint8] = probability.argmax(axis=0).astype(np.uint8)
        return numbers

    def colour(self, number: int) -> tuple[int, int, int]:
        """An (r, g, b) to draw this class with; the user's own where masks are coloured, black for the background."""
        if self.coloured:
            value = self.values[number]
            return value >> 16 & 255, value >> 8 & 255, value & 255
        if number == 0:
            return 0, 0, 0
        r, g, b = colorsys.hsv_to_rgb(_FOREGROUND_HUES[(number - 1) % len(_FOREGROUND_HUES)], 0.85, 1.0)
        return round(255 * r), round(255 * g), round(255 * b)


def per_class(logits: Tensor) -> Tensor:
    """(N, K, h, w) logits → the same, or (N, 2, h, w) where there is one: it is the foreground's, beside a 0.

    The soft-max of (0, z) is the sigmoid of z, and its cross-entropy the binary one.

    >>> per_class(torch.full((1, 1, 1, 1), 3.0)).flatten().tolist()
    [0.0, 3.0]
    """
    return logits if logits.shape[1] > 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)


def connected_regions(classes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(H, W) class map → the connected regions of its foreground classes, numbered from 1; corners do not connect.

    >>> connected_regions(np.array([[1, 0, 1], [2, 2, 0]], dtype=np.uint8)).tolist()
    [[1, 0, 2], [3, 3, 0]]
    """
    regions = np.zeros(classes.shape, dtype=np.int32)
    for number in np.unique(classes[(classes != 0) & (classes != IGNORED)]):
        parts, _ = ndimage.label(classes == number)
        regions[parts > 0] = parts[parts > 0] + regions.max()
    return regions
