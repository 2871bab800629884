"""Contours hold the pixels whose middles they surround, on the slice that they were drawn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicom_files import dicom
from ushape.errors import ImageError
from ushape.images.contour import slice_of
from ushape.images.source import open_image, read_mask

IMAGE = np.random.default_rng(3).integers(0, 900, (40, 50)).astype(np.uint16)
ROWS, COLUMNS = np.mgrid[:40, :50]


def circle(path: Path, radius: float, centre: tuple[float, float] = (18.3, 24.6)) -> Path:
    """A circle around (y, x), as 720 points "x y" a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    points = [f"{centre[1] + radius * np.cos(a):.3f} {centre[0] + radius * np.sin(a):.3f}" for a in angles]
    path.write_text("\n".join(points) + "\n")
    return path


def slice_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom(path, IMAGE)
    return path


def test_nested_contours_are_nested_classes(tmp_path: Path):
    slice_file(tmp_path / "IM-0001-0048.dcm")
    outer = circle(tmp_path / "IM-0001-0048-ocontour-manual.txt", 12.0)
    inner = circle(tmp_path / "IM-0001-0048-icontour-manual.txt", 8.0)
    distance = np.hypot(ROWS - 18.3, COLUMNS - 24.6)
    np.testing.assert_array_equal(read_mask(outer), (distance < 12) * 1 + (distance < 8))
    np.testing.assert_array_equal(read_mask(inner), distance < 8)
    inner.unlink()
    np.testing.assert_array_equal(read_mask(outer), distance < 12)
    assert open_image(outer).spacing == pytest.approx((800, 700))


@pytest.mark.parametrize(
    ("image", "contour"),
    [
        ("SC-1/DICOM/IM-0001-0048.dcm", "SC-1/contours-manual/IRCCI-expert/IM-0001-0048-icontour-manual.txt"),
        ("DICOM/SC-01/IM-0001-0048.dcm", "Contours/SC-1/contours-manual/IRCCI-expert/IM-0001-0048-icontour-manual.txt"),
        ("SC-1/IM-0001-0048", "SC-1/IM-0001-0048-icontour-manual.txt"),
    ],
)
def test_a_contour_finds_the_slice_of_its_patient(tmp_path: Path, image: str, contour: str):
    wanted = slice_file(tmp_path / image)
    slice_file(tmp_path / image.replace("SC-", "SC-2"))  # another patient's slice of the same name
    assert slice_of(circle(tmp_path / contour, 5)) == wanted


def test_contours_without_a_slice_and_with_several_are_told(tmp_path: Path):
    path = circle(tmp_path / "a" / "b" / "c" / "d" / "IM-1-icontour-manual.txt", 5)
    with pytest.raises(ImageError, match=r"drawn on a slice IM-1\.dcm, which is not there"):
        open_image(path)
    for patient in ("x", "y"):
        slice_file(tmp_path / "a" / "b" / "c" / patient / "IM-1.dcm")
    with pytest.raises(ImageError, match="is not there"):
        open_image(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no contour"),
        ("1 2\n3 4\n", "at least three points"),
        ("1 2\n3 4\n5\n", "is no contour"),
        ("1 2\n3 x\n5 6\n", "is no contour"),
        ("1 2\n3 nan\n5 6\n", "is no contour"),
        ("1 2\n30 20\n5 60\n", "beyond its slice of 50 x 40 pixels"),
    ],
)
def test_what_is_no_contour_is_told(tmp_path: Path, text: str, words: str):
    slice_file(tmp_path / "IM-1.dcm")
    path = tmp_path / "IM-1-icontour-manual.txt"
    path.write_text(text + " " * (not text))
    with pytest.raises(ImageError, match=words):
        read_mask(path)


def test_a_contour_that_could_lie_on_several_slices(tmp_path: Path):
    for folder in ("DICOM", "again"):
        slice_file(tmp_path / "SC-1" / folder / "IM-1.dcm")
    slice_file(tmp_path / "SC-2" / "IM-1.dcm")
    path = circle(tmp_path / "contours" / "SC-1" / "IM-1-icontour-manual.txt", 5)
    with pytest.raises(ImageError, match="could lie on any of 2 slices of that name"):
        open_image(path)
