"""What travels to workers and back are plain values, and a worker's answers are those of the process that asks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape import checkpoint
from ushape.images.source import Page, pages, read_mask
from ushape.predict.tiled import load
from ushape.predict.unfinished import Unfinished
from ushape.predict.worker import compute_block, order_for, plain_page, predict_image

IMAGE = np.random.default_rng(2).integers(0, 256, (1400, 30)).astype(np.uint8)


@pytest.fixture
def run(make_trained, tmp_path: Path) -> Path:
    checkpoint.write(tmp_path / "net.safetensors", make_trained())
    return tmp_path / "net.safetensors"


@pytest.fixture
def page(tmp_path: Path) -> Page:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    return pages(tmp_path / "a.tif")[0]


def test_a_block_and_a_whole_image_by_plain_values(run: Path, page: Page, tmp_path: Path):
    predictor = load(run, keep_px=64, flips=True, device="cpu")
    order = json.loads(json.dumps(order_for(predictor, run, threads=1)))
    expected = predictor.segment(IMAGE)
    kept = Unfinished(tmp_path / "kept", predictor, page, probability=False)
    kept.begin({})
    for number in kept.missing():
        assert compute_block(order, plain_page(page), None, str(kept.folder), False, number) == {"done": {}}
    again = Unfinished(tmp_path / "kept", predictor, page, probability=False)
    found = np.concatenate([part.classes for part in again.parts()])
    np.testing.assert_array_equal(np.where(found == 1, 255, 0), expected)
    told = predict_image(order, plain_page(page), None, str(tmp_path / "m"), {"overlay": True})
    assert json.loads(json.dumps(told))["done"]["files"] == [
        str(tmp_path / "m" / n) for n in ("a.tif", "a_overlay.png")
    ]
    np.testing.assert_array_equal(read_mask(tmp_path / "m" / "a.tif"), expected)


def test_where_to_predict_travels_as_the_place_of_a_mask(run: Path, page: Page, tmp_path: Path):
    tifffile.imwrite(tmp_path / "where.tif", np.array([[1], [0]], np.uint8))
    predictor = load(run, keep_px=64, device="cpu", by_rows=False)
    where = plain_page(Page(tmp_path / "where.tif"))
    order = order_for(predictor, run, threads=1)
    assert "done" in predict_image(order, plain_page(page), where, str(tmp_path / "m"), {})
    found = read_mask(tmp_path / "m" / "a.tif")
    np.testing.assert_array_equal(found[:700], predictor.segment(IMAGE)[:700])
    assert not found[700:].any() and predictor.segment(IMAGE)[700:].any()


def test_what_the_user_can_mend_comes_back_in_words(run: Path, page: Page, tmp_path: Path):
    order = order_for(load(run, device="cpu"), run, threads=1)
    missing = {**plain_page(page), "path": str(tmp_path / "gone.tif")}
    told = predict_image(order, missing, None, str(tmp_path / "m"), {})
    assert told["error"].startswith(f"There is no file {tmp_path / 'gone.tif'}")
    assert "(told by the worker on " in told["error"]
