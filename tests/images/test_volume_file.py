"""Slices to a file: raw ones at their places in any order, compressed ones in theirs, and what is left out is 0."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pytest

from ushape.images.volume_file import RawSlices, SqueezedSlices, gzip_compressor, stored, zlib_compressor

HEAD = b"HEAD 0000 "
ONE, TWO = (np.arange(6, dtype=np.uint16).reshape(2, 3) + k for k in (1, 300))
EMPTY = bytes(12)


def test_raw_slices_lie_at_their_places(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file, RawSlices(file, HEAD, 4, 12) as slices:
        slices.put(2, TWO)
        slices.put(0, ONE)
    assert (tmp_path / "a").read_bytes() == HEAD + ONE.tobytes() + EMPTY + TWO.tobytes() + EMPTY


def test_a_stream_holds_the_same_with_its_head_before_or_inside() -> None:
    expected = ONE.tobytes() + EMPTY + TWO.tobytes() + EMPTY
    for compressor, unpack in ((gzip_compressor, gzip.decompress), (zlib_compressor, zlib.decompress)):
        for inside in (False, True):
            file = io.BytesIO()
            with SqueezedSlices(file, HEAD, 4, 12, compressor(), head_inside=inside) as slices:
                slices.put(0, ONE)
                slices.put(2, TWO)
            found = file.getvalue()
            assert (unpack(found) if inside else found[: len(HEAD)] + unpack(found[len(HEAD) :])) == HEAD + expected


def test_the_length_of_a_stream_is_told_in_its_head() -> None:
    file = io.BytesIO()
    with SqueezedSlices(file, HEAD, 1, 12, zlib_compressor(), size_at=slice(5, 9)) as slices:
        slices.put(0, ONE)
    head, stream = file.getvalue()[: len(HEAD)], file.getvalue()[len(HEAD) :]
    assert head == b"HEAD %04d " % len(stream)


def test_a_stream_takes_no_slice_of_before() -> None:
    slices = SqueezedSlices(io.BytesIO(), HEAD, 4, 12, zlib_compressor())
    slices.put(2, TWO)
    with pytest.raises(AssertionError, match="slice 1 comes after 2"):
        slices.put(1, ONE)


def test_numbers_are_stored_with_the_least_byte_first() -> None:
    assert stored(np.array([[1]], ">u2")) == b"\x01\x00" == stored(np.array([[1]], "<u2"))
