"""Regions for ImageJ, read back by roifile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi, roiread
from skimage.draw import polygon

from ushape.errors import ImageError, OutputError
from ushape.interchange.rois import roi_zip
from ushape.interchange.shapes import Shapes
from ushape.labels import Labels

CELL = Labels(("background", "cell/body"), (0, 255))
RING_AND_DOT = np.array([[4, 4, 4, 0], [4, 0, 4, 0], [4, 4, 4, 0], [0, 0, 0, 4]])


def written(path: Path, *pages: Shapes) -> list[ImagejRoi]:
    with roi_zip(path, CELL) as rois:
        for page in pages:
            rois.add(page)
    read = roiread(path)
    assert isinstance(read, list)
    return read


def drawn(region: ImagejRoi, shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = np.zeros(shape, dtype=bool)
    for path in region.coordinates(multi=True):
        inside[polygon(path[:, 1] - 0.5, path[:, 0] - 0.5, shape)] ^= True
    return inside


def test_one_ring_is_a_traced_region_on_the_corners_of_pixels(tmp_path: Path):
    (region,) = written(tmp_path / "a.zip", Shapes("a", np.array([[0, 0, 0], [0, 0, 12]])))
    assert region.roitype == ROI_TYPE.TRACED and not region.composite and not region.subpixelresolution
    assert region.coordinates().tolist() == [[2, 1], [3, 1], [3, 2], [2, 2]]
    assert region.name == "12-cell-body" and region.position == 0
    assert region.stroke_color == bytes([255, *CELL.colour(1)])


def test_pieces_and_holes_are_one_composite_region(tmp_path: Path):
    (region,) = written(tmp_path / "a.zip", Shapes("a", RING_AND_DOT))
    assert region.composite and len(region.coordinates(multi=True)) == 3
    assert (region.top, region.left, region.bottom, region.right) == (0, 0, 4, 4)
    assert np.array_equal(drawn(region, (4, 4)), RING_AND_DOT == 4)


def test_every_object_comes_back_pixel_for_pixel(tmp_path: Path):
    rng = np.random.default_rng(2)
    maps = [rng.integers(0, 4, (8, 13)) for _ in range(10)]
    regions = written(tmp_path / "a.zip", *(Shapes(f"{page}", objects) for page, objects in enumerate(maps)))
    assert len(regions) == sum(len(np.unique(objects)) - 1 for objects in maps)
    for region in regions:
        page, number = (int(word) for word in region.name.split("-")[:2])
        assert region.position == page
        assert np.array_equal(drawn(region, (8, 13)), maps[page - 1] == number)


def test_regions_of_several_pages_are_bound_to_their_page(tmp_path: Path):
    dot = np.array([[3]])
    empty = np.array([[0]])
    regions = written(tmp_path / "a.zip", Shapes("s_0", dot), Shapes("s_1", empty), Shapes("s_2", dot))
    assert [(region.name, region.position) for region in regions] == [("0001-3-cell-body", 1), ("0003-3-cell-body", 3)]


def test_places_beyond_16_bits_are_kept(tmp_path: Path):
    wide = np.zeros((3, 70_000), dtype=np.uint8)
    wide[1, 69_990:] = 1
    wide[1:, 10:40_000] = 2
    wide[0, 5] = 3
    wide[2, 69_000] = 3
    last, long, scattered = written(tmp_path / "a.zip", Shapes("a", wide))
    assert last.coordinates().tolist() == [[69_990, 1], [70_000, 1], [70_000, 2], [69_990, 2]]
    assert long.coordinates().tolist() == [[10, 1], [40_000, 1], [40_000, 3], [10, 3]]
    assert np.array_equal(drawn(scattered, wide.shape), wide == 3)


def test_the_same_objects_make_the_same_file(tmp_path: Path):
    for name in ("a.zip", "b.zip"):
        written(tmp_path / name, Shapes("a", RING_AND_DOT))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_all_bad_pages_are_named_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(ImageError) as refusal:
        written(tmp_path / "a.zip", Shapes("p", np.ones((2, 2))), Shapes("q", RING_AND_DOT), Shapes("r", -RING_AND_DOT))
    assert [line.partition(": ")[0] for line in str(refusal.value).splitlines()] == ["p", "r"]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_before_any_work(tmp_path: Path):
    path = tmp_path / "a.zip"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"), roi_zip(path, CELL):
        pytest.fail("the work began")
    with roi_zip(path, CELL, overwrite=True):
        assert path.read_text() == "mine"
    assert roiread(path) == []
