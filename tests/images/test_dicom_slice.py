"""What a slice says of itself decides what its numbers mean, and whether we take it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from dicom_files import dicom, enhanced, series
from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.dicom import is_series, slice_name
from ushape.images.dicom_slice import dicom_slices
from ushape.images.source import grid_of, open_image, pages
from ushape.predict.sources import find_images

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
        ({"NumberOfFrames": 3}, "holds 3 frames in one file and says of none where it lies"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "pixels of the kind PALETTE COLOR"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels, which its .* bytes cannot hold"),
        ({"BitsAllocated": 1}, "has 1 bits a pixel"),
    ],
)
def test_headers_that_we_do_not_take(tmp_path: Path, tags: dict, words: str):
    dicom(tmp_path / "a.dcm", VOLUME[0], **tags)
    refused(tmp_path / "a.dcm", words)


@pytest.mark.parametrize("shared", [True, False])
def test_an_enhanced_file_is_the_series_of_its_frames(tmp_path: Path, shared: bool):
    pixels = RNG.integers(0, 2000, (3, 4, 9, 8)).astype(np.uint16)
    one, many = enhanced(tmp_path / "e.dcm", pixels, shared=shared), series(tmp_path / "many", pixels)
    assert len(pages(one)) == 12
    found, expected = grid_of(one), grid_of(many)
    assert found is not None and expected is not None
    assert found.shape == (8, 9, 4, 3) and found.difference(expected) is None and found.measured
    read = np.stack([open_image(page.path, page.index).read()[..., 0] for page in pages(one)])
    np.testing.assert_array_equal(read, pixels.reshape(-1, 9, 8) * 2.0 - 5)
    assert open_image(one, 5).spacing == open_image(many, 5).spacing
    part = open_image(one, 5).read(Window((2, 3), (7, 8)))[..., 0]
    np.testing.assert_array_equal(part, pixels[1, 1, 2:7, 3:8] * 2.0 - 5)
    stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(one)))  # in the order of the file
    assert sorted(map(bytes, stored.astype(np.float32))) == sorted(map(bytes, read.astype(np.float32)))
    assert slice_name(one, 0).startswith("e-00") and len({slice_name(one, k) for k in range(12)}) == 12
    assert sum("frame" in each.name for each in dicom_slices(one)) == 12


def test_a_folder_with_one_enhanced_file_is_a_series_and_several_are_files(tmp_path: Path):
    pixels = RNG.integers(0, 2000, (2, 3, 9, 8)).astype(np.uint16)
    enhanced(tmp_path / "a" / "e.dcm", pixels)
    assert is_series(tmp_path / "a") and len(find_images([str(tmp_path / "a")])) == 6
    enhanced(tmp_path / "a" / "f.dcm", pixels, SeriesInstanceUID="1.2.4")
    assert not is_series(tmp_path / "a")
    assert {page.path.name for page in find_images([str(tmp_path / "a")])} == {"e.dcm", "f.dcm"}


def test_frames_that_contradict_the_file_are_told(tmp_path: Path):
    pixels = RNG.integers(0, 2000, (1, 3, 9, 8)).astype(np.uint16)
    refused(enhanced(tmp_path / "a.dcm", pixels, NumberOfFrames=4), "tells of 3 of its 4 frames")
    short = enhanced(tmp_path / "b.dcm", pixels)
    data = pydicom.dcmread(short)
    del data.PerFrameFunctionalGroupsSequence[1]["PlanePositionSequence"].value[0]["ImagePositionPatient"]
    data.save_as(short)
    assert open_image(short).page.pages == 3  # without all places, frames keep the order of the file
    data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence = []
    data.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient = [1, 2]
    data.save_as(tmp_path / "c.dcm")
    refused(tmp_path / "c.dcm", "cannot be read as DICOM")
