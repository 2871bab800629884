"""Random pixels of random classes of an image, from a count per row instead of a list of all pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ushape.labels import IGNORED


class ClassPixels:
    """Of an (H, W) uint8 class map, or (D, H, W): the classes that it has, background included, and where they are.

    annotated: the share of pixels that are not IGNORED.

    >>> ClassPixels(torch.tensor([[0, 2, 255, 255]], dtype=torch.uint8)).present
    (0, 2)
    """

    def __init__(self, classes: Tensor) -> None:
        self._shape, self._classes = classes.shape, classes.reshape(-1, classes.shape[-1])
        counts = torch.bincount(classes.flatten(), minlength=IGNORED + 1)[:IGNORED]
        self.present = tuple(int(number) for number in counts.nonzero())
        self.annotated = float(counts.sum()) / max(1, classes.numel())
        self._up_to_row = {number: (self._classes == number).sum(1).cumsum(0).cpu() for number in self.present}

    @property
    def foreground(self) -> tuple[int, ...]:
        """The classes present, but for the background."""
        return tuple(number for number in self.present if number != 0)

    def draw(self, classes: tuple[int, ...], generator: torch.Generator) -> tuple[int, ...]:
        """(y, x) of a pixel, (z, y, x) of a voxel: each of these classes, which are present, is as probable, and so is
        each of its pixels.
        """
        number = classes[integer_below(len(classes), generator)]
        up_to_row = self._up_to_row[number]
        rank = integer_below(int(up_to_row[-1]), generator)
        row = int(torch.searchsorted(up_to_row, rank, right=True))
        before = int(up_to_row[row - 1]) if row > 0 else 0
        column = int((self._classes[row] == number).nonzero()[rank - before])
        return *(int(place) for place in np.unravel_index(row, self._shape[:-1])), column


def integer_below(stop: int, generator: torch.Generator) -> int:
    """A whole number from 0 up, each as probable."""
    return int(torch.randint(stop, (1,), generator=generator))
