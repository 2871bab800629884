"""The type of a volume's pixels: 8 bits stay 8 bits, all else becomes float32.

Scanners and converters store the same values as 16-bit integers with or without a sign, scaled by a slope and an
intercept, or as floats. These are ways to write a number down, so that a network takes them all alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError

LARGEST_EXACT = 1 << 24
"""Whole numbers beyond this one are not all float32's."""


def voxel_type(stored: np.dtype[np.generic], *, scaled: bool) -> np.dtype[np.generic]:
    """uint8 for uint8 as it is stored, else float32.

    >>> voxel_type(np.dtype(np.uint8), scaled=False), voxel_type(np.dtype(np.int16), scaled=False)
    (dtype('uint8'), dtype('float32'))
    """
    return np.dtype(np.uint8 if stored == np.uint8 and not scaled else np.float32)


def as_voxels(
    stored: NDArray[np.generic], slope: float, intercept: float, dtype: np.dtype[np.generic], path: Path
) -> NDArray[np.generic]:
    """Stored numbers × slope + intercept, as `voxel_type` has it; a new array.

    Raises ImageError for whole numbers that float32 cannot hold.
    """
    if (slope, intercept) != (1, 0):
        return (stored.astype(np.float64) * slope + intercept).astype(dtype)
    if stored.dtype.kind in "iu" and stored.dtype.itemsize > 2 and stored.size:
        largest = max(abs(int(stored.max())), abs(int(stored.min())))
        if largest > LARGEST_EXACT:
            raise ImageError(
                f"{path} holds whole numbers up to {largest}; we read those up to {LARGEST_EXACT} exactly, and no "
                "larger ones. Number objects from 1 up, or save measured values as floats."
            )
    return stored.astype(dtype)
