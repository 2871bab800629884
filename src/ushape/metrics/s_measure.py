"""S-measure: how alike a map and a mask are in structure (Fan, Cheng, Liu, Li, Borji, ICCV 2017), α = 0.5."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ushape.metrics.foreground import ForegroundMap

_EPSILON = float(np.finfo(np.float64).eps)


def s_measure(foreground: ForegroundMap) -> float:
    """The mean of likeness by object and by region, 0 to 1.

    Without a true pixel it is 1 less the mean probability, and the mean probability where all pixels are true.

    >>> round(s_measure(ForegroundMap.of(np.eye(4, dtype=bool), np.eye(4))), 12)
    1.0
    """
    truth, probability = foreground.pixels()
    share = float(truth.mean())
    if share == 0:
        return 1 - float(probability.mean())
    if share == 1:
        return float(probability.mean())
    by_object = share * _certainty(probability[truth]) + (1 - share) * _certainty(1 - probability[~truth])
    return max(0.0, (by_object + _by_region(foreground)) / 2)


def _certainty(right: NDArray[np.float64]) -> float:
    """How high and how even the probability of what is right is (equations 3 to 5); 1 where all of it is 1."""
    mean = float(right.mean())
    deviation = float(right.std(ddof=1)) if right.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + deviation + _EPSILON)


def _by_region(foreground: ForegroundMap) -> float:
    """The likeness of the four quarters that meet in the middle of the object, weighted by their pixels (eq. 8)."""
    y, x = (round(float(places.mean())) + 1 for places in np.nonzero(foreground.truth))  # the middle is above, left
    quarters = [
        foreground.pixels(rows, columns)
        for rows in (slice(0, y), slice(y, None))
        for columns in (slice(0, x), slice(x, None))
    ]
    pixels = sum(truth.size for truth, _ in quarters)
    return sum(truth.size / pixels * _likeness(truth, probability) for truth, probability in quarters if truth.size)


def _likeness(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Structural similarity of one region without its constants (eq. 6); 1 where both are flat."""
    x, y = float(probability.mean()), float(truth.mean())
    off_x = probability - x
    variances = (float(off_x @ off_x) + truth.size * y * (1 - y)) / (truth.size - 1 + _EPSILON)
    covariance = float(off_x[truth].sum()) / (truth.size - 1 + _EPSILON)
    shared, own = 4 * x * y * covariance, (x**2 + y**2) * variances
    if shared:
        return shared / (own + _EPSILON)
    return 0.0 if own else 1.0
