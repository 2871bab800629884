"""The masks of all pairs, read once: how many pixels have which value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.data.mask_values import Tally
from ushape.data.pair import Fault, Pair, error
from ushape.errors import ImageError
from ushape.images.source import Page, is_coloured, mask_of


@dataclass(frozen=True)
class Drawn:
    """The masks of one pair: a tally of each file, or of all files together where each shows one object.

    pixels: of the whole mask; tallies count those in the field of view.
    """

    pair: Pair
    tallies: tuple[Tally, ...]
    coloured: bool
    pixels: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The mask file of each tally."""
        return tuple(mask.page.path for mask, _ in zip(self.pair.masks, self.tallies, strict=False))

    @property
    def objects(self) -> int:
        """How many objects are drawn, where they are numbered or have a file each."""
        if self.pair.merge == "objects":
            return len(self.pair.masks)
        return int(np.count_nonzero(self.tallies[0].values))

    def holds(self, value: int) -> bool:
        """Whether some pixel has it."""
        return any(bool((tally.values == value).any()) for tally in self.tallies)

    def without(self, values: Sequence[int]) -> Drawn:
        """Less the pixels of some values."""
        return replace(self, tallies=tuple(tally.without(values) for tally in self.tallies)) if values else self


def all_drawn(pairs: Sequence[Pair]) -> tuple[list[Drawn], list[Fault]]:
    """All pairs whose masks can be read, as colours if one of them has any; and what cannot be read."""
    drawn, faults = _drawn(pairs, coloured=False)
    if any(d.coloured for d in drawn) and not all(d.coloured for d in drawn):
        return _drawn(pairs, coloured=True)
    return drawn, faults


def in_view(region: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a mask of the field of view is bright; half-way tells, since JPEG leaves no clean 0."""
    inside: NDArray[np.bool_] = region > region.max() / 2
    return inside


def _drawn(pairs: Sequence[Pair], *, coloured: bool) -> tuple[list[Drawn], list[Fault]]:
    drawn: list[Drawn] = []
    faults: list[Fault] = []
    for pair in pairs:
        masks = [_read(mask.page, faults, coloured) for mask in pair.masks]
        region = [_read(pair.valid, faults, coloured=False)] if pair.valid else []
        arrays = [array for array in (*masks, *region) if array is not None]
        if len(arrays) == len(masks) + len(region) and len({array.shape for array in arrays}) == 1:
            drawn.append(_tallied(pair, arrays[: len(masks)], region[0] if region else None, coloured))
    return drawn, faults  # masks of different sizes are told of by the survey


def _read(page: Page, faults: list[Fault], coloured: bool) -> NDArray[np.integer] | None:
    try:
        return mask_of(page, coloured=coloured)
    except ImageError as damage:
        faults.append(error(str(damage), [page.path]))
        return None


def _tallied(
    pair: Pair, masks: Sequence[NDArray[np.integer]], region: NDArray[np.integer] | None, coloured: bool
) -> Drawn:
    counted = None if region is None else in_view(region)
    every = [np.maximum.reduce(masks)] if pair.merge == "objects" else masks
    coloured = coloured or any(
        mask.dtype == np.int32 and is_coloured(file.page) for file, mask in zip(pair.masks, masks, strict=True)
    )
    return Drawn(pair, tuple(Tally.of(mask, counted) for mask in every), coloured, masks[0].size)
