"""What a slice says of itself decides what its numbers mean, and whether we take it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicom_files import dicom
from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import open_image

RNG = np.random.default_rng(9)
VOLUME = RNG.integers(0, 2000, (6, 9, 8)).astype(np.uint16)


def refused(path: Path, words: str) -> None:
    with pytest.raises(ImageError, match=words) as told:
        open_image(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_inverted_grey_is_turned_round(tmp_path: Path, dtype: str):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    pixels = RNG.integers(low, high, (9, 8)).astype(dtype)
    dicom(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(open_image(tmp_path / "a.dcm").read()[..., 0], low + high - pixels.astype(np.int64))


def test_colours_and_windows(tmp_path: Path):
    pixels = RNG.integers(0, 255, (9, 8, 3)).astype(np.uint8)
    dicom(tmp_path / "a.dcm", pixels)
    source = open_image(tmp_path / "a.dcm")
    assert (source.channels, source.dtype) == (3, np.uint8)
    np.testing.assert_array_equal(source.read(Window((2, 3), (7, 8))), pixels[2:7, 3:8])


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"NumberOfFrames": 3}, "holds 3 frames in one file"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "pixels of the kind PALETTE COLOR"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels, which its .* bytes cannot hold"),
        ({"BitsAllocated": 1}, "has 1 bits a pixel"),
    ],
)
def test_headers_that_we_do_not_take(tmp_path: Path, tags: dict, words: str):
    dicom(tmp_path / "a.dcm", VOLUME[0], **tags)
    refused(tmp_path / "a.dcm", words)
