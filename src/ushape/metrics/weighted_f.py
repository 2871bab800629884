"""Weighted F-measure: errors matter by where they lie (Margolin, Zelnik-Manor, Tal, CVPR 2014), β = 1."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ushape.metrics.foreground import ForegroundMap

_REACH_PX = 3  # a Gaussian of σ = 5 px on 7 × 7 pixels
_GAUSSIAN = np.exp(-0.5 * (np.arange(-_REACH_PX, _REACH_PX + 1) / 5.0) ** 2)
_GAUSSIAN /= _GAUSSIAN.sum()
_HALF_LIFE_PX = 5.0
_EPSILON = float(np.finfo(np.float64).eps)


def weighted_f(foreground: ForegroundMap) -> float:
    """0 to 1; 0 without a true pixel.

    A miss among hits counts less, by the mean error around it (section 4.1). A false alarm counts once beside the
    object and up to twice far from it (section 4.2).

    >>> round(weighted_f(ForegroundMap.of(np.eye(4, dtype=bool), np.eye(4))), 12)
    1.0
    """
    truth = foreground.truth
    if not truth.any():
        return 0.0
    error = np.abs(foreground.probability - truth)
    y, x = ndimage.distance_transform_edt(~truth, return_distances=False, return_indices=True)

    around = tuple(slice(max(0, side.start - _REACH_PX), side.stop + _REACH_PX) for side in _box(truth))
    spread = error[y[around], x[around]]  # outside the object, the error of its nearest pixel
    if foreground.ignored is not None:
        spread[foreground.ignored[around]] = 0
    for axis in (0, 1):
        spread = ndimage.correlate1d(spread, _GAUSSIAN, axis=axis, mode="constant")
    inside = truth[around]
    missed = np.minimum(error[around][inside], spread[inside])

    rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
    distance = np.sqrt((y - rows) ** 2 + (x - columns) ** 2)
    importance = 2 - np.exp2(-distance / _HALF_LIFE_PX)
    false_alarms = float(np.vdot(importance, np.where(truth, 0, error)))

    hits = float(missed.size - missed.sum())
    recall, precision = hits / missed.size, hits / (hits + false_alarms + _EPSILON)
    return float(2 * precision * recall / (precision + recall + _EPSILON))


def _box(truth: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[slice, ...]:
    box: tuple[slice, ...] = ndimage.find_objects(truth.view(np.uint8))[0]
    return box
