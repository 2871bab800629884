"""A volume as one image of three axes (z, y, x), put together from its slices, whatever format holds them.

Only slices that a window touches are read. As many of them stay in memory as a budget allows, since the windows of
tiles touch the same slices again, and a slice of a compressed file is decoded whole each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.damage import DamagedPiece
from ushape.images.grid import Grid
from ushape.images.pixels import Pixels

KEPT_BYTES = 512 << 20
"""Of slices that stay in memory."""

_FEWEST_KEPT = 16  # where not even so many slices fit, only windows of them are read


@dataclass(frozen=True)
class Stack:
    """How the pages of a file make volumes: so many slices in a row are one, at one point in time.

    step: micrometres from a slice to the next, where the file says so.
    """

    slices: int
    step: float | None = None

    @staticmethod
    def of(grid: Grid) -> Stack:
        return Stack(grid.shape[2], grid.slice_spacing)


class SlicedVolume:
    """A volume whose slices are read one by one; no file stays open between reads.

    open_slice: from the number of a slice to its pixels. spacing: None unless it is known along all axes.
    """

    def __init__(self, path: Path, open_slice: Callable[[int], Pixels], stack: Stack) -> None:
        first = open_slice(0)
        self._path, self._open = path, open_slice
        self.shape: tuple[int, ...] = (stack.slices, *first.shape)
        self.channels, self.dtype = first.channels, first.dtype
        measured = stack.step is not None and first.spacing is not None
        self.spacing: tuple[float, ...] | None = (stack.step, *first.spacing) if measured else None  # type: ignore
        self._kept: OrderedDict[int, NDArray[np.generic]] = OrderedDict()
        slice_bytes = int(np.prod(first.shape)) * self.channels * self.dtype.itemsize
        self._most_kept = KEPT_BYTES // slice_bytes if slice_bytes * _FEWEST_KEPT <= KEPT_BYTES else 0

    def read(self, window: Window) -> NDArray[np.generic]:
        """(d, h, w, C) pixels; ImageError where slices differ in size or kind."""
        plane = Window(window.start[1:], window.stop[1:])
        pixels = np.empty((*window.shape, self.channels), dtype=self.dtype)
        for place, number in zip(pixels, range(window.start[0], window.stop[0]), strict=True):
            try:
                place[...] = self._whole(number)[plane.slices] if self._most_kept else self._slice(number).read(plane)
            except DamagedPiece as error:  # whose window is one of the slice
                raise ImageError(f"slice {number} of {error}") from error
        return pixels

    def _whole(self, number: int) -> NDArray[np.generic]:
        """(H, W, C) of a slice, from memory where it was read of late."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        pixels = self._slice(number).read(Window.whole(self.shape[1:]))
        self._kept[number] = pixels
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return pixels

    def _slice(self, number: int) -> Pixels:
        found = self._open(number)
        if (*found.shape, found.channels, found.dtype) != (*self.shape[1:], self.channels, self.dtype):
            raise ImageError(
                f"{self._path} is no volume: slice {number} has {' x '.join(map(str, found.shape))} pixels of "
                f"{found.channels} x {found.dtype}, but the first has {' x '.join(map(str, self.shape[1:]))} of "
                f"{self.channels} x {self.dtype}. Save slices of one size and kind."
            )
        return found
