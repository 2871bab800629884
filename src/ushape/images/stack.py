"""Mask files of several pages: a multi-page TIFF, written page by page, complete on a clean end or absent."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

from ushape.atomic import replacing
from ushape.errors import OutputError
from ushape.images.page_buffer import PageBuffer

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
    ) -> PageBuffer:
        """A sink for the next page, kept in memory until it is left; `spacing` is (y, x) in micrometres."""
        stored = shape if channels == 1 else (*shape, channels)
        return PageBuffer(stored, dtype, partial(self._write, spacing, description))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _write(self, spacing: tuple[float, float] | None, description: str, pixels: NDArray[np.generic]) -> None:
        per_centimetre = None
        if spacing is not None:
            per_centimetre = tuple(_MICROMETRES_PER_CENTIMETRE / size for size in reversed(spacing))
        self._writer.write(
            pixels,
            photometric="rgb" if pixels.ndim == 3 else "minisblack",
            compression="zlib",
            metadata=None,
            description=description.encode() or None,
            software="ushape",
            resolution=per_centimetre,
            resolutionunit="NONE" if per_centimetre is None else "CENTIMETER",
        )
