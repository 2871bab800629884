"""A DICOM series is the volume that SimpleITK makes of it, and what cannot be one is told in one message."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from dicom_files import ORIGIN, SPACING_MM, STEP_MM, TURN, dicom, series
from ushape.errors import ImageError
from ushape.images.source import grid_of, open_image, pages

RNG = np.random.default_rng(9)
VOLUME = RNG.integers(0, 2000, (6, 9, 8)).astype(np.uint16)


def read(folder: Path) -> np.ndarray:
    return np.stack([open_image(page.path, page.index).read()[..., 0] for page in pages(folder)])


def test_slices_are_sorted_along_their_normal(tmp_path: Path):
    folder = series(tmp_path / "1.2.840.113", VOLUME)
    assert [page.name for page in pages(folder)][:2] == ["1.2.840.113_000", "1.2.840.113_001"]
    np.testing.assert_array_equal(read(folder), VOLUME)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = SimpleITK.ReadImage(names)
    np.testing.assert_array_equal(read(folder), SimpleITK.GetArrayFromImage(image))
    grid = grid_of(folder)
    assert grid is not None
    for voxel in [(0, 0, 0), (7, 0, 5), (3, 8, 2)]:
        right, front, head = (grid.affine @ (*voxel, 1))[:3]
        np.testing.assert_allclose((-right, -front, head), image.TransformIndexToPhysicalPoint(voxel), atol=1e-3)


def test_cine_is_sorted_by_time_in_each_place(tmp_path: Path):
    cine = RNG.integers(0, 2000, (3, 4, 9, 8)).astype(np.uint16)
    folder = series(tmp_path / "cine", cine)
    np.testing.assert_array_equal(read(folder), cine.reshape(12, 9, 8))
    grid = grid_of(folder)
    assert grid is not None and grid.shape == (8, 9, 4, 3)
    assert open_image(folder, 5).spacing == pytest.approx((SPACING_MM[0] * 1000, SPACING_MM[1] * 1000))
    assert grid.slice_spacing == pytest.approx(STEP_MM * 1000)


def test_values_are_rescaled(tmp_path: Path):
    folder = series(tmp_path / "ct", VOLUME, RescaleSlope=2, RescaleIntercept=-1024)
    assert open_image(folder).dtype == np.float32
    np.testing.assert_array_equal(read(folder), VOLUME * 2.0 - 1024)


def test_slices_without_a_suffix_and_other_files_beside_them(tmp_path: Path):
    folder = series(tmp_path / "a", VOLUME)
    for path in sorted(folder.iterdir()):
        path.rename(path.with_suffix(""))
    (folder / "notes.txt").write_text("nothing")
    dicom(folder / "report.dcm", VOLUME[0], Rows=None, PixelData=None)
    np.testing.assert_array_equal(read(folder), VOLUME)


def test_a_slice_without_position_or_spacing(tmp_path: Path):
    folder = series(tmp_path / "a", VOLUME, ImagePositionPatient=None, PixelSpacing=None)
    assert open_image(folder).spacing is None
    assert len(pages(folder)) == 6


def refused(folder: Path, words: str) -> None:
    with pytest.raises(ImageError, match=words) as told:
        open_image(folder)
    assert str(folder) in str(told.value)


def test_a_missing_slice_is_named(tmp_path: Path):
    refused(
        series(tmp_path / "a", VOLUME, without=(2,)),
        r"slices 5 mm apart, but 10 mm between IM-000\d.dcm and IM-000\d.dcm: 1 missing there",
    )


def test_a_missing_point_in_time_is_named(tmp_path: Path):
    cine = np.zeros((3, 4, 9, 8), np.uint16)
    refused(series(tmp_path / "a", cine, without=(6,)), "3 slices at most places .* fewer at 1 of 4")


def test_slices_at_uneven_distances_are_refused(tmp_path: Path):
    folder = series(tmp_path / "a", VOLUME[:3])
    dicom(folder / "extra.dcm", VOLUME[3], ORIGIN + TURN[:, 2] * 12)
    refused(folder, "2 mm between .* and extra.dcm: the distances are uneven")


def test_several_series_in_one_folder(tmp_path: Path):
    folder = series(tmp_path / "a", VOLUME)
    dicom(folder / "scout.dcm", VOLUME[0], SeriesInstanceUID="1.2.4", SeriesNumber=1)
    refused(folder, r"slices of 2 series \(6 of series 7, 1 of series 1\)")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Rows": 8, "Columns": 9}, r"size \(height, width\)"),
        ({"PixelSpacing": [1, 1]}, r"size of a pixel \(mm\)"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "orientation"),
        ({"PixelRepresentation": 1}, "kind of pixels"),
    ],
)
def test_a_slice_that_is_unlike_the_others_is_named(tmp_path: Path, tags: dict, words: str):
    folder = series(tmp_path / "a", VOLUME)
    dicom(folder / "odd.dcm", VOLUME[0], ORIGIN + TURN[:, 2] * 30, **tags)
    refused(folder, f"differ in their {words}: .* odd.dcm")


def test_rows_and_columns_at_an_angle_are_refused(tmp_path: Path):
    refused(series(tmp_path / "a", VOLUME, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), "contradicts itself")


def test_a_folder_without_slices_is_a_folder(tmp_path: Path):
    with pytest.raises(ImageError, match="is a folder, not an image"):
        open_image(tmp_path)


def test_nibabel_is_told_the_same_place(tmp_path: Path):
    grid = grid_of(series(tmp_path / "a", VOLUME))
    assert grid is not None
    assert nibabel.aff2axcodes(grid.affine) == ("L", "P", "S")


def test_slices_saved_as_series_of_their_own_are_one_cine(tmp_path: Path):
    pixels = RNG.integers(0, 2000, (3, 4, 9, 8)).astype(np.uint16)
    whole, parted = series(tmp_path / "whole", pixels), tmp_path / "parted"
    parted.mkdir()
    for z in range(4):
        for t in range(3):
            place = ORIGIN + TURN[:, 2] * STEP_MM * z
            about = {"SeriesInstanceUID": f"1.2.3.{z}", "SeriesNumber": z, "TriggerTime": 30 * t}
            dicom(parted / f"{z}-{t}.dcm", pixels[t, z], place, **about)
    found, expected = grid_of(parted), grid_of(whole)
    assert found is not None and expected is not None and found.difference(expected) is None
    read = [open_image(page.path, page.index).read()[..., 0] for page in pages(parted)]
    np.testing.assert_array_equal(read, pixels.reshape(-1, 9, 8))
    (parted / "3-2.dcm").unlink()
    with pytest.raises(ImageError, match="holds the slices of 4 series"):
        open_image(parted)
