"""One object's mask and the probabilities given to it, on the same pixels: what saliency scores are taken of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError

_BEYOND = 1e-5  # probabilities blended in float32 may leave 0…1 by a few 1e-7; further out they are something else


@dataclass(frozen=True, eq=False)
class ForegroundMap:
    """truth: bool (H, W). probability: float64 (H, W) in 0…1. Where ignored, both are 0; None ignores no pixel."""

    truth: NDArray[np.bool_]
    probability: NDArray[np.float64]
    ignored: NDArray[np.bool_] | None = None

    @staticmethod
    def of(
        truth: NDArray[np.bool_], probability: NDArray[np.floating], ignored: NDArray[np.bool_] | None = None
    ) -> ForegroundMap:
        """Takes any floating type, and any value at ignored pixels.

        >>> ForegroundMap.of(np.array([[False, True]]), np.array([[0.25, 0.5]])).stretched().probability
        array([[0., 1.]])
        """
        _check_mask("truth", truth, truth)
        if truth.ndim != 2:
            raise SizeError(f"The truth is {truth.shape}; saliency is scored image by image, as (height, width).")
        if probability.shape != truth.shape:
            raise SizeError(
                f"The truth is {truth.shape} and the probability {probability.shape}; give both on the same pixels."
            )
        if ignored is not None:
            _check_mask("mask of ignored pixels", ignored, truth)
        if not truth.size or (ignored is not None and ignored.all()):
            raise ImageError(f"None of {truth.size} pixels counts; leave this image out.")
        if ignored is None or not ignored.any():
            return ForegroundMap(truth, _within_unit_interval(probability))
        return ForegroundMap(truth & ~ignored, _within_unit_interval(np.where(ignored, 0, probability)), ignored)

    def stretched(self) -> ForegroundMap:
        """With the lowest counted probability at 0 and the highest at 1; as it is where they are equal."""
        counted = self.pixels()[1]
        low, high = counted.min(), counted.max()
        if low == high:
            return self
        probability = (self.probability - low) / (high - low)
        if self.ignored is not None:
            probability[self.ignored] = 0
        return ForegroundMap(self.truth, probability, self.ignored)

    def pixels(
        self, rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """(counted,) truth and probability of a window of the image, row by row."""
        truth, probability = self.truth[rows, columns], self.probability[rows, columns]
        if self.ignored is None:
            return truth.ravel(), probability.ravel()
        counted = ~self.ignored[rows, columns]
        return truth[counted], probability[counted]


def _within_unit_interval(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    if probability.min() >= 0 and probability.max() <= 1:  # not so where one is NaN
        return probability.astype(np.float64, copy=False)
    outside = ~((probability >= -_BEYOND) & (probability <= 1 + _BEYOND))
    if outside.any():
        raise ImageError(
            f"{int(outside.sum())} of {probability.size} probabilities are not within 0 to 1, such as "
            f"{probability[outside][0]}; give labels.probability(logits), not the logits, and 8-bit maps over 255."
        )
    return np.clip(probability.astype(np.float64), 0, 1)


def _check_mask(name: str, mask: NDArray[np.generic], truth: NDArray[np.bool_]) -> None:
    if mask.dtype != np.bool_:
        raise ImageError(
            f"The {name} is {mask.dtype}; we take booleans. Give `class_map == number`, or `class_map == IGNORED` for "
            "what does not count."
        )
    if mask.shape != truth.shape:
        raise SizeError(f"The truth is {truth.shape} and the {name} {mask.shape}; give both on the same pixels.")
