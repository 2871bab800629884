"""A page of a file of several, in memory until all of its windows are there."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ushape.geometry.tiles import Window


class PageBuffer:
    """Windows → one page, 0 at first; a context manager on whose clean end `done` gets all of it."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, done: Callable[[NDArray[np.generic]], None]) -> None:
        self._pixels: NDArray[np.generic] = np.zeros(shape, dtype=dtype)
        self._done, self._values_written = done, 0

    def __enter__(self) -> Self:
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        """Values of a window, which must not be written twice."""
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
        self._done(self._pixels)
