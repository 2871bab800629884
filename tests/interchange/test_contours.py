"""Contours as JSON: in pixels, in millimetres, and in the patient where ITK puts the slice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from dicom_files import series
from ushape.errors import OutputError
from ushape.images.source import Page, grid_of
from ushape.interchange.contours import contour_file, slice_to_patient
from ushape.interchange.subpixel import SmoothPolygon

SQUARE = SmoothPolygon(np.array([[1.0, 2], [1, 4.5], [3, 4.5], [3, 2]]), (np.array([[1.5, 3], [2, 3], [2, 3.5]]),))


def test_places_are_in_pixels_and_millimetres(tmp_path: Path) -> None:
    path = tmp_path / "a_contours.json"
    with contour_file(path, "a.png") as contours:
        contours.add(Page(Path("a.png")), (8, 9), (0.5, 2.0), None, {"cavity": [SQUARE], "wall": []})
        contours.add(Page(Path("a.png")), (8, 9), None, None, {"cavity": [SQUARE]})
        assert not path.exists()
    about = json.loads(path.read_text(encoding="utf-8"))
    assert (about["format"], about["image"]) == ("ushape contours 1", "a.png")
    first, second = about["pages"]
    assert (first["height"], first["width"], first["pixel_mm"]) == (8, 9, [2.0, 0.5])
    (cavity,) = first["contours"]
    assert cavity["outer"] == {
        "px": [[2, 1], [4.5, 1], [4.5, 3], [2, 3]],
        "mm": [[4, 0.5], [9, 0.5], [9, 1.5], [4, 1.5]],
    }
    assert cavity["holes"][0]["px"] == [[3, 1.5], [3, 2], [3.5, 2]]
    assert cavity["area_px"] == 4.875 and cavity["area_mm2"] == 4.875
    assert second["pixel_mm"] is None and second["contours"][0]["area_mm2"] is None
    assert [*second["contours"][0]["outer"]] == ["px"]
    with pytest.raises(OutputError, match="exists already"), contour_file(path, "a.png"):
        pass


def test_places_in_the_patient_are_those_of_itk(tmp_path: Path) -> None:
    folder = series(tmp_path / "series", np.zeros((3, 5, 7), np.uint16))
    image = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    grid = grid_of(folder)
    assert grid is not None
    for z in range(3):
        matrix = slice_to_patient(grid, z)
        for y, x in [(0.0, 0.0), (3.5, 2.25)]:
            there = image.TransformContinuousIndexToPhysicalPoint((x - 0.5, y - 0.5, float(z)))
            np.testing.assert_allclose(matrix @ (x, y, 1), there, atol=1e-3)
    with contour_file(tmp_path / "c.json", "series") as contours:
        contours.add(Page(folder, 2, 3), (5, 7), None, slice_to_patient(grid, 2), {"cavity": [SQUARE]})
    (page,) = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["pages"]
    there = image.TransformContinuousIndexToPhysicalPoint((1.5, 0.5, 2.0))
    np.testing.assert_allclose(page["contours"][0]["outer"]["patient_mm"][0], there, atol=2e-3)
