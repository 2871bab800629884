"""One slice of cells and membrane: its truth and the probability of the cell class, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError

_ROUNDING = 1e-5  # as in pixels.py: probabilities blended in float32 may leave 0…1 by a few 1e-7


@dataclass(frozen=True, eq=False)
class Slice:
    """(H, W) cells of the truth, (H, W) probability of cells, and the pixels that count; what is ignored is membrane.

    The probability has float32 precision, as Fiji's has, in float64, so that a threshold is not rounded to float32.
    Both lie in memory column by column, as Fiji visits them.
    """

    cells: NDArray[np.bool_]
    probability: NDArray[np.float64]
    pixels: int

    @staticmethod
    def of(
        truth: NDArray[np.bool_] | NDArray[np.integer],
        probability: NDArray[np.floating],
        ignored: NDArray[np.bool_] | None = None,
    ) -> Slice:
        """A truth that is True or 1 in cells; where `ignored` is True, truth and probability may hold anything.

        >>> Slice.of(np.array([[1, 0, 255]]), np.array([[0.5, 0.25, np.nan]]), np.array([[False, False, True]])).pixels
        2
        """
        if truth.ndim != 2:
            raise SizeError(f"The truth of a slice is {truth.shape}; we take (height, width). Give slices one by one.")
        counted = np.ones(truth.shape, dtype=np.bool_) if ignored is None else ~_mask(ignored)
        for name, other in ("probability", probability), ("ignored mask", counted):
            if other.shape != truth.shape:
                raise SizeError(
                    f"The truth is {truth.shape} and the {name} {other.shape}; give both on the same pixels, unscaled."
                )
        cells, unit = np.zeros(truth.shape, dtype=np.bool_), np.zeros(truth.shape)
        cells[counted] = _zeros_and_ones(truth[counted])
        unit[counted] = _within_unit_interval(probability[counted])
        return Slice(np.asfortranarray(cells), np.asfortranarray(unit), int(np.count_nonzero(counted)))


def _mask(ignored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if ignored.dtype != np.bool_:
        raise ImageError(f"The ignored mask is {ignored.dtype}; we take booleans. Give `class_map == IGNORED`.")
    return ignored


def _zeros_and_ones(truth: NDArray[np.bool_] | NDArray[np.integer]) -> NDArray[np.bool_]:
    if truth.dtype != np.bool_ and not np.issubdtype(truth.dtype, np.integer):
        raise ImageError(
            f"The truth is {truth.dtype}; we take booleans, or whole numbers 0 and 1. Give `class_map == number`."
        )
    foreign = truth[(truth != 0) & (truth != 1)]
    if foreign.size:
        raise ImageError(
            f"The truth holds {foreign[0]} ({foreign.size} pixels neither 0 nor 1); we take True or 1 in cells, False "
            "or 0 on membrane. Give `class_map == number`, and ignored pixels as a mask."
        )
    return truth.astype(np.bool_)


def _within_unit_interval(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    if not np.issubdtype(probability.dtype, np.floating):
        raise ImageError(
            f"The probability is {probability.dtype}; we take real numbers, 0 to 1. Divide bytes by 255, "
            "give a mask as float32."
        )
    outside = ~((probability >= -_ROUNDING) & (probability <= 1 + _ROUNDING))  # so that NaN is outside
    if outside.any():
        raise ImageError(
            f"{int(outside.sum())} of {probability.size} probabilities are not within 0 to 1, such as "
            f"{probability[outside][0]}; give labels.probability(logits), not the logits."
        )
    unit: NDArray[np.float32] = np.clip(probability, 0, 1).astype(np.float32)
    return unit
