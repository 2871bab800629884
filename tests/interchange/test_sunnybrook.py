"""Contours out and in again: the challenge's text files, called after the slices, hold the mask's very pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cine_files import beating, cine_series
from ushape.images.dicom import slice_name
from ushape.images.source import Page, read_mask
from ushape.interchange.subpixel import SmoothPolygon, smooth_polygons
from ushape.interchange.sunnybrook import sunnybrook_folder

SQUARE = np.array([[1.0, 2], [1, 4.5], [3, 4.5], [3, 2]])


def pieces(mask: np.ndarray) -> list[SmoothPolygon]:
    return smooth_polygons(np.where(mask, 0.9, -0.9).astype(np.float32), mask)


def test_what_is_written_is_read_as_the_same_masks(tmp_path: Path) -> None:
    classes = beating((10.2,))[0]
    folder = cine_series(tmp_path / "DICOM", classes)
    with sunnybrook_folder(tmp_path / "contours-auto") as contours:
        for index, one in enumerate(classes):
            contours.add(Page(folder, index, 4), "endocardium", pieces(one == 3))
            contours.add(Page(folder, index, 4), "epicardium", pieces(one >= 2))
        assert not (tmp_path / "contours-auto").exists()
    for index, one in enumerate(classes):
        name = slice_name(folder, index)
        assert (folder / f"{name}.dcm").is_file()
        inner, outer = (tmp_path / "contours-auto" / f"{name}-{side}contour-auto.txt" for side in "io")
        np.testing.assert_array_equal(read_mask(inner), one == 3)
        np.testing.assert_array_equal(read_mask(outer), np.where(one >= 2, one - 1, 0))


def test_a_file_has_one_polygon_from_the_middle_of_the_first_pixel(tmp_path: Path) -> None:
    small = SmoothPolygon(SQUARE / 2 + 5)
    with sunnybrook_folder(tmp_path / "c") as contours:
        contours.add(Page(Path("x/scan.png")), "endocardium", [small, SmoothPolygon(SQUARE, (SQUARE / 4 + 1.5,))])
        contours.add(Page(Path("x/stack.tif"), 3, 9), "epicardium", [small])
        contours.add(Page(Path("x/stack.tif"), 4, 9), "epicardium", [])
    assert (tmp_path / "c" / "scan-icontour-auto.txt").read_text() == "1.50 0.50\n4.00 0.50\n4.00 2.50\n1.50 2.50\n"
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        "scan-icontour-auto.txt", "stack_003-ocontour-auto.txt",
    ]  # fmt: skip


def test_contours_take_the_place_of_those_of_before_or_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "old-icontour-auto.txt").write_text("1 1\n")
    with sunnybrook_folder(tmp_path / "c") as contours:
        contours.add(Page(Path("new.png")), "endocardium", [SmoothPolygon(SQUARE)])
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["new-icontour-auto.txt"]
    try:
        with sunnybrook_folder(tmp_path / "d") as contours:
            contours.add(Page(Path("new.png")), "endocardium", [SmoothPolygon(SQUARE)])
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
