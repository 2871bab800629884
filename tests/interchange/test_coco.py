"""COCO files: decoded here by independent means, they give back every pixel, box, area and class."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from numpy.typing import NDArray
from skimage.draw import polygon
from skimage.measure import regionprops

from ushape.errors import ImageError, OutputError
from ushape.interchange.coco import coco_file, run_lengths
from ushape.interchange.shapes import Shapes
from ushape.labels import Labels

CELL = Labels(("background", "cell"), (0, 255))
THREE = Labels(("background", "axon", "myelin"), (0, 128, 255))


def decoded(counts: list[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Run lengths down the columns, the first of them outside, which cover the whole image."""
    pixels: list[bool] = []
    for turn, length in enumerate(counts):
        pixels += [turn % 2 == 1] * length
    assert len(pixels) == shape[0] * shape[1]
    return np.array([pixels[x * shape[0] : (x + 1) * shape[0]] for x in range(shape[1])]).T


def drawn(segmentation: object, shape: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(segmentation, dict):
        assert segmentation["size"] == list(shape)
        return decoded(segmentation["counts"], shape)
    inside = np.zeros(shape, dtype=bool)
    for corners in segmentation:
        x, y = np.array(corners).reshape(-1, 2).T
        inside[polygon(y - 0.5, x - 0.5, shape)] = True
    return inside


def written(path: Path, labels: Labels, *images: Shapes) -> dict:
    with coco_file(path, labels) as coco:
        for shapes in images:
            coco.add(shapes)
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_small_file_by_hand(tmp_path: Path):
    first = Shapes("a.png", np.array([[0, 4, 4], [0, 0, 4]]))
    second = Shapes("b.png", np.array([[2, 2, 2], [2, 0, 2], [2, 2, 2], [0, 0, 9]]))
    assert written(tmp_path / "all.json", CELL, first, second) == {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 2, "width": 3},
            {"id": 2, "file_name": "b.png", "height": 4, "width": 3},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "segmentation": [[1, 0, 3, 0, 3, 2, 2, 2, 2, 1, 1, 1]],
                "area": 3,
                "bbox": [1, 0, 2, 2],
                "iscrowd": 0,
            },
            {
                "id": 2,
                "image_id": 2,
                "category_id": 1,
                "segmentation": {"size": [4, 3], "counts": [0, 3, 1, 1, 1, 1, 1, 3, 1]},
                "area": 8,
                "bbox": [0, 0, 3, 3],
                "iscrowd": 0,
            },
            {
                "id": 3,
                "image_id": 2,
                "category_id": 1,
                "segmentation": [[2, 3, 3, 3, 3, 4, 2, 4]],
                "area": 1,
                "bbox": [2, 3, 1, 1],
                "iscrowd": 0,
            },
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }


def test_every_object_comes_back_with_its_box_area_and_class(tmp_path: Path):
    rng = np.random.default_rng(5)
    maps = {f"{case}.tif": rng.integers(0, 6, (11, 7)).astype(np.uint32) for case in range(12)}
    classes = {name: (objects % 2 + (objects > 0)).astype(np.uint8) for name, objects in maps.items()}
    content = written(tmp_path / "a.json", THREE, *(Shapes(name, maps[name], classes[name]) for name in maps))
    assert [entry["id"] for entry in content["annotations"]] == [*range(1, len(content["annotations"]) + 1)]
    assert content["categories"] == [{"id": 1, "name": "axon"}, {"id": 2, "name": "myelin"}]
    for image, (name, objects) in zip(content["images"], maps.items(), strict=True):
        entries = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
        regions = regionprops(objects.astype(int))
        assert image["file_name"] == name and len(entries) == len(regions)
        for entry, region in zip(entries, regions, strict=True):
            top, left, bottom, right = region.bbox
            assert np.array_equal(drawn(entry["segmentation"], objects.shape), objects == region.label)
            assert entry["area"] == region.area and entry["bbox"] == [left, top, right - left, bottom - top]
            assert entry["category_id"] == region.label % 2 + 1 and entry["iscrowd"] == 0


def test_all_pixels_of_a_class_are_a_crowd(tmp_path: Path):
    classes = np.array([[1, 0, 2], [1, 255, 2]], dtype=np.uint8)
    axon, myelin = written(tmp_path / "a.json", THREE, Shapes("a.png", classes=classes))["annotations"]
    assert (axon["iscrowd"], axon["category_id"], axon["segmentation"]) == (1, 1, {"size": [2, 3], "counts": [0, 2, 4]})
    assert (myelin["iscrowd"], myelin["segmentation"]["counts"]) == (1, [4, 2])


def test_run_lengths_of_every_small_mask_in_every_place():
    for bits in product((False, True), repeat=6):
        mask = np.array(bits).reshape(3, 2)
        if not mask.any():
            continue
        for shape, (top, left) in product([(3, 2), (4, 2), (3, 3), (5, 4)], [(0, 0), (1, 0), (0, 1), (2, 2)]):
            if top + 3 <= shape[0] and left + 2 <= shape[1]:
                whole = np.zeros(shape, dtype=bool)
                whole[top : top + 3, left : left + 2] = mask
                counts = run_lengths(mask, (top, left), shape)
                assert np.array_equal(decoded(counts, shape), whole)
                assert min(counts[1:]) > 0 and counts[0] >= 0  # no run is empty or torn


@given(stnp.arrays(bool, stnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.booleans()))
def test_run_lengths_give_back_the_mask(mask: NDArray[np.bool_]):
    mask[0, 0] = True
    assert np.array_equal(decoded(run_lengths(mask, (0, 0), mask.shape), mask.shape), mask)


def test_all_bad_images_are_named_and_nothing_is_written(tmp_path: Path):
    good = Shapes("good.png", np.array([[1]]))
    with pytest.raises(ImageError) as refusal:
        written(
            tmp_path / "a.json",
            CELL,
            Shapes("one.png", np.ones((2, 2))),
            good,
            Shapes("two.png", np.array([[-1]])),
            good,
        )
    lines = str(refusal.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["one.png", "two.png", "good.png"]
    assert "two images have this name" in lines[2]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_when_the_work_is_broken_off(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), coco_file(tmp_path / "a.json", CELL):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_before_any_work(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"), coco_file(path, CELL):
        pytest.fail("the work began")
    with coco_file(path, CELL, overwrite=True):
        assert path.read_text() == "mine"
    assert json.loads(path.read_text()) == {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "cell"}],
    }
