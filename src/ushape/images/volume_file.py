"""Slices of a volume → a file, one after the other: the header first, then each slice at its place or through a
compressor. A slice is held, never a volume; slices that do not come are 0.
"""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import IO, Protocol, Self

import numpy as np
from numpy.typing import NDArray

_COMPRESSION = 4  # masks hardly shrink further beyond


class Compressor(Protocol):
    """As those of gzip and zlib, behind one face."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class RawSlices:
    """Slices in any order, each at its place in the file. A context manager, as SqueezedSlices is."""

    def __init__(self, file: IO[bytes], head: bytes, slices: int, slice_bytes: int) -> None:
        self._file, self._first, self._slice_bytes = file, len(head), slice_bytes
        file.write(head)
        file.truncate(len(head) + slices * slice_bytes)  # takes no room yet

    def __enter__(self) -> Self:
        return self

    def put(self, index: int, pixels: NDArray[np.generic]) -> None:
        """(H, W) values of a slice."""
        self._file.seek(self._first + index * self._slice_bytes)
        self._file.write(stored(pixels))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held back."""


class SqueezedSlices:
    """Slices in ascending order, compressed as one stream; `head` stands before it, or in it.

    size_at: where in the head the length of the stream is written in the end, in as many digits as stand there.
    """

    def __init__(
        self,
        file: IO[bytes],
        head: bytes,
        slices: int,
        slice_bytes: int,
        compressor: Compressor,
        *,
        head_inside: bool = False,
        size_at: slice | None = None,
    ) -> None:
        self._file, self._slices, self._slice_bytes = file, slices, slice_bytes
        self._compressor, self._size_at, self._next = compressor, size_at, 0
        file.write(compressor.compress(head) if head_inside else head)
        self._head_bytes = 0 if head_inside else len(head)

    def __enter__(self) -> Self:
        return self

    def put(self, index: int, pixels: NDArray[np.generic]) -> None:
        """(H, W) values of a slice."""
        assert index >= self._next, f"slice {index} comes after {self._next - 1}; a stream takes them in order"
        self._leave_empty(index)
        self._file.write(self._compressor.compress(stored(pixels)))
        self._next = index + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        self._leave_empty(self._slices)
        self._file.write(self._compressor.flush())
        if self._size_at is not None:
            size = self._file.tell() - self._head_bytes
            self._file.seek(self._size_at.start)
            self._file.write(b"%0*d" % (self._size_at.stop - self._size_at.start, size))

    def _leave_empty(self, until: int) -> None:
        for _ in range(self._next, until):
            self._file.write(self._compressor.compress(bytes(self._slice_bytes)))


def gzip_compressor() -> Compressor:
    """One that writes a gzip file without a name or date in it."""
    return zlib.compressobj(_COMPRESSION, zlib.DEFLATED, 16 + zlib.MAX_WBITS)


def zlib_compressor() -> Compressor:
    return zlib.compressobj(_COMPRESSION)


def stored(pixels: NDArray[np.generic]) -> bytes:
    """Row after row, the least significant byte first."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
