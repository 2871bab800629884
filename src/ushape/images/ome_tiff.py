"""A mask as tiled OME-TIFF with smaller copies, which QuPath, Fiji and napari show without reading it whole.

The copies are the SubIFDs of the full image (OME-TIFF specification, "Sub-resolutions"). Pixels wait uncompressed in a
file without a name until all are there, since tiles of a TIFF are compressed one after another: memory is that of a few
tiles, whatever the size of the image.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ushape.geometry.tiles import Window
from ushape.images.disk_array import DiskArray
from ushape.images.layout import Layout
from ushape.images.pyramid import halved, levels_of

TILE_PX = 512
_ENCODED_AT_ONCE_BYTES = 16 << 20
_BIG_TIFF_BYTES = 1 << 31  # of pixels; compression might make more of them, and the copies add a third


class OmeTiffBody:
    """Windows → one image and its smaller copies, written into `handle` by `finish`."""

    def __init__(self, handle: IO[bytes], layout: Layout) -> None:
        self._handle, self._layout = handle, layout
        self._folder = Path(handle.name).parent
        self._open = ExitStack()
        self._full = self._level(layout.shape)

    def put(self, window: Window, pixels: NDArray[np.generic]) -> None:
        self._full.put(self._flat(window), pixels.reshape(window.shape[0], -1))

    def finish(self) -> None:
        layout, shapes = self._layout, levels_of(self._layout.shape)
        common: dict[str, Any] = {
            "dtype": layout.dtype,
            "tile": (TILE_PX, TILE_PX),
            "compression": "zlib",
            "photometric": "rgb" if layout.channels == 3 else "minisblack",
            "resolutionunit": "NONE" if layout.spacing is None else "CENTIMETER",
            "buffersize": _ENCODED_AT_ONCE_BYTES,
        }
        big = int(np.prod(layout.stored_shape)) * layout.dtype.itemsize > _BIG_TIFF_BYTES
        with tifffile.TiffWriter(self._handle, bigtiff=big, ome=True, byteorder="<") as writer:
            level, finer = self._full, layout.shape
            for number, shape in enumerate(shapes):
                if number:
                    level, finer = self._halved(level, finer, shape), shape
                factor = 2**number
                per_centimetre = layout.pixels_per_centimetre
                writer.write(
                    self._tiles(level, shape),
                    shape=shape if layout.channels == 1 else (*shape, layout.channels),
                    subifds=None if number else len(shapes) - 1,
                    subfiletype=1 if number else 0,
                    metadata=None if number else self._metadata(),
                    software="ushape",
                    resolution=per_centimetre and tuple(n / factor for n in per_centimetre),
                    **common,
                )

    def close(self) -> None:
        """The files without a name go."""
        self._open.close()

    def _metadata(self) -> dict[str, Any]:
        described: dict[str, Any] = {"axes": "YX" if self._layout.channels == 1 else "YXS"}
        if self._layout.description:
            described["Description"] = self._layout.description
        for axis, size in zip("YX", self._layout.spacing or (), strict=False):
            described |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        return described

    def _halved(self, level: DiskArray[Any], shape: tuple[int, int], smaller: tuple[int, int]) -> DiskArray[Any]:
        half = self._level(smaller)
        for window in _windows(smaller):
            start = (2 * window.start[0], 2 * window.start[1])
            stop = (min(2 * window.stop[0], shape[0]), min(2 * window.stop[1], shape[1]))
            half.put(self._flat(window), halved(self._read(level, Window(start, stop))).reshape(window.shape[0], -1))
        return half

    def _tiles(self, level: DiskArray[Any], shape: tuple[int, int]) -> Iterator[NDArray[np.generic]]:
        """Tiles in reading order; those at the right and lower edge are filled up with 0."""
        stored = (TILE_PX, TILE_PX) if self._layout.channels == 1 else (TILE_PX, TILE_PX, self._layout.channels)
        for window in _windows(shape):
            tile = np.zeros(stored, dtype=self._layout.dtype)
            tile[: window.shape[0], : window.shape[1]] = self._read(level, window)
            yield tile

    def _read(self, level: DiskArray[Any], window: Window) -> NDArray[np.generic]:
        pixels: NDArray[np.generic] = level.read(self._flat(window))
        return pixels if self._layout.channels == 1 else pixels.reshape(*window.shape, self._layout.channels)

    def _level(self, shape: tuple[int, int]) -> DiskArray[Any]:
        file = self._open.enter_context(tempfile.TemporaryFile(dir=self._folder, buffering=0))  # noqa: SIM115
        return DiskArray(file, (shape[0], shape[1] * self._layout.channels), self._layout.dtype)

    def _flat(self, window: Window) -> Window:
        """The window where the samples of a pixel lie side by side along x."""
        (top, left), (bottom, right) = window.start, window.stop
        return Window((top, left * self._layout.channels), (bottom, right * self._layout.channels))


def _windows(shape: tuple[int, int]) -> Iterator[Window]:
    for y, x in itertools.product(range(0, shape[0], TILE_PX), range(0, shape[1], TILE_PX)):
        yield Window((y, x), (min(y + TILE_PX, shape[0]), min(x + TILE_PX, shape[1])))
