"""A mask → codes of the corners where its pixels meet; a code and the size of a pixel → the area of surface there.

A corner of the pixel grid touches 2 × 2 × 2 voxels, whose centres span a cube. Between centres inside the mask and
centres outside runs a surface (marching cubes; Lorensen and Cline 1987), which is derived here, not tabled:

1.  It cuts every edge of the cube that joins inside to outside in its middle.
2.  Each group of inside centres joined by edges is cut off alone. Where more than half of the centres are inside, it is
    the groups of outside centres that are cut off.
3.  The cuts around one group follow each other from face to face of the cube in one loop of 3 to 6 points. The surface
    is the triangulation of that loop that is largest in the unit cube. Triangulations that tie have the same area in
    voxels of any shape.

This gives all 256 areas of DeepMind's surface-distance (Nikolov et al. 2018). In the plane, the length of a contour is
the area of the wall of height 1 that stands on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AXES = 3
"""Masks have at most as many axes."""

_CENTRES = list(product((0, 1), repeat=AXES))
_BIT = {centre: 1 << number for number, centre in enumerate(_CENTRES)}
_ALL = (1 << len(_CENTRES)) - 1
_MOST_TRIANGLES = 4


def corner_codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(D, H, W) or fewer axes → (D + 1, H + 1, W + 1) codes, 0 outside the mask, 255 inside, others on its surface.

    >>> corner_codes(np.array([True, True]))
    array([240, 255,  15], dtype=uint8)
    """
    bounded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([length + 1 for length in mask.shape], dtype=np.uint8)
    for centre in product((0, 1), repeat=mask.ndim):
        bits = sum(bit for of_cube, bit in _BIT.items() if of_cube[: mask.ndim] == centre)
        neighbour = tuple(slice(first, first + length) for first, length in zip(centre, codes.shape, strict=True))
        codes |= bounded[neighbour] * np.uint8(bits)
    return codes


def on_surface(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a corner has both inside and outside around it."""
    between: NDArray[np.bool_] = (codes != 0) & (codes != _ALL)
    return between


def areas(spacing: Sequence[float]) -> NDArray[np.float64]:
    """(256,) the area of surface at a corner by its code; a length for two axes, a number of ends for one.

    >>> areas((3, 4))[corner_codes(np.ones((1, 1), dtype=bool))].round(9).tolist()
    [[2.5, 2.5], [2.5, 2.5]]
    """
    sides = np.array([*spacing, *[1.0] * (AXES - len(spacing))])
    across = sides.prod() / sides  # an area that faces an axis grows with the two other sides
    total: NDArray[np.float64] = np.linalg.norm(_surfels() * across, axis=-1).sum(axis=-1)
    return total


@cache
def _surfels() -> NDArray[np.float64]:
    """(256, 4, 3) the triangles of each code: vectors across them, as long as their area in the unit cube."""
    surfels = np.zeros((_ALL + 1, _MOST_TRIANGLES, AXES))
    for code in range(1, _ALL):
        inside = np.array([bool(code & bit) for bit in _BIT.values()]).reshape([2] * AXES)
        if 2 * inside.sum() <= inside.size:
            groups, count = ndimage.label(inside)
            found = np.concatenate([_largest_surface(_cuts(groups == group)) for group in range(1, count + 1)])
            surfels[code, : len(found)] = found
    fuller = ~surfels.any(axis=(1, 2))
    surfels[fuller] = surfels[::-1][fuller]  # the code of the complement is 255 less the code
    return surfels


def _cuts(group: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(cuts, 3) the middles of the cube's edges that leave a group of centres, in the order of a walk around it."""
    members = set(zip(*np.nonzero(group), strict=True))
    middles = [
        tuple(0.5 if along == axis else float(place) for along, place in enumerate(centre))
        for centre in members
        for axis in range(AXES)
        if (*centre[:axis], 1 - centre[axis], *centre[axis + 1 :]) not in members
    ]
    loop = [middles.pop()]
    while middles:
        loop.append(next(middle for middle in middles if _share_a_face(middle, loop[-1])))
        middles.remove(loop[-1])
    return np.array(loop)


def _share_a_face(point: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return any(here == there != 0.5 for here, there in zip(point, other, strict=True))


def _largest_surface(loop: NDArray[np.float64]) -> NDArray[np.float64]:
    """(triangles, 3) vectors across the triangles, as long as their area."""
    first, second, third = np.moveaxis(loop[np.array(_triangulations(tuple(range(len(loop)))))], 2, 0)
    across: NDArray[np.float64] = np.cross(second - first, third - first) / 2
    largest: NDArray[np.float64] = across[np.linalg.norm(across, axis=-1).sum(axis=-1).argmax()]
    return largest


@cache
def _triangulations(corners: tuple[int, ...]) -> list[list[tuple[int, int, int]]]:
    """All ways to fill a polygon: some corner makes a triangle with the first and the last, two polygons remain."""
    if len(corners) < 3:
        return [[]]
    return [
        [*before, (corners[0], corners[apex], corners[-1]), *after]
        for apex in range(1, len(corners) - 1)
        for before in _triangulations(corners[: apex + 1])
        for after in _triangulations(corners[apex:])
    ]
