"""Scores of trainings on more and more images → the score to be expected of still more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_LEAST_SLOPE = 1e-6  # of what is missing, in doublings of it for each doubling of the images; below is rounding


def with_twice_as_many(images: Sequence[int], scores: Sequence[float]) -> float | None:
    """The score to be expected of twice the largest number of images; None where more have brought nothing so far, or a
    score is undefined.

    What is missing to 1 falls with a power of the number of images, as far as is known of networks (Hestness et al.
    2017, "Deep Learning Scaling is Predictable, Empirically"); the power is fitted to all scores.

    >>> with_twice_as_many([4, 8, 16], [0.6, 0.8, 0.9])
    0.95
    """
    if np.isnan(scores).any():
        return None
    missing = np.maximum(1 - np.asarray(scores), 1e-6)
    slope, level = np.polyfit(np.log2(images), np.log2(missing), 1)
    if slope > -_LEAST_SLOPE:
        return None
    return round(1 - float(2 ** (level + slope * (math.log2(images[-1]) + 1))), 6)
