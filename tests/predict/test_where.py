"""Where to predict: which masks fit, what is skipped, and that inside nothing changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import Page, open_image, pages, read_mask
from ushape.object_rule import ObjectRule
from ushape.predict.conditions import conditions_of
from ushape.predict.files import Job, MaskWritten
from ushape.predict.ledger import Ledger
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor
from ushape.predict.where import Where, read_where, where_in

SHAPE = (1301, 90)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "a.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8))
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A tenth as large: some rows in the middle, left of the middle."""
    inside = np.zeros((130, 9), np.uint8)
    inside[50:80, :4] = 7
    (tmp_path / "where").mkdir()
    tifffile.imwrite(tmp_path / "where" / "a.tif", inside)
    return tmp_path / "where" / "a.tif"


def full(mask: Path) -> np.ndarray:
    """Inside or not, pixel by pixel, by the words of the docstring alone."""
    small = read_mask(mask) != 0
    rows = [int(y * small.shape[0] / SHAPE[0]) for y in range(SHAPE[0])]
    return small[rows][:, [int(x * small.shape[1] / SHAPE[1]) for x in range(SHAPE[1])]]


def test_windows_are_looked_up_in_the_mask_pixel_by_pixel(mask: Path):
    where, inside = read_where(Page(mask), SHAPE), full(mask)
    for window in [
        Window((0, 0), (16, 16)),
        Window((495, 20), (520, 50)),
        Window((500, 0), (790, 39)),
        Window((0, 0), SHAPE),
    ]:
        assert where.any(window) == inside[window.slices].any()
        outside = where.outside(window)
        assert (outside is None) == inside[window.slices].all()
        if outside is not None:
            np.testing.assert_array_equal(outside, ~inside[window.slices])


@pytest.mark.parametrize("rule", [None, ObjectRule(threshold=0.46)])
def test_inside_nothing_changes_outside_is_background_and_empty_tiles_are_not_computed(
    make_trained, image: Path, mask: Path, tmp_path: Path, monkeypatch, rule
):
    predictor = Predictor(make_trained(object_rule=rule), keep_px=64)
    classes, probability = predictor.whole(open_image(image))
    inside, read = full(mask), []
    expected = np.where(inside, probability[1], 0)
    real = Predictor._probability
    monkeypatch.setattr(Predictor, "_probability", lambda *words: (read.append(1), real(*words))[1])
    page = pages(image)[0]
    written: dict[str, MaskWritten] = {}
    for name, ledger in [
        ("straight", None),
        ("kept", Ledger(tmp_path / "kept", conditions_of(predictor), resume=False)),
    ]:
        read.clear()
        out = tmp_path / name
        job = Job(predictor, [page], out, probability=True, overlay=True, where=where_in(mask, [page]), ledger=ledger)
        *_, written[name] = job.events()
        found = open_image(out / "a_probability.tif").read()[..., 0]
        np.testing.assert_array_equal(found, expected)
        tiles = [Window((y, x), (min(y + 64, 1301), min(x + 64, 90))) for y in range(0, 1301, 64) for x in (0, 64)]
        computed = [tile for tile in tiles if inside[tile.slices].any()]
        assert len(read) == len(computed) < 8
        skipped = 1 - sum(np.prod(tile.shape) for tile in computed) / np.prod(SHAPE)
        assert written[name].skipped == pytest.approx(skipped)
        assert written[name].to_dict()["skipped"] == written[name].skipped
        if rule is None:
            np.testing.assert_array_equal(read_mask(out / "a.tif"), np.where(inside & (classes == 1), 255, 0))
    for name in ("a.tif", "a_overlay.png"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()


@pytest.mark.parametrize("shape", [(1301, 90), (651, 45), (650, 45), (131, 9), (130, 9), (2, 1)])
def test_masks_of_one_factor_fit_whatever_their_rounding(tmp_path: Path, shape: tuple[int, int]):
    tifffile.imwrite(tmp_path / "m.tif", np.ones(shape, np.uint8))
    assert read_where(Page(tmp_path / "m.tif"), SHAPE).outside(Window((0, 0), SHAPE)) is None


@pytest.mark.parametrize("shape", [(90, 1301), (1302, 90), (650, 48), (130, 20)])
def test_masks_of_another_picture_are_refused(tmp_path: Path, shape: tuple[int, int]):
    tifffile.imwrite(tmp_path / "m.tif", np.ones(shape, np.uint8))
    with pytest.raises(ImageError, match=rf"{shape[0]} x {shape[1]} pixels, and the image 1301 x 90.*such as 82 x 6"):
        read_where(Page(tmp_path / "m.tif"), SHAPE)


def test_masks_are_found_under_the_stems_and_all_that_are_missing_named(image: Path, mask: Path, tmp_path: Path):
    for name in ("b", "c"):
        tifffile.imwrite(image.with_name(f"{name}.tif"), np.zeros((20, 20), np.uint8))
    tifffile.imwrite(mask.with_name("c.tif"), np.zeros((3, 10), np.uint8))
    images = find_images([str(image.parent)])
    assert list(where_in(mask.parent, images[:1])) == images[:1]
    with pytest.raises(ImageError) as refused:
        where_in(mask.parent, images)
    first, second = str(refused.value).splitlines()
    assert "b.tif has no mask in" in first and "c.tif has 3 x 10 pixels" in second
    with pytest.raises(ImageError, match=r"a\.tif has no mask in"):
        where_in(mask, images)  # one file, and several images


def test_a_mask_of_one_page_is_for_all_pages_of_a_stack(tmp_path: Path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((3, 40, 40), np.uint8), photometric="minisblack")
    for number, name in [(1, "one"), (3, "three"), (2, "two")]:
        stack = np.arange(number * 16, dtype=np.uint8).reshape(number, 4, 4)
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="minisblack")
    stack = pages(tmp_path / "s.tif")
    assert [where.page.index for where in where_in(tmp_path / "one.tif", stack).values()] == [0, 0, 0]
    assert [where.page.index for where in where_in(tmp_path / "three.tif", stack).values()] == [0, 1, 2]
    with pytest.raises(ImageError, match=r"two\.tif has 2 pages, and .*s\.tif 3"):
        where_in(tmp_path / "two.tif", stack)


def test_nothing_inside_is_nothing_to_compute(make_trained, image: Path, tmp_path: Path, monkeypatch):
    page, predictor = pages(image)[0], Predictor(make_trained(), keep_px=64)
    monkeypatch.setattr(Predictor, "_probability", None)
    nothing = {page: Where(np.zeros((13, 1), bool), SHAPE)}
    *_, written = Job(predictor, [page], tmp_path / "m", where=nothing).events()
    assert written.skipped == 1 and not read_mask(tmp_path / "m" / "a.tif").any()
