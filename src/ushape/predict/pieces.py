"""Class map → the same with each named region in one piece: its largest, without holes; off unless a recipe names any.

    [prediction]
    one_piece = ["endocardium", "epicardium"]

From the outermost region to the innermost, in each image (or volume) by itself:

1.  Pixels of a region that are not of its largest piece leave it. Where another region holds it, they become the
    nearest class that is that region's own (of the cavity: myocardium), else background. Pieces touch along edges
    (faces of voxels); of equally large ones the first in reading order is kept.
2.  Pixels that a region encloses become its nearest class, unless another region that is kept lies among them. What a
    volume cuts off at its first or last slice counts as enclosed there.

What a region does stays within the one that holds it, so that all of them stay nested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import RecipeError
from ushape.regions import Region

Classes = NDArray[np.uint8]


def in_one_piece(classes: Classes, regions: Sequence[Region]) -> Classes:
    """(H, W) or (D, H, W) class numbers → the same, each region in one piece; a new array.

    RecipeError for regions that overlap without one holding the other.

    >>> in_one_piece(np.array([[1, 1, 0, 1]], dtype=np.uint8), [Region("cell", (1,))]).tolist()
    [[1, 1, 0, 0]]
    """
    require_nested(regions)
    result = classes.copy()
    for level in _levels(regions):
        for region in level:
            _keep_largest(result, region, regions)
        for region in level:
            _fill(result, region, regions)
    return result


@dataclass(frozen=True)
class Change:
    """What mending did to a region. pieces: how many went; lost, gained: pixels (voxels); slices: where, from 0."""

    region: str
    pieces: int
    lost: int
    gained: int
    slices: tuple[int, ...]

    def in_words(self) -> str:
        """
        >>> Change("cavity", 1, 12, 0, (3,)).in_words(), Change("wall", 2, 5, 1, (0, 1)).in_words()
        ('cavity: 1 piece apart taken away, 12 pixels less', 'wall: 2 pieces apart taken away, 5 pixels less, 1 more')
        """
        said = [f"{self.pieces} piece{'s' * (self.pieces > 1)} apart taken away"] if self.pieces else []
        less = [f"{self.lost} pixel{'s' * (self.lost > 1)} less"] if self.lost else []
        unit = "" if less else f" pixel{'s' * (self.gained > 1)}"
        more = [f"{self.gained}{unit} more"] if self.gained else []
        return f"{self.region}: {', '.join([*said, *less, *more])}"


def changes(before: Classes, after: Classes, regions: Sequence[Region]) -> list[Change]:
    """(D, H, W) class numbers, and the same mended → what happened to each region that is not what it was."""
    found = []
    for region in regions:
        was, now = region.of(before), region.of(after)
        if (was == now).all():
            continue
        pieces, _ = ndimage.label(was)
        gone = np.setdiff1d(pieces[was & ~now], pieces[was & now]).size
        slices = tuple(np.flatnonzero((was != now).any(axis=(1, 2))).tolist())
        lost, gained = int(np.count_nonzero(was & ~now)), int(np.count_nonzero(now & ~was))
        found.append(Change(region.name, gone, lost, gained, slices))
    return found


def require_nested(regions: Sequence[Region]) -> None:
    """RecipeError where two regions overlap, unless one holds the other and has a class of its own left."""
    for number, one in enumerate(regions):
        for other in regions[:number]:
            shared = set(one.numbers) & set(other.numbers)
            if shared and not (one.holds(other) or other.holds(one)):
                raise RecipeError(
                    f"The regions {other.name} and {one.name} share classes, and neither holds the other; both in one "
                    "piece cannot be. Name regions in one_piece that are nested or apart."
                )
    for region in regions:
        inner = [other for other in regions if region.holds(other)]
        if inner and not _own(region, inner):
            names = ", ".join(other.name for other in inner)
            raise RecipeError(
                f"The region {region.name} is made of {names} alone, so that no class is left to take what these lose. "
                "Name fewer regions in one_piece."
            )


def _levels(regions: Sequence[Region]) -> list[list[Region]]:
    """The regions that no other holds, then those that only these hold, and so on."""
    depth = {region.name: sum(other.holds(region) for other in regions) for region in regions}
    return [[r for r in regions if depth[r.name] == level] for level in sorted(set(depth.values()))]


def _own(region: Region, inner: Sequence[Region]) -> list[int]:
    """The classes that are a region's, and of none that it holds."""
    return [number for number in region.numbers if not any(number in other.numbers for other in inner)]


def _keep_largest(classes: Classes, region: Region, regions: Sequence[Region]) -> None:
    pieces, count = ndimage.label(region.of(classes))
    if count < 2:
        return
    sizes = np.bincount(pieces.ravel())[1:]
    lost = (pieces > 0) & (pieces != 1 + int(sizes.argmax()))
    around = min((o for o in regions if o.holds(region)), key=lambda other: len(other.numbers), default=None)
    if around is None:
        classes[lost] = 0
        return
    own = _own(around, [other for other in regions if around.holds(other)])
    _become_nearest(classes, lost, np.isin(classes, own), own[0])


def _fill(classes: Classes, region: Region, regions: Sequence[Region]) -> None:
    inside = region.of(classes)
    holes, count = ndimage.label(_without_holes(inside) & ~inside)
    apart = [o for o in regions if not o.holds(region) and not region.holds(o) and o != region]
    kept = np.logical_or.reduce([other.of(classes) for other in apart]) if apart else np.zeros_like(inside)
    taken = np.setdiff1d(np.arange(1, count + 1), holes[kept])
    _become_nearest(classes, np.isin(holes, taken), inside, region.numbers[0])


def _without_holes(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of a volume, what opens to nothing but its first or last slice is a hole too: the organ goes on beyond."""
    closed = np.pad(inside, ((1, 1), (0, 0), (0, 0)), constant_values=True) if inside.ndim == 3 else inside
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(closed)
    return filled[1:-1] if inside.ndim == 3 else filled


def _become_nearest(classes: Classes, pixels: NDArray[np.bool_], among: NDArray[np.bool_], otherwise: int) -> None:
    """Give pixels the class of the nearest among others, in place; `otherwise` where there is none."""
    if not pixels.any():
        return
    if not among.any():
        classes[pixels] = otherwise
        return
    nearest = ndimage.distance_transform_edt(~among, return_distances=False, return_indices=True)
    classes[pixels] = classes[tuple(axis[pixels] for axis in nearest)]
