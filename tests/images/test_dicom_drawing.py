"""DICOM-SEG and RTSTRUCT are masks on the slices of their series, wherever these lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_files import SPACING_MM, segmentation, series, structures
from ushape.errors import ImageError
from ushape.images.source import open_image, pages, read_mask

RNG = np.random.default_rng(13)
VOLUME = RNG.integers(0, 900, (4, 30, 26)).astype(np.uint16)
ROWS, COLUMNS = np.mgrid[:30, :26]


def ball(radius: float) -> np.ndarray:
    """(4, 30, 26) discs on the middle two slices."""
    mask = np.zeros(VOLUME.shape, bool)
    mask[1:3] = np.hypot(ROWS - 14.2, COLUMNS - 12.7) < radius
    return mask


def disc(radius: float) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    return np.column_stack([12.7 + radius * np.cos(angles), 14.2 + radius * np.sin(angles)])


def masks(path: Path) -> np.ndarray:
    return np.stack([read_mask(page.path, page.index) for page in pages(path)])


def case(root: Path, name: str = "case") -> Path:
    """The series of a case; the path of its mask."""
    series(root / "images" / name, VOLUME)
    (root / "masks").mkdir(exist_ok=True)
    return root / "masks" / f"{name}.dcm"


def test_segments_are_classes_in_the_order_of_their_names(tmp_path: Path):
    path = segmentation(case(tmp_path), {"wall": ball(10), "cavity": ball(6)})
    np.testing.assert_array_equal(masks(path), np.where(ball(6), 1, 2 * ball(10)))
    assert open_image(path).spacing == pytest.approx((SPACING_MM[0] * 1000, SPACING_MM[1] * 1000))


def test_structures_are_filled_on_their_slices(tmp_path: Path):
    wall, cavity = [(1, disc(10)), (2, disc(10))], [(1, disc(6)), (2, disc(6))]
    path = structures(case(tmp_path), {"wall": wall, "cavity": cavity})
    np.testing.assert_array_equal(masks(path), np.where(ball(6), 1, 2 * ball(10)))


def test_a_polygon_within_a_polygon_is_a_hole(tmp_path: Path):
    path = structures(case(tmp_path), {"wall": [(2, disc(10)), (2, disc(6))]})
    wanted = (ball(10) & ~ball(6)).astype(np.uint8)
    wanted[1] = 0
    np.testing.assert_array_equal(masks(path), wanted)


def test_a_drawing_without_its_series_is_told(tmp_path: Path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    path = segmentation(tmp_path / "a" / "b" / "c" / "case.dcm", {"wall": ball(10)})
    with pytest.raises(ImageError, match=r"case\.dcm was drawn on a DICOM series that is not there"):
        open_image(path)


def test_parts_between_slices_and_beyond_them_are_told(tmp_path: Path):
    path = case(tmp_path)
    for z in (1.5, 4):
        structures(path, {"wall": [(z, disc(9))]})
        with pytest.raises(ImageError, match=f"it has a part at depth {z:.2f} of 4 slices"):
            open_image(path)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"ReferencedSeriesSequence": []}, "does not say which series"),
        ({"SegmentSequence": []}, "has 0 structures"),
        ({"Rows": 15, "Columns": 52}, "frames of 15 x 52, its series slices of 30 x 26"),
        ({"NumberOfFrames": 1 << 30}, "claims 1073741824 frames"),
        ({"PerFrameFunctionalGroupsSequence": [Dataset(), Dataset()]}, "cannot be read as DICOM"),
        ({"PerFrameFunctionalGroupsSequence": []}, "states the places of 0 of its 2 frames"),
    ],
)
def test_segmentations_that_cannot_be(tmp_path: Path, tags: dict, words: str):
    path = segmentation(case(tmp_path), {"wall": ball(10)}, **tags)
    with pytest.raises(ImageError, match=words):
        open_image(path)


def test_a_drawing_on_points_in_time_is_refused(tmp_path: Path):
    series(tmp_path / "images" / "case", np.stack([VOLUME, VOLUME]))
    path = segmentation(tmp_path / "case.dcm", {"wall": ball(10)})
    with pytest.raises(ImageError, match="a series of 2 points in time"):
        open_image(path)


def test_frames_beside_the_slices_are_told(tmp_path: Path):
    path = case(tmp_path)
    frames = segmentation(path, {"wall": ball(10)})
    data = pydicom.dcmread(frames)
    data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]
    data.save_as(path)
    with pytest.raises(ImageError, match="its frames begin where no slice does"):
        open_image(path)
