"""Probabilities against what is there → how far they hold: of pixels called 80 % sure, 80 % should be right.

A pixel's confidence is the probability of its most probable class. Confidences fall into 15 bins of equal width from 0
to 1, each closed above (Guo et al. 2017). Pixels whose truth is IGNORED count nowhere. What there is of an image:

    ece             expected calibration error: |share of right pixels − mean confidence| of each bin, weighed by pixels
    classwise_ece   the same of each class's own probability against how often the class is there; mean over classes
    brier           sum over classes of (probability − 1 or 0)², mean over pixels: 0 … 2, of two classes twice the
                    square of the foreground alone
    nll             −ln of the probability of the true class, mean over pixels; no probability is below 1.2e-38

All are of sums over pixels, so that those of a folder are of the pixels of all images at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.labels import IGNORED
from ushape.metrics.inputs import require_same_shape

BINS = 15
_LEAST = float(np.finfo(np.float32).tiny)
_ROUNDING = 1e-5  # probabilities of float32 may leave 0 … 1 by a few 1e-7


@dataclass(frozen=True)
class Bin:
    """Pixels of similar confidence: its mean, the share of them that is right, and their share of all pixels."""

    confidence: float
    right: float
    share: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Sums over counted pixels; they add, windows to images and images to folders.

    bins: (1 + K, 3, BINS), first of confidences, then of each class's probability: pixels, how many of them are right
    (or of the class), and the sum of their confidences (or probabilities). squares, surprise: of all pixels.
    """

    bins: NDArray[np.float64]
    squares: float = 0.0
    surprise: float = 0.0

    @staticmethod
    def none(classes: int) -> Calibration:
        """That of no pixel, to add to."""
        return Calibration(np.zeros((1 + classes, 3, BINS)))

    @staticmethod
    def of(truth: NDArray[np.integer], probability: NDArray[np.floating]) -> Calibration:
        """(H, W) class numbers, IGNORED where nothing counts, and (K, H, W) probabilities.

        >>> Calibration.of(np.array([[0, 1]]), np.array([[[0.75, 0.75]], [[0.25, 0.25]]])).scores()["ece"]
        0.25
        """
        require_same_shape("truth", truth, "probability of a class", probability[0])
        counted = truth != IGNORED
        wanted, found = truth[counted].astype(np.intp), probability[:, counted].astype(np.float64)
        _require_fit(wanted, found)
        of_true = np.take_along_axis(found, wanted[None], axis=0)[0]
        rows = [_binned(found.max(axis=0, initial=0), found.argmax(axis=0) == wanted)]
        rows += [_binned(of_class, wanted == k) for k, of_class in enumerate(found)]
        squares = float((found**2).sum() - 2 * of_true.sum() + of_true.size)
        return Calibration(np.stack(rows), squares, float(-np.log(np.maximum(of_true, _LEAST)).sum()))

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(self.bins + other.bins, self.squares + other.squares, self.surprise + other.surprise)

    @property
    def pixels(self) -> int:
        return int(self.bins[0, 0].sum())

    @property
    def ece(self) -> float:
        """Expected calibration error, 0 … 1; NaN where no pixel counts."""
        return self.scores()["ece"]

    def scores(self) -> dict[str, float]:
        """The four of them by name; NaN where no pixel counts."""
        pixels = self.pixels or math.nan
        errors = np.abs(self.bins[:, 1] - self.bins[:, 2]).sum(axis=1) / pixels
        return {
            "ece": float(errors[0]),
            "classwise_ece": float(errors[1:].mean()),
            "brier": self.squares / pixels,
            "nll": self.surprise / pixels,
        }

    def reliability(self) -> list[Bin]:
        """The bins of confidence that have pixels, the least sure first."""
        pixels, right, confidence = self.bins[0]
        return [
            Bin(float(confidence[n] / pixels[n]), float(right[n] / pixels[n]), float(pixels[n] / self.pixels))
            for n in np.flatnonzero(pixels)
        ]


def _binned(promised: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(3, BINS): pixels, kept ones and the sum of what was promised, by what was promised."""
    number = np.clip(np.ceil(promised * BINS) - 1, 0, BINS - 1).astype(np.intp)
    return np.stack([np.bincount(number, weights, BINS) for weights in (np.ones(len(number)), kept, promised)])


def _require_fit(wanted: NDArray[np.intp], found: NDArray[np.float64]) -> None:
    """ImageError where values are no probabilities, or the truth has a class without one."""
    outside = ~((found >= -_ROUNDING) & (found <= 1 + _ROUNDING))  # so that NaN is outside
    if outside.any():
        raise ImageError(
            f"{int(outside.sum())} of {found.size} probabilities are not within 0 to 1, such as {found[outside][0]}; "
            "give labels.probability(logits), not the logits."
        )
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(found):
        foreign = wanted.max() if wanted.max() >= len(found) else wanted.min()
        raise ImageError(
            f"The truth holds class {foreign}, but there are probabilities of the {len(found)} classes from 0 to "
            f"{len(found) - 1}. Map mask values to class numbers with Labels.encode."
        )
