"""Mask files of several pages: a multi-page TIFF, written page by page, complete on a clean end or absent."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

from ushape.atomic import replacing
from ushape.errors import OutputError
from ushape.geometry.tiles import Window

_MICROMETRES_PER_CENTIMETRE = 1e4


class MaskStack:
    """A stack in the making; `page` gives sinks for its pages, one after the other."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already. Write elsewhere, or allow it with --overwrite.")
        self.path = path

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            self._writer = stack.enter_context(tifffile.TiffWriter(temporary, bigtiff=True))
            self._open = stack.pop_all()
        return self

    def page(
        self,
        shape: tuple[int, int],
        dtype: DTypeLike,
        *,
        channels: int = 1,
        spacing: tuple[float, float] | None = None,
        description: str = "",
    ) -> StackPage:
        """A sink for the next page, kept in memory until it is left; `spacing` is (y, x) in micrometres."""
        stored = shape if channels == 1 else (*shape, channels)
        return StackPage(self._writer, np.zeros(stored, dtype=dtype), spacing, description)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


class StackPage:
    """Windows → one page of the stack, written on a clean end."""

    def __init__(
        self,
        writer: tifffile.TiffWriter,
        pixels: NDArray[np.generic],
        spacing: tuple[float, float] | None,
        description: str,
    ) -> None:
        self._writer, self._pixels, self._spacing, self._description = writer, pixels, spacing, description
        self._values_written = 0

    def __enter__(self) -> Self:
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        place = self._pixels[window.slices]
        assert pixels.shape == place.shape, f"{window} got pixels of shape {pixels.shape}, not {place.shape}"
        assert pixels.dtype == place.dtype, f"a page of {place.dtype} got {pixels.dtype}"
        place[...] = pixels
        self._values_written += pixels.size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        assert self._values_written >= self._pixels.size, f"{self._values_written} of {self._pixels.size} were written"
        per_centimetre = None
        if self._spacing is not None:
            per_centimetre = tuple(_MICROMETRES_PER_CENTIMETRE / size for size in reversed(self._spacing))
        self._writer.write(
            self._pixels,
            photometric="rgb" if self._pixels.ndim == 3 else "minisblack",
            compression="zlib",
            metadata=None,
            description=self._description.encode() or None,
            software="ushape",
            resolution=per_centimetre,
            resolutionunit="NONE" if per_centimetre is None else "CENTIMETER",
        )
