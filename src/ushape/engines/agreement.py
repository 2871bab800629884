"""Whether another computation of a network gives what PyTorch gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ushape.labels import per_class
from ushape.models.segmenter import Segmenter

LARGEST_DIFFERENCE = 1e-4
"""In standard deviations of the logits: float32, summed in another order, differs by some 1e-6."""
_SMALLEST_DEVIATION = 1e-6
_MOST_FLIPPED = 1e-5  # share of the pixels: those whose classes are equally probable but for rounding


@dataclass(frozen=True)
class Agreement:
    """Of the logits of one input. difference: the largest, in standard deviations of PyTorch's logits.

    flipped: pixels for which another class is the most probable, of so many pixels.
    """

    difference: float
    flipped: int
    pixels: int

    @property
    def holds(self) -> bool:
        return self.difference <= LARGEST_DIFFERENCE and self.flipped <= _MOST_FLIPPED * self.pixels

    def in_words(self) -> str:
        return f"differs by {self.difference:.1e} of the spread of the logits, {self.flipped} of {self.pixels} labels"


def agreement(ours: Tensor, theirs: Tensor) -> Agreement:
    """Of two (1, K, h, w) logits; logits of another shape, or that are no numbers, differ infinitely."""
    pixels = ours.shape[-2] * ours.shape[-1]
    if ours.shape != theirs.shape or not bool(theirs.isfinite().all()):
        return Agreement(float("inf"), pixels, pixels)
    spread = max(float(ours.std()), _SMALLEST_DEVIATION)
    flipped = per_class(ours).argmax(dim=1) != per_class(theirs).argmax(dim=1)
    return Agreement(float((ours - theirs).abs().max()) / spread, int(flipped.sum()), pixels)


def noise(model: Segmenter, height: int, width: int) -> Tensor:
    """(1, C, height, width) with mean 0 and deviation 1, as images are after their intensity; always the same."""
    generator = torch.Generator().manual_seed(height * 2**16 + width)
    return torch.randn(1, model.in_channels, height, width, generator=generator)
