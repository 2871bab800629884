"""A volume as one image of three axes (z, y, x), put together from its slices, whatever format holds them.

Only slices that a window touches are read. As many of them stay in memory as a budget allows, since the windows of
tiles touch the same slices again, and a slice of a compressed file is decoded whole each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

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


class _Recent:
    """The slices that were read of late, of all volumes together, as many as the budget allows."""

    def __init__(self) -> None:
        self._slices: OrderedDict[Hashable, NDArray[np.generic]] = OrderedDict()
        self._bytes, self._lock = 0, Lock()

    def get(self, key: Hashable) -> NDArray[np.generic] | None:
        with self._lock:
            if key not in self._slices:
                return None
            self._slices.move_to_end(key)
            return self._slices[key]

    def put(self, key: Hashable, pixels: NDArray[np.generic]) -> None:
        with self._lock:
            before = self._slices.pop(key, None)
            self._slices[key] = pixels
            self._bytes += pixels.nbytes - (0 if before is None else before.nbytes)
            while self._bytes > KEPT_BYTES:
                self._bytes -= self._slices.popitem(last=False)[1].nbytes


_KEPT = _Recent()


class SlicedVolume:
    """A volume whose slices are read one by one; no file stays open between reads.

    open_slice: from the number of a slice to its pixels. volume: which of the file it is. spacing: None unless it is
    known along all axes.
    """

    def __init__(self, path: Path, open_slice: Callable[[int], Pixels], stack: Stack, volume: int = 0) -> None:
        first = open_slice(0)
        self._path, self._open = path, open_slice
        self.shape: tuple[int, ...] = (stack.slices, *first.shape)
        self.channels, self.dtype = first.channels, first.dtype
        self.spacing: tuple[float, ...] | None = None
        if stack.step is not None and first.spacing is not None:
            self.spacing = (stack.step, *first.spacing)
        slice_bytes = int(np.prod(first.shape)) * self.channels * self.dtype.itemsize
        self._whole_slices = slice_bytes * _FEWEST_KEPT <= KEPT_BYTES
        status = path.stat()
        self._key = (path, status.st_mtime_ns, status.st_size, volume)

    def read(self, window: Window) -> NDArray[np.generic]:
        """(d, h, w, C) pixels; ImageError where slices differ in size or kind."""
        plane = Window(window.start[1:], window.stop[1:])
        pixels = np.empty((*window.shape, self.channels), dtype=self.dtype)
        for place, number in zip(pixels, range(window.start[0], window.stop[0]), strict=True):
            try:
                place[...] = (
                    self._whole(number)[plane.slices] if self._whole_slices else self._slice(number).read(plane)
                )
            except DamagedPiece as error:  # whose window is one of the slice
                raise ImageError(f"slice {number} of {error}") from error
        return pixels

    def _whole(self, number: int) -> NDArray[np.generic]:
        """(H, W, C) of a slice, from memory where it was read of late."""
        key = (*self._key, number)
        pixels = _KEPT.get(key)
        if pixels is None:
            pixels = self._slice(number).read(Window.whole(self.shape[1:]))
            _KEPT.put(key, pixels)
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
