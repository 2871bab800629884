"""A gzip file read from any byte on: forward at the price of what lies between, backward from the beginning again."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

_BUFFER_BYTES = 1 << 20

MOST_BYTES_FROM_ONE = 1032
"""How far deflate can compress: 258 bytes in two bits, less what leads them in."""


class GzipReader:
    """The uncompressed bytes of a gzip file. Between two reads no file is open, but the place in it is kept, so that
    slices in a row cost one pass over the file; the latest slice is kept too, for the windows of it that follow.
    """

    def __init__(self, path: Path) -> None:
        self._stream = gzip.GzipFile(fileobj=io.BufferedReader(_Reopened(path), _BUFFER_BYTES), mode="rb")
        self._recent: tuple[int, int, bytes] = (0, 0, b"")

    def read_at(self, first: int, count: int) -> bytes:
        """`count` bytes from byte `first` on; EOFError where the file ends before that, OSError where it is damaged."""
        if self._recent[:2] != (first, count):
            self._stream.seek(first)
            found = self._stream.read(count)
            if len(found) < count:
                raise EOFError(f"the file ends {count - len(found)} bytes too early")
            self._recent = (first, count, found)
        return self._recent[2]


class _Reopened(io.RawIOBase):
    """A file that is open only while it is read."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._path.stat().st_size}
        self._position = starts[whence] + offset
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._position)
            count = file.readinto(buffer)
        self._position += count
        return count
