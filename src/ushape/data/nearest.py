"""Weights by the exact distances of each pixel to its nearest object and the second nearest, for all objects in one go.

The usual way is a distance transform for each object, whose time grows with their number. Here a pass along the columns
leaves each pixel the two objects nearest within its column, and a pass along the rows looks from there outwards. Time
grows with the area, times how far a pixel has to look.

All that the compiled functions call is in this file: numba compiles a cached one anew when its own file has changed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_FAR = 1 << 13  # px; stands where there is nothing. Further than any reach may be, and its square fits an int32


class Bell(NamedTuple):
    """height · exp(-distance² / 2σ²), as far as it is worth anything."""

    height: float
    sigma_px: float
    reach_px: float


@njit(cache=True, nogil=True)
def add_bells(
    weights: NDArray[np.float32], numbers: NDArray[np.int32], of_sum: Bell, of_nearest: Bell, rim_px: int
) -> None:
    """Adds to (h, w) weights, where there is no object, of_sum at d_1 + d_2 and of_nearest at d_1.

    d_1, d_2: px to the nearest pixel of the nearest object, and of the second nearest. numbers: (h + 2 rim, w + 2 rim).
    """
    labels, gaps = _nearest_in_columns(numbers)
    for y in range(weights.shape[0]):
        for x in range(weights.shape[1]):
            place = y + rim_px, x + rim_px
            if numbers[place] == 0:
                d1, d2 = _nearest_two(labels, gaps, place, of_sum.reach_px, of_nearest.reach_px)
                weights[y, x] += _at(d1 + d2, of_sum) + _at(d1, of_nearest)


@njit(cache=True, nogil=True)
def _at(distance_px: float, bell: Bell) -> float:
    if distance_px >= bell.reach_px:
        return 0.0
    return bell.height * math.exp(-(distance_px**2) / (2 * bell.sigma_px**2))


@njit(cache=True, nogil=True)
def _nearest_in_columns(numbers: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(H, W) object map → (2, H, W) numbers of the two objects nearest within the column, and how many px they are off.

    Downwards it finds those above, where an object that is met pushes the last one back; upwards the others.
    """
    height, width = numbers.shape
    labels = np.zeros((2, height, width), dtype=np.int32)
    gaps = np.full((2, height, width), _FAR, dtype=np.int32)
    for y in range(height):
        for x in range(width):
            number, position = numbers[y, x], 0
            if number > 0:
                labels[0, y, x], gaps[0, y, x] = number, 0
                position = 1
            for i in range(2):
                if y > 0 and position < 2 and (number == 0 or labels[i, y - 1, x] != number):
                    labels[position, y, x] = labels[i, y - 1, x]
                    gaps[position, y, x] = min(gaps[i, y - 1, x] + 1, _FAR)
                    position += 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            for i in range(2):
                number, gap = labels[i, y + 1, x], gaps[i, y + 1, x] + 1
                if number == labels[0, y, x]:
                    gaps[0, y, x] = min(gap, gaps[0, y, x])
                elif gap < gaps[0, y, x]:
                    labels[1, y, x], gaps[1, y, x] = labels[0, y, x], gaps[0, y, x]
                    labels[0, y, x], gaps[0, y, x] = number, gap
                elif gap < gaps[1, y, x]:
                    labels[1, y, x], gaps[1, y, x] = number, gap
    return labels, gaps


@njit(cache=True, nogil=True)
def _nearest_two(
    labels: NDArray[np.int32],
    gaps: NDArray[np.int32],
    place: tuple[int, int],
    sum_reach_px: float,
    single_reach_px: float,
) -> tuple[float, float]:
    """(y, x) of the background, in what _nearest_in_columns found → (d_1, d_2), px to the nearest two objects, or inf.

    Exact, except that d_2 may be too large where d_1 + d_2 ≥ sum_reach_px, and d_1 where d_1 ≥ single_reach_px as well.

    Two objects per column are enough: a third is no nearer than either, and at best ties with the second. Columns are
    looked at from the pixel outwards. Those from `step` on hold nothing nearer than `step`, so that looking ends
    - where d_2 is no more than that, as neither distance can become less; or
    - where nothing found there could matter: as d_2 it makes a sum of at least d_1 + step, as d_1 one of at least
      2 step, both past sum_reach_px; and it is nearer than the d_1 found only past single_reach_px, or not at all.
    """
    y, x = place
    first, d1, d2, step = 0, _FAR * _FAR, _FAR * _FAR, 0  # squared, until they are returned
    limit = max(sum_reach_px / 2, single_reach_px)
    while step < limit and step * step < d2:
        before = d1
        for column in (x - step, x + step):
            if 0 <= column < labels.shape[2]:
                for i in range(2):
                    d = gaps[i, y, column] ** 2 + step * step
                    if d >= d2:
                        break  # the other of this column is no nearer
                    if labels[i, y, column] == first:
                        d1 = min(d, d1)
                    elif d < d1:
                        first, d1, d2 = labels[i, y, column], d, d1
                    else:
                        d2 = d
        if d1 < before:
            nearest = math.sqrt(d1)
            limit = max(sum_reach_px / 2, sum_reach_px - nearest, min(nearest, single_reach_px))
        step += 1
    return _distance(d1), _distance(d2)


@njit(cache=True, nogil=True)
def _distance(squared: int) -> float:
    return math.sqrt(squared) if squared < _FAR * _FAR else math.inf
