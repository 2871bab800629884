"""create_mask(path, …) → a mask file that is written window by window, and is complete on a clean end or absent.

    with create_mask(path, source.shape, np.uint8, spacing=source.spacing) as sink:
        for tile in plan(…):
            sink.write(tile.keep, classes)

Pixels go to a temporary file beside the target, which takes the target's name once everything is on the disk. Those of
a TIFF go there at once, uncompressed, so that an image of any size needs no memory; a PNG is kept in memory to the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images.layout import Layout
from ushape.images.ome_tiff import OmeTiffBody

LARGEST_PNG_PIXELS = 1 << 28
"""256 megapixels: the most that is kept in memory for a PNG."""

CLASSIC_TIFF_BYTES = (1 << 32) - (1 << 25)
"""Larger images become BigTIFF: offsets have 32 bits, and the header needs some room too."""

_STRIP_BYTES = 1 << 20  # many readers take memory for a strip at a time


class _Body(Protocol):
    """One file format: where the pixels of windows go, and what completes the file."""

    def put(self, window: Window, pixels: NDArray[np.generic]) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


def create_mask(
    path: Path,
    shape: tuple[int, int],
    dtype: DTypeLike,
    *,
    channels: int = 1,
    spacing: tuple[float, float] | None = None,
    description: str = "",
    pyramid: bool = False,
    overwrite: bool = False,
) -> MaskSink:
    """A sink for a mask of this (height, width); the suffix of `path` decides between TIFF and PNG.

    One channel of uint8, uint16, uint32 or float32 (PNG: uint8 or uint16), or three of uint8. `spacing` is (y, x) in
    micrometres; PNG has no place for it. pyramid: of a TIFF, tiles and smaller copies for viewers (ome_tiff.py). Raises
    OutputError for what cannot be written there, before any work is done.
    """
    layout = Layout((int(shape[0]), int(shape[1])), np.dtype(dtype), channels, spacing, description)
    suffix = path.suffix.lower()
    make_body = OmeTiffBody if pyramid and suffix in (".tif", ".tiff") else _BODIES.get(suffix)
    if make_body is None:
        raise OutputError(
            f"{path}: masks are written as .tif, .tiff or .png, not as {path.suffix!r}. Choose one of them."
        )
    _check_type(path, layout)
    height, width = layout.shape
    if make_body is _PngBody and height * width > LARGEST_PNG_PIXELS:
        raise OutputError(
            f"{path} would have {height} x {width} pixels; a PNG is made in memory, and we stop at "
            f"{LARGEST_PNG_PIXELS >> 20} megapixels. Write a .tif, which may have any size."
        )
    if not path.parent.is_dir():
        raise OutputError(f"There is no folder {path.parent} to write {path.name} into. Make it first.")
    sink = MaskSink(path, layout, make_body, overwrite=overwrite)
    sink.check_free()
    return sink


class MaskSink:
    """A mask file in the making: comes from create_mask, works as a context manager."""

    def __init__(
        self, path: Path, layout: Layout, make_body: Callable[[IO[bytes], Layout], _Body], *, overwrite: bool
    ) -> None:
        self.path, self.shape, self.dtype, self.channels = path, layout.shape, layout.dtype, layout.channels
        self._layout, self._make_body, self._overwrite = layout, make_body, overwrite
        self._part = path.with_name(f".ushape-{uuid.uuid4().hex[:12]}.part")
        self._held = contextlib.ExitStack()
        self._values_written = 0

    def __enter__(self) -> Self:
        with self._failures_told():
            self._handle: IO[bytes] = self._part.open("xb")
        with self._discarded_on_error(), self._failures_told():
            self._body = self._make_body(self._handle, self._layout)
            self._held.callback(self._body.close)
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        """Puts (h, w) or (h, w, C) pixels of the mask's own type where the window lies. Windows come in any order."""
        expected = window.shape if self.channels == 1 else (*window.shape, self.channels)
        assert pixels.shape == expected, f"{window} of {self.channels} channels got pixels of shape {pixels.shape}"
        assert pixels.dtype == self.dtype, f"a mask of {self.dtype} got {pixels.dtype}"
        assert window.inside(self.shape), f"{window} sticks out of a mask of shape {self.shape}"
        with self._failures_told():
            self._body.put(window, pixels)
        self._values_written += pixels.size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        with self._discarded_on_error(), self._failures_told():
            self._check_complete()
            self._body.finish()
            self._held.close()
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()
            self.check_free()
            os.replace(self._part, self.path)

    def check_free(self) -> None:
        """Raises OutputError where something is that must not be replaced."""
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a folder; a mask cannot take its place. Choose another name.")
        if self.path.exists() and not self._overwrite:
            raise OutputError(f"{self.path} exists already. Choose another folder, or ask for it to be overwritten.")

    def _check_complete(self) -> None:
        values = int(np.prod(self._layout.stored_shape))
        if self._values_written < values:
            raise OutputError(
                f"{self.path} got {self._values_written} of its {values} values, so it was not kept. "
                "Write every window of the image before the end."
            )

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._held.close()
        with contextlib.suppress(OSError):  # closing writes what is left, which may fail as the writing did
            self._handle.close()
        with contextlib.suppress(OSError):
            self._part.unlink()

    @contextlib.contextmanager
    def _discarded_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # a mask is complete or absent, whatever interrupts us
            self._discard()
            raise

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            advice = (
                "The disk is full: free some space, or choose another disk."
                if error.errno == errno.ENOSPC
                else "Check that you may write into this folder, or choose another."
            )
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}. {advice}") from error


class _TiffBody:
    """An uncompressed TIFF whose pixels lie in one block, from the start as large as it will be."""

    def __init__(self, handle: IO[bytes], layout: Layout) -> None:
        self._handle, self._width = handle, layout.shape[1]
        self._stored = layout.dtype.newbyteorder("<")
        self._pixel_bytes = layout.channels * layout.dtype.itemsize
        row_bytes = self._width * self._pixel_bytes
        with tifffile.TiffWriter(
            handle, bigtiff=layout.shape[0] * row_bytes > CLASSIC_TIFF_BYTES, byteorder="<"
        ) as writer:
            place = writer.write(
                shape=layout.stored_shape,
                dtype=self._stored,
                photometric="rgb" if layout.channels == 3 else "minisblack",
                planarconfig="contig" if layout.channels == 3 else None,
                rowsperstrip=max(1, _STRIP_BYTES // row_bytes),
                description=layout.description.encode() or None,
                software="ushape",
                metadata=None,
                returnoffset=True,
                resolution=layout.pixels_per_centimetre,
                resolutionunit="NONE" if layout.spacing is None else "CENTIMETER",
            )
        assert place is not None, "tifffile tells where the pixels are, as long as they are stored in one block"
        self._first_byte = place[0]

    def put(self, window: Window, pixels: NDArray[np.generic]) -> None:
        top, left = window.start
        stored = np.ascontiguousarray(pixels, dtype=self._stored)
        if window.shape[1] == self._width:
            self._put_run(top, 0, stored)
            return
        for number in range(window.shape[0]):
            self._put_run(top + number, left, stored[number])

    def _put_run(self, y: int, x: int, pixels: NDArray[np.generic]) -> None:
        self._handle.seek(self._first_byte + (y * self._width + x) * self._pixel_bytes)
        self._handle.write(pixels.data)

    def finish(self) -> None:
        """Nothing is left to do: the header was written first."""

    def close(self) -> None:
        """Nothing is held but the handle."""


class _PngBody:
    """A PNG, kept in memory until all windows are there."""

    def __init__(self, handle: IO[bytes], layout: Layout) -> None:
        self._handle, self._description = handle, layout.description
        self._pixels = np.zeros(layout.stored_shape, dtype=layout.dtype)

    def put(self, window: Window, pixels: NDArray[np.generic]) -> None:
        self._pixels[window.slices] = pixels

    def finish(self) -> None:
        notes = PngInfo()
        if self._description:
            notes.add_itxt("Description", self._description)
        Image.fromarray(self._pixels).save(self._handle, format="PNG", pnginfo=notes)

    def close(self) -> None:
        """Nothing is held but memory."""


_BODIES: dict[str, Callable[[IO[bytes], Layout], _Body]] = {".tif": _TiffBody, ".tiff": _TiffBody, ".png": _PngBody}


def _check_type(path: Path, layout: Layout) -> None:
    png = path.suffix.lower() == ".png"
    grey = ("uint8", "uint16") if png else ("uint8", "uint16", "uint32", "float32")
    if (layout.channels == 1 and layout.dtype.name in grey) or (layout.channels == 3 and layout.dtype == np.uint8):
        return
    advice = " Write a .tif." if png and layout.channels == 1 else ""
    raise OutputError(
        f"{path} cannot hold {layout.channels} channels of {layout.dtype}; masks of this kind have 1 of "
        f"{', '.join(grey)}, or 3 of uint8.{advice}"
    )
