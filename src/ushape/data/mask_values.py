"""What numbers occur in mask files, and what they mean: classes, object numbers, or edges blurred between classes.

The numbers alone do not tell; their shapes do. `Tally.inner` counts pixels whose eight neighbours all have the same
value. Classes and objects have such an interior. The values in between that resizing, antialiasing or JPEG leave along
edges have none: in masks saved as JPEG, or resized, under 10 % of the values do; of object numbers over 99 % do
(measured on dsb2018, usiigaci_phc, isbi2012, drive and sunnybrook_lv).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 32
"""More different values than this are no classes that somebody drew."""

_LARGEST_OF_FEW = 8
"""Numbers 1 … n up to this n are taken for classes: images in which classes are missing look alike."""
_SOLID = 0.1
"""A value of which this share of pixels lies inside has a body; a disc of 5 pixels across has 0.2."""
_LEAST_CLEAR = 0.75
"""Part of the pixels that keep their value in masks blurred as one meets them (JPEG of quality 50, halved in size)."""
_FAINT = 1e-4
"""A value below this share of all pixels may be a slip of the pen."""
_FEW_PIXELS = 20
"""So may one of fewer pixels than this, however small the images are."""
_HARD = 64
"""Values differ by slips and blur only in masks that reach this; 0, 1, 2, … are always classes."""


@dataclass(frozen=True)
class Tally:
    """The values of one mask in rising order, how many pixels have each, and how many of these lie inside."""

    values: NDArray[np.int64]
    pixels: NDArray[np.int64]
    inner: NDArray[np.int64]

    @staticmethod
    def of(mask: NDArray[np.integer], counted: NDArray[np.bool_] | None = None) -> Tally:
        """Of the pixels of an (H, W) mask where `counted` holds, or of all."""
        everywhere = np.ones(mask.shape, dtype=bool) if counted is None else counted
        values, places = _places(mask[everywhere])
        inside = _inside(mask)[everywhere]
        return Tally(
            values,
            np.bincount(places, minlength=len(values)),
            np.bincount(places[inside], minlength=len(values)),
        )

    def without(self, values: Sequence[int]) -> Tally:
        """Less the pixels of some values."""
        kept = ~np.isin(self.values, values)
        return Tally(self.values[kept], self.pixels[kept], self.inner[kept])

    def times(self, factor: int) -> Tally:
        """Every value multiplied."""
        return Tally(self.values * factor, self.pixels, self.inner)

    @property
    def solid(self) -> NDArray[np.bool_]:
        """Which values have a body."""
        return self.inner >= _SOLID * self.pixels


def together(tallies: Iterable[Tally]) -> Tally:
    """Several masks as one."""
    every = list(tallies)
    values, places = np.unique(np.concatenate([t.values for t in every]), return_inverse=True)
    pixels, inner = (np.zeros(len(values), dtype=np.int64) for _ in range(2))
    np.add.at(pixels, places, np.concatenate([t.pixels for t in every]))
    np.add.at(inner, places, np.concatenate([t.inner for t in every]))
    return Tally(values.astype(np.int64), pixels, inner)


def are_object_numbers(tallies: Sequence[Tally]) -> bool:
    """Whether values surely number objects: solid shapes of more numbers, or larger ones, than people give classes."""
    numbers = {int(value) for t in tallies for value in t.values}
    beyond_a_byte = max(numbers, default=0) > 255 and len(numbers) > _LARGEST_OF_FEW
    if len(numbers) > MOST_CLASSES or beyond_a_byte:
        return _are_solid(tallies)
    return can_be_object_numbers(tallies) and max(numbers) > _LARGEST_OF_FEW


def can_be_object_numbers(tallies: Sequence[Tally]) -> bool:
    """Whether nearly every mask holds solid shapes numbered 1 … n, every tenth missing at most, and n differs."""
    numbers = [t.values[t.values > 0] for t in tallies]
    largest = [int(found.max(initial=0)) for found in numbers]
    complete = sum(len(found) >= 0.9 * n for found, n in zip(numbers, largest, strict=True))
    varied = len(set(largest) - {0}) > 1 or len(tallies) == 1
    return varied and max(largest) > 1 and complete >= 0.9 * len(tallies) and _are_solid(tallies)


def main_values(every: Tally, *, coloured: bool = False) -> tuple[int, ...]:
    """The values that were meant, where all others are blur between them or slips; empty where no value is amiss."""
    if len(every.values) < 3 or (not coloured and every.values.max() < _HARD):
        return ()
    share = every.pixels / every.pixels.sum()
    full = 255 if coloured else int(every.values.max())
    # thin lines are not solid: the darkest and brightest are believed all the same, others in between if common
    common = np.where(np.isin(every.values, (every.values.min(), every.values.max())), 0.005, 0.05)
    meant = (share >= common) | ((share >= 0.001) & every.solid)
    mains: list[int] = []
    for place in np.argsort(-share, kind="stable"):
        if meant[place] and (not mains or _apart(every.values[[place]], every.values[mains], coloured) >= full / 4):
            mains.append(int(place))
    odd = np.setdiff1d(np.arange(len(share)), mains)
    if len(mains) < 2 or not len(odd) or share[mains].sum() < _LEAST_CLEAR:
        return ()
    seen = (share[odd] >= _FAINT) & (every.pixels[odd] >= _FEW_PIXELS)
    thin_classes = len(odd) <= 2 and bool(seen.any())
    if thin_classes or bool((every.solid[odd] & seen).any()):
        return ()
    return tuple(sorted(int(every.values[place]) for place in mains))


def nearest(mask: NDArray[np.integer], mains: Sequence[int], *, coloured: bool = False) -> NDArray[np.integer]:
    """The mask with every value replaced by the nearest of `mains`.

    >>> nearest(np.array([[0, 3, 130, 255]]), (0, 255)).tolist()
    [[0, 0, 255, 255]]
    """
    values, places = _places(mask)
    targets = np.array(mains, dtype=np.int64)
    apart = np.abs(_channels(values, coloured)[:, np.newaxis] - _channels(targets, coloured)).max(axis=-1)
    replaced: NDArray[np.integer] = targets[apart.argmin(axis=1)][places].reshape(mask.shape)
    return replaced


def two_scales(tallies: Sequence[Tally], *, as_many: bool = True) -> tuple[list[int], list[int]]:
    """Places of masks that use 0 and 1 (2, 3 …), and of those that use 0 and 255; both empty where all are alike.

    as_many: only where both have as many values.
    """
    sets = [frozenset(int(v) for v in t.values if v > 0) for t in tallies]
    low = [k for k, found in enumerate(sets) if found and max(found) <= _LARGEST_OF_FEW]
    high = [k for k, found in enumerate(sets) if found and max(found) >= _HARD]
    values_of_low = frozenset().union(*(sets[k] for k in low))
    values_of_high = frozenset().union(*(sets[k] for k in high))
    apart = len(low) + len(high) == sum(bool(found) for found in sets) and not values_of_low & values_of_high
    fit = not as_many or len(values_of_low) == len(values_of_high)
    return (low, high) if low and high and apart and fit else ([], [])


def _places(mask: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Distinct values, and for each pixel (in one row) the place of its own among them; quick for small numbers."""
    pixels = mask.ravel()
    largest = int(pixels.max(initial=0))
    if largest > np.iinfo(np.uint16).max:
        values, places = np.unique(pixels, return_inverse=True)
        return values.astype(np.int64), places.ravel()
    values = np.flatnonzero(np.bincount(pixels, minlength=largest + 1))
    table = np.zeros(largest + 1, dtype=np.intp)
    table[values] = np.arange(len(values))
    return values, table[pixels]


def _inside(mask: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels whose eight neighbours have their value; none at the border of the image."""
    square = mask[1:, 1:] == mask[:-1, :-1]
    square &= mask[1:, 1:] == mask[:-1, 1:]
    square &= mask[1:, 1:] == mask[1:, :-1]
    inside = np.zeros(mask.shape, dtype=bool)
    inside[1:-1, 1:-1] = square[1:, 1:] & square[:-1, 1:] & square[1:, :-1] & square[:-1, :-1]
    return inside


def _are_solid(tallies: Sequence[Tally]) -> bool:
    """Whether there is a background 0, and four of five values on it have a body."""
    solid = [bool(body) for t in tallies for body, value in zip(t.solid, t.values, strict=True) if value > 0]
    return any(0 in t.values for t in tallies) and sum(solid) >= 0.8 * max(1, len(solid))


def _apart(values: NDArray[np.int64], mains: NDArray[np.int64], coloured: bool) -> NDArray[np.int64]:
    """How far each value lies from the nearest of the main ones, in the channel where they differ most."""
    channels = _channels(values, coloured)
    steps = [np.abs(channels - main).max(axis=-1) for main in _channels(mains, coloured)]
    apart: NDArray[np.int64] = np.minimum.reduce(steps)
    return apart


def _channels(values: NDArray[np.int64], coloured: bool) -> NDArray[np.int64]:
    """(n,) values → (n, 1), or the (n, 3) colours they stand for."""
    if not coloured:
        return values[:, np.newaxis]
    return np.stack([values >> 16 & 255, values >> 8 & 255, values & 255], axis=-1)
