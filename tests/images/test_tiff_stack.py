"""Which pages of a TIFF are slices, by files that tifffile writes for ImageJ and OME."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape.errors import ImageError
from ushape.images.source import mask_of, volumes
from ushape.images.tiff_stack import tiff_stack
from ushape.images.volume import Stack

RNG = np.random.default_rng(2)


def written(path: Path, shape: tuple[int, ...], **options: object) -> Path:
    tifffile.imwrite(path, RNG.integers(0, 200, shape).astype(np.uint8), photometric="minisblack", **options)
    return path


def test_pages_of_a_plain_tiff_are_all_slices(tmp_path: Path):
    assert tiff_stack(written(tmp_path / "a.tif", (5, 8, 9))) == Stack(5)
    assert tiff_stack(written(tmp_path / "b.tif", (8, 9))) == Stack(1)


def test_imagej_tells_slices_frames_and_step(tmp_path: Path):
    about = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    assert tiff_stack(written(tmp_path / "a.tif", (5, 8, 9), imagej=True, metadata=about)) == Stack(5, 0.5)
    path = written(tmp_path / "b.tif", (3, 5, 8, 9), imagej=True, metadata={"axes": "TZYX"})
    assert tiff_stack(path) == Stack(5)
    np.testing.assert_array_equal(mask_of(volumes(path)[2]), tifffile.imread(path)[2])


def test_ome_tells_slices_frames_and_step(tmp_path: Path):
    about = {
        "axes": "TZYX",
        "PhysicalSizeZ": 300,
        "PhysicalSizeZUnit": "nm",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeY": 0.1,
    }
    path = written(tmp_path / "a.ome.tif", (2, 4, 8, 9), ome=True, metadata=about)
    assert tiff_stack(path).slices == 4
    assert tiff_stack(path).step == pytest.approx(0.3)
    np.testing.assert_array_equal(mask_of(volumes(path)[1]), tifffile.imread(path)[1])


@pytest.mark.parametrize(
    ("axes", "shape", "options", "words"),
    [
        ("TYX", (4, 8, 9), {"imagej": True}, "1 slices, 1 channels and 4 points in time"),
        ("ZCYX", (4, 2, 8, 9), {"imagej": True}, "4 slices, 2 channels"),
        ("CZYX", (2, 4, 8, 9), {"ome": True}, "4 slices, 2 channels"),
        ("ZTYX", (4, 3, 8, 9), {"ome": True}, "1 slices, 1 channels and 3 points in time"),
    ],
)
def test_pages_that_are_no_slices_are_refused(tmp_path: Path, axes: str, shape, options, words: str):
    path = written(tmp_path / f"a{'.ome' * ('ome' in options)}.tif", shape, metadata={"axes": axes}, **options)
    with pytest.raises(ImageError, match=f"{words}.*we take volumes of one channel"):
        tiff_stack(path)
