"""Smaller and smaller copies of a mask or a map, by which viewers show what is too large to be shown whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_SIDE = 512
"""The last copy is the first that is no longer than this on any side: one tile, which a viewer reads at once."""


def levels_of(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """(height, width) of all levels, the full size first, each half as large as the one before.

    >>> levels_of((1500, 700))
    [(1500, 700), (750, 350), (375, 175)]
    """
    levels = [shape]
    while max(levels[-1]) > SMALLEST_SIDE:
        height, width = levels[-1]
        levels.append((-(-height // 2), -(-width // 2)))
    return levels


def halved(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """(h, w) or (h, w, C) → half of it, rounded up. A last odd row or column counts twice.

    Floats become the mean of 2 × 2 pixels. Integers are numbers of classes or objects, or colours of classes: the most
    frequent of the four, the first of equals, so that no number comes up that was not there.

    >>> halved(np.array([[1, 2, 9], [2, 3, 9]])).tolist()
    [[2, 9]]
    """
    edges = [(0, n % 2) for n in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    even = np.pad(pixels, edges, mode="edge") if pixels.shape[0] % 2 or pixels.shape[1] % 2 else pixels
    a, b, c, d = even[::2, ::2], even[::2, 1::2], even[1::2, ::2], even[1::2, 1::2]
    if pixels.dtype.kind == "f":
        mean: NDArray[np.generic] = np.stack((a, b, c, d)).astype(np.float64).mean(axis=0).astype(pixels.dtype)
        return mean
    first = _equal(a, b) | _equal(a, c) | _equal(a, d)
    second = ~first & (_equal(b, c) | _equal(b, d))
    third = ~(first | second) & _equal(c, d)
    return np.where(second, b, np.where(third, c, a))


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.bool_]:
    """(h, w), or (h, w, 1) of colours, which are equal in all channels or not."""
    same: NDArray[np.bool_] = np.asarray(one == other)
    return same if same.ndim == 2 else np.logical_and.reduce(same, axis=-1, keepdims=True)
