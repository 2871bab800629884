"""Voxels that are longer along one axis than along others: which axes are coarse, and where a network treats them so.

Slices of a heart are 5 to 10 mm apart and their pixels 1.5 mm wide. A cube of 3 × 3 × 3 such voxels is no
neighbourhood, so that a network leaves the coarse axis alone until its maps are as coarse along the others (Isensee et
al. 2021, nnU-Net, has a like rule).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

COARSE = 2.0
"""An axis is coarse where a voxel is more than so many times as long along it as along the finest axis."""

_LEAST_MAP = 4  # voxels along an axis of the lowest maps


def coarse_axes(spacing: Sequence[float]) -> tuple[bool, ...]:
    """Of each axis whether it is coarse; spacing: the length of a voxel along each, in any unit.

    >>> coarse_axes((5.0, 1.5, 1.5)), coarse_axes((3.0, 1.5, 1.5))
    ((True, False, False), (False, False, False))
    """
    return tuple(length > COARSE * min(spacing) for length in spacing)


def flat_levels(spacing: Sequence[float], shape: Sequence[int], depth: int) -> tuple[int, ...]:
    """Of each axis at how many levels of a U of this depth, from the top, it is left alone: neither pooled after them
    nor convolved along in them.

    That is while it is coarse beside the voxels of that level, which double along the others; and as long as is needed
    for a volume of this shape to keep four voxels in the lowest maps.

    >>> flat_levels((5.0, 1.5, 1.5), (32, 256, 256), depth=3)
    (1, 0, 0)
    >>> flat_levels((1.0, 1.0, 1.0), (10, 256, 256), depth=3)
    (2, 0, 0)
    """
    return tuple(
        max(_coarse_for(length / min(spacing), depth), depth - _poolings_of(size))
        for length, size in zip(spacing, shape, strict=True)
    )


def _coarse_for(ratio: float, depth: int) -> int:
    return next(level for level in range(depth + 1) if level == depth or ratio <= COARSE * 2**level)


def _poolings_of(size: int) -> int:
    """How often an axis can be halved before it has fewer than the least number of voxels."""
    return max(0, int(math.log2(max(1, size) / _LEAST_MAP))) if size >= _LEAST_MAP else 0
