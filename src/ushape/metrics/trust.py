"""An answer without its truth → how good it should be, by its own probabilities: images can be sorted by it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ExpectedDice:
    """Sums over pixels, which add: of each class its pixels in the mask, the probability in them and that everywhere.

    Were every pixel right with its own probability, 2·inside / (found + everywhere) would be the class's Dice but for
    the luck of single pixels.
    """

    found: NDArray[np.float64]
    inside: NDArray[np.float64]
    everywhere: NDArray[np.float64]

    @staticmethod
    def none(classes: int) -> ExpectedDice:
        """That of no pixel, to add to."""
        return ExpectedDice(*np.zeros((3, classes)))

    @staticmethod
    def of(classes: NDArray[np.uint8], probability: NDArray[np.floating]) -> ExpectedDice:
        """(H, W) class numbers of an answer, and its (K, H, W) probabilities.

        >>> answer, probability = np.array([[0, 1]], np.uint8), np.array([[[1.0, 0.5]], [[0.0, 0.5]]])
        >>> ExpectedDice.of(answer, probability).dice
        0.6666666666666666
        """
        numbers = classes.ravel()
        inside = [np.bincount(numbers, of_class.ravel(), len(probability))[k] for k, of_class in enumerate(probability)]
        everywhere = probability.sum(axis=tuple(range(1, probability.ndim)), dtype=np.float64)
        return ExpectedDice(
            np.bincount(numbers, minlength=len(probability)).astype(float), np.array(inside), everywhere
        )

    def __add__(self, other: ExpectedDice) -> ExpectedDice:
        return ExpectedDice(self.found + other.found, self.inside + other.inside, self.everywhere + other.everywhere)

    @property
    def dice(self) -> float:
        """The mean over the foreground classes that the mask has, 0 … 1; NaN where it has none."""
        has = np.flatnonzero(self.found[1:]) + 1
        expected = 2 * self.inside[has] / (self.found[has] + self.everywhere[has])
        return float(expected.mean()) if has.size else math.nan
