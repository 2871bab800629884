"""Foreground probability → objects with numbers, by an `ObjectRule`: one image in memory.

Pixels connect along sides, not by corners: the line of background that separates touching objects in training masks may
be one pixel wide and run diagonally, and must separate. Every object depends on its own connected region of the
foreground and on what that encloses, and on nothing else, until objects grow by `grow_px` over the background around
them. That is why `object_map` finds the very same objects in images of any size, region by region.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from ushape.errors import ImageError, SizeError
from ushape.object_rule import ObjectRule

Numbers = NDArray[np.signedinteger]

_ROUNDING = 1e-5  # probabilities blended in float32 may leave 0…1 by a few 1e-7; further out they are something else
_SIDES = ndimage.generate_binary_structure(2, 1)
_SIDES_AND_CORNERS = ndimage.generate_binary_structure(2, 2)


def find_objects(probability: NDArray[np.floating], rule: ObjectRule) -> NDArray[np.int32]:
    """(H, W) foreground probabilities → (H, W) objects 1, 2, … in the reading order of their first pixels, 0 between.

    Raises ImageError for values that are no probabilities, SizeError for another number of axes.

    >>> find_objects(np.array([[0.9, 0.2, 0.8], [0.1, 0.3, 0.7]]), ObjectRule()).tolist()
    [[1, 0, 2], [0, 0, 2]]
    """
    checked = as_probability(probability, "The foreground probability")
    free = np.zeros(checked.shape, dtype=bool)
    found = grown(objects_within(checked, checked >= np.float32(rule.threshold), free, rule), rule.grow_px)
    number_of = np.zeros(int(found.max(initial=0)) + 1, dtype=np.int32)
    number_in_reading_order(found, number_of, 0)
    numbered: NDArray[np.int32] = number_of[found]
    return numbered


def as_probability(values: NDArray[np.floating], name: str) -> NDArray[np.float32]:
    """(H, W) float32, or an error that says what else came; `name` begins the message."""
    if values.ndim != 2 or not values.size:
        raise SizeError(f"{name} has shape {values.shape}; give (H, W) with a pixel at least: the foreground alone.")
    if values.dtype.kind != "f":
        raise ImageError(f"{name} has values of type {values.dtype}; give the network's probabilities, as floats.")
    low, high = float(values.min()), float(values.max())  # NaN where any is
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        undefined = int(np.isnan(values).sum())
        what = f"{undefined} NaN" if undefined else f"values from {low:g} to {high:g}"
        raise ImageError(f"{name} has {what}; probabilities are numbers from 0 to 1. Give those, not logits.")
    return values.astype(np.float32, copy=False)


def objects_within(
    probability: NDArray[np.float32], inside: NDArray[np.bool_], taken: NDArray[np.bool_], rule: ObjectRule
) -> NDArray[np.int32]:
    """(h, w) foreground regions, each of them whole → (h, w) objects 1 ≤ k, in any order and with gaps, not yet grown.

    Holes are filled where nothing is `taken`: True where an object lies that was found before. What lies outside
    `inside` has no other influence, so that a region may come alone, or together with others.
    """
    regions, _ = ndimage.label(inside, structure=_SIDES)
    if rule.method == "watershed":
        seeds, elevation = _seeds(probability, inside, rule)
        regions = _divided(regions, seeds, elevation, rule.smallest_px)
    return _filled(regions, taken, rule.smallest_px) if rule.fill_holes else _without_small(regions, rule.smallest_px)


def grown(objects: Numbers, grow_px: int) -> Numbers:
    """(H, W) objects → the same, with each background pixel within this distance given to the nearest object.

    Of equally near ones the upper gets it, then the left one: the numbers of the objects play no part.
    """
    reach = range(-grow_px, grow_px + 1)
    steps = sorted((dy**2 + dx**2, dy, dx) for dy, dx in product(reach, reach))
    height, width = objects.shape
    around, larger = np.pad(objects, grow_px), objects.copy()
    for squared_px, dy, dx in steps:
        if 0 < squared_px <= grow_px**2:
            top, left = grow_px + dy, grow_px + dx
            np.copyto(larger, around[top : top + height, left : left + width], where=larger == 0)
    return larger


@njit(cache=True, nogil=True)
def number_in_reading_order(objects: Numbers, number_of: Numbers, count: int) -> int:
    """Writes the next numbers after `count` into number_of[k], for each object k that has none; the last one given."""
    for y in range(objects.shape[0]):
        for x in range(objects.shape[1]):
            k = objects[y, x]
            if k > 0 and number_of[k] == 0:
                count += 1
                number_of[k] = count
    return count


def _seeds(
    probability: NDArray[np.float32], inside: NDArray[np.bool_], rule: ObjectRule
) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
    """(h, w) seeds 1, 2, …, and the heights that are flooded from them."""
    if rule.seeds == "probability":
        high, elevation = inside & (probability >= np.float32(rule.seed_threshold)), -probability
    else:
        walled = np.pad(inside, 1)  # the border of the image ends a region, too
        depth_px = ndimage.distance_transform_edt(walled)[1:-1, 1:-1]
        high, elevation = inside & _peaks(depth_px, rule.seed_depth_px), -depth_px
    return ndimage.label(high, structure=_SIDES)[0], elevation


def _peaks(depth_px: NDArray[np.float64], least_px: float) -> NDArray[np.bool_]:
    """The extended h-maxima: connected tops, out of which every way to another as high goes down by more than this."""
    cut = np.maximum(depth_px - least_px, 0)
    peaks: NDArray[np.bool_] = local_maxima(reconstruction(cut, depth_px, footprint=_SIDES), footprint=_SIDES)
    return peaks


def _divided(
    regions: NDArray[np.int32], seeds: NDArray[np.int32], elevation: NDArray[np.floating], smallest_px: int
) -> NDArray[np.int32]:
    """Each region flooded from its seeds; again without those that got fewer pixels than an object must have."""
    basins = _flooded(regions, seeds, elevation)
    pixels = np.bincount(basins.ravel())
    given_up = (pixels > 0) & (pixels < smallest_px)
    given_up[0] = False
    if not given_up[seeds].any():
        return basins
    once_more = np.zeros(int(regions.max()) + 1, dtype=bool)
    once_more[regions[given_up[seeds]]] = True
    again = once_more[regions]
    redone = _flooded(np.where(again, regions, 0), np.where(again & ~given_up[seeds], seeds, 0), elevation)
    return np.where(again, redone + basins.max(), basins)


def _flooded(
    regions: NDArray[np.int32], seeds: NDArray[np.int32], elevation: NDArray[np.floating]
) -> NDArray[np.int32]:
    """Each region divided between its seeds; one with less than two is one object.

    scikit-image floods equally low seeds in an order that depends on all others, those of other regions included. So
    seeds are sunk to depths of their own, the lowest first, equals in reading order; they are lowest among their
    neighbours as it is. What lies within a seed has nothing to flood, and waits until the end: that halves the time.
    """
    region_of = np.zeros(int(seeds.max(initial=0)) + 1, dtype=np.int32)
    region_of[seeds] = regions
    several = np.bincount(region_of[1:], minlength=int(regions.max(initial=0)) + 1) > 1
    shared = several[regions]
    sunk, rims = elevation.astype(np.float64), shared & (seeds > 0)
    within = ndimage.binary_erosion(rims, structure=_SIDES)
    rims &= ~within
    places = np.flatnonzero(rims)
    places = places[np.argsort(sunk.flat[places], kind="stable")]
    sunk.flat[places] = np.floor(sunk.min(initial=0)) - np.arange(len(places), 0, -1)
    divided = watershed(sunk, np.where(rims, seeds, 0), mask=shared & ~within)
    divided = np.where(within, seeds, divided)
    objects: NDArray[np.int32] = np.where((regions > 0) & ~shared, regions + seeds.max(initial=0), divided)
    return objects


def _without_small(objects: NDArray[np.int32], smallest_px: int) -> NDArray[np.int32]:
    large = np.bincount(objects.ravel()) >= smallest_px
    return np.where(large[objects], objects, 0)


def _filled(objects: NDArray[np.int32], taken: NDArray[np.bool_], smallest_px: int) -> NDArray[np.int32]:
    """With holes filled that belong to nobody, innermost object first; without objects that are small even so.

    What an object encloses ends in a row above its own last: in the order of their last rows, the inner come first.
    """
    boxes = [(box, k) for k, box in enumerate(ndimage.find_objects(objects), start=1) if box is not None]
    wide = [(box, k) for box, k in boxes if min(side.stop - side.start for side in box) > 2]
    narrow = np.ones(int(objects.max(initial=0)) + 1, dtype=bool)  # these enclose nothing, and may be many
    narrow[[k for _, k in wide]] = False
    filled = np.where(narrow[objects], _without_small(objects, smallest_px), objects)
    for box, k in sorted(wide, key=lambda found: found[0][0].stop):
        part = filled[box]
        part[_enclosed(part == k) & (part == 0) & ~taken[box]] = k
        if np.count_nonzero(part == k) < smallest_px:
            part[part == k] = 0
    return filled


def _enclosed(one: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(h, w) an object → what cannot be left without crossing it, not even by a corner."""
    outside, parts = ndimage.label(~np.pad(one, 1), structure=_SIDES_AND_CORNERS)
    if parts == 1:
        return np.zeros_like(one)
    enclosed: NDArray[np.bool_] = outside[1:-1, 1:-1] > 1  # the first pixel, in the margin, lies outside: part 1
    return enclosed
