"""Arrays larger than memory, on the disk for as long as they are needed."""

from __future__ import annotations

from typing import IO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ushape.geometry.tiles import Window

Value = TypeVar("Value", bound=np.generic)


class DiskArray(Generic[Value]):
    """An (H, W) array in an open file without buffer; 0 where nothing was put.

    It is written through the file, never through a memory map: there a full disk would end the process, here it is an
    OSError.
    """

    def __init__(self, file: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Value]) -> None:
        self._file, self._shape, self._dtype = file, shape, dtype
        file.truncate(shape[0] * shape[1] * dtype.itemsize)  # takes no room yet

    def put(self, window: Window, values: NDArray[Value]) -> None:
        """(h, w) values into a window of the array."""
        assert values.shape == window.shape, f"{window} got values of shape {values.shape}"
        top, left = window.start
        stored = np.ascontiguousarray(values, dtype=self._dtype)
        if window.shape[1] == self._shape[1]:
            self._put_run(top, 0, stored)
            return
        for number in range(window.shape[0]):
            self._put_run(top + number, left, stored[number])

    def read(self, window: Window) -> NDArray[Value]:
        """(h, w) values of a window, in memory."""
        stored: NDArray[Value] = np.memmap(self._file, self._dtype, "r", shape=self._shape)
        return np.array(stored[window.slices])

    def _put_run(self, y: int, x: int, values: NDArray[Value]) -> None:
        self._file.seek((y * self._shape[1] + x) * self._dtype.itemsize)
        rest = values.data.cast("B")
        while rest:
            rest = rest[self._file.write(rest) :]
