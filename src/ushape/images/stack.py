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

    def page(self, shape: tuple[int, int], dtype: DTypeLike, *, channels: int = 1) -> StackPage:
        """A sink for the next page, kept in memory until it is left."""
        stored = shape if channels == 1 else (*shape, channels)
        return StackPage(self._writer, np.zeros(stored, dtype=dtype))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


class StackPage:
    """Windows → one page of the stack, written on a clean end."""

    def __init__(self, writer: tifffile.TiffWriter, pixels: NDArray[np.generic]) -> None:
        self._writer, self._pixels = writer, pixels

    def __enter__(self) -> Self:
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        self._pixels[window.slices] = pixels

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            photometric = "rgb" if self._pixels.ndim == 3 else "minisblack"
            self._writer.write(self._pixels, photometric=photometric, compression="zlib", metadata=None)
