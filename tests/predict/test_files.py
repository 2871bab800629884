"""Image files in, mask files out: under which names, with which values, whole or not at all, and what is refused."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ushape.checkpoint import Trained
from ushape.data.borders import separated
from ushape.errors import ImageError, OutputError, SizeError
from ushape.images.source import open_image, pages, read_mask
from ushape.labels import Labels
from ushape.metrics.trust import ExpectedDice
from ushape.object_rule import ObjectRule
from ushape.predict import object_map, picture, storage
from ushape.predict.files import Job, MaskWritten, TileDone
from ushape.predict.objects import find_objects
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor

MakeTrained = Callable[..., Trained]
THREE = Labels(("background", "axon", "myelin 2"), (0, 255, 128))


def noise(*shape: int, dtype: str = "uint8") -> NDArray[np.generic]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(dtype)


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix in (".tif", ".tiff"):
        colour = pixels.ndim == 3 and pixels.shape[2] == 3
        tifffile.imwrite(path, pixels, photometric="rgb" if colour else "minisblack")
    else:
        Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, shape in [("a.png", (40, 30)), ("b.jpg", (1, 1)), ("c.tif", (9, 50)), ("d.npy", (33, 17))]:
        save(tmp_path / "images" / name, noise(*shape))
    (tmp_path / "images" / "notes.txt").write_text("no image")
    save(tmp_path / "images" / "._a.png", noise(2, 2))  # as macOS leaves them on other disks
    (tmp_path / "images" / "folder.tif").mkdir()
    return tmp_path / "images"


@pytest.fixture
def predictor(make_trained: MakeTrained) -> Predictor:
    return Predictor(make_trained(), keep_px=16)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def run(predictor: Predictor, places: list[Path], out: Path, **options: bool) -> list[Path]:
    """Everything that was written."""
    events = list(Job(predictor, find_images(map(str, places)), out, **options).events())
    return [path for event in events if isinstance(event, MaskWritten) for path in event.paths]


def damaged(path: Path) -> Path:
    """A TIFF whose header is sound and whose last strip is not."""
    tifffile.imwrite(path, noise(60, 40), compression="zlib", rowsperstrip=10)
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages[0].dataoffsets[-1]
    with path.open("r+b") as file:
        file.seek(last)
        file.write(b"\xff" * 30)
    return path


# What comes out


def test_masks_lie_under_the_stems_of_the_images(predictor: Predictor, images: Path, tmp_path: Path):
    out = tmp_path / "deep" / "masks"
    written = run(predictor, [images], out)
    assert names(out) == ["a.png", "b.png", "c.tif", "d.tif"]  # TIFF and NumPy give TIFF, all else PNG
    assert sorted(written) == sorted(out.iterdir())
    for image, mask in zip(find_images([str(images)]), sorted(written), strict=True):
        expected = predictor.segment(open_image(image.path).read())
        np.testing.assert_array_equal(read_mask(mask), expected)
        assert open_image(mask).dtype == np.uint8


def test_masks_have_the_values_of_the_training_masks(make_trained: MakeTrained, images: Path, tmp_path: Path):
    for values, suffix in [((0, 300, 2), ".png"), ((0, 70_000, 2), ".tif")]:  # no PNG has 32 bits
        labels = Labels(("a", "b", "c"), values)
        (mask,) = run(Predictor(make_trained(labels=labels)), [images / "a.png"], tmp_path / suffix)
        assert mask.suffix == suffix
        assert set(np.unique(read_mask(mask))) <= set(values)
        np.testing.assert_array_equal(read_mask(mask), Predictor(make_trained(labels=labels)).segment(noise(40, 30)))


@pytest.mark.parametrize("name", ["a.png", "c.tif"])
def test_masks_are_coloured_where_the_training_masks_were(
    make_trained: MakeTrained, images: Path, tmp_path: Path, name: str
):
    labels = Labels(("black", "orange"), (0, 0xFF8001), coloured=True)
    (mask,) = run(Predictor(make_trained(labels=labels)), [images / name], tmp_path / "masks")
    assert mask.name == name
    assert set(np.unique(read_mask(mask, coloured=True))) <= {0, 0xFF8001}
    assert open_image(mask).channels == 3


def test_a_large_image_gives_a_tiff(predictor: Predictor, images: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(storage, "LARGEST_PLAIN_PIXELS", 40 * 30 - 1)
    run(predictor, [images / "a.png", images / "b.jpg"], tmp_path / "masks")
    assert names(tmp_path / "masks") == ["a.tif", "b.png"]
    with tifffile.TiffFile(tmp_path / "masks" / "a.tif") as file:
        assert file.is_ome and file.pages[0].is_tiled


def test_the_size_of_a_pixel_and_the_source_are_in_the_mask(predictor: Predictor, tmp_path: Path):
    path = tmp_path / "é.tif"
    tifffile.imwrite(path, noise(20, 30), resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    assert open_image(path).spacing == (1.0, 0.5)
    mask, probability = run(predictor, [path], tmp_path / "masks", probability=True)
    assert open_image(mask).spacing == open_image(probability).spacing == (1.0, 0.5)
    with tifffile.TiffFile(mask) as tiff:
        assert tiff.pages[0].description == "mask in é by ushape unet"
    with tifffile.TiffFile(probability) as tiff:
        assert tiff.pages[0].description == "probability of cell in é by ushape unet"


def test_a_name_that_is_no_text_does_no_harm(predictor: Predictor, tmp_path: Path):
    try:
        path = save(tmp_path / os.fsdecode(b"caf\xe9.png"), noise(5, 5))
    except OSError:
        pytest.skip("this file system takes no such name")
    (mask,) = run(predictor, [path], tmp_path / "masks")
    assert mask.stem == path.stem and mask.exists()


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (7, 2)])
def test_images_smaller_than_the_margin(make_trained: MakeTrained, tmp_path: Path, shape: tuple[int, int]):
    predictor = Predictor(make_trained(depth=4))
    assert min(shape) < predictor.trained.model.footprint.margin == 92
    mask, *_ = run(predictor, [save(tmp_path / "a.png", noise(*shape))], tmp_path / "m", probability=True, overlay=True)
    np.testing.assert_array_equal(read_mask(mask), predictor.segment(noise(*shape)))
    assert open_image(tmp_path / "m" / "a_overlay.png").shape == shape


def test_probabilities(make_trained: MakeTrained, images: Path, tmp_path: Path):
    predictor = Predictor(make_trained(), keep_px=16)
    run(predictor, [images / "a.png"], tmp_path / "two", probability=True)
    assert names(tmp_path / "two") == ["a.png", "a_probability.tif"]
    stored = open_image(tmp_path / "two" / "a_probability.tif")
    assert stored.dtype == np.float32
    _, expected = predictor.whole(open_image(images / "a.png"))
    np.testing.assert_array_equal(stored.read()[..., 0], expected[1])


def test_each_foreground_class_has_a_probability_file(make_trained: MakeTrained, images: Path, tmp_path: Path):
    predictor = Predictor(make_trained(labels=THREE))
    run(predictor, [images / "a.png"], tmp_path / "m", probability=True)
    assert names(tmp_path / "m") == ["a.png", "a_probability_axon.tif", "a_probability_myelin-2.tif"]
    _, expected = predictor.whole(open_image(images / "a.png"))
    for k, name in [(1, "axon"), (2, "myelin-2")]:
        stored = open_image(tmp_path / "m" / f"a_probability_{name}.tif").read()[..., 0]
        np.testing.assert_array_equal(stored, expected[k])


def test_classes_whose_names_differ_by_signs_only_have_files_of_their_own(make_trained, images: Path, tmp_path: Path):
    labels = Labels(("background", "G1/S", "g1-s"), (0, 1, 2))
    run(Predictor(make_trained(labels=labels)), [images / "a.png"], tmp_path / "m", probability=True)
    assert names(tmp_path / "m") == ["a.png", "a_probability_G1-S-1.tif", "a_probability_g1-s-2.tif"]


@pytest.mark.parametrize("rule", [None, ObjectRule()], ids=["classes", "objects"])
def test_the_uncertainty_is_that_of_the_whole_image_whatever_the_tiles(
    make_trained: MakeTrained, images: Path, tmp_path: Path, rule: ObjectRule | None
):
    trained = make_trained(object_rule=rule)
    trained = replace(trained, labels=replace(trained.labels, temperature=1.5))
    expected = trained.labels.uncertainty(Predictor(trained, keep_px=1000).whole(open_image(images / "a.png"))[1])
    for keep_px in (8, 16, 1000):
        out = tmp_path / f"{keep_px}"
        (_, found) = run(Predictor(trained, keep_px=keep_px), [images / "a.png"], out, uncertainty=True)
        assert found == out / "a_uncertainty.tif"
        stored = open_image(found)
        assert stored.dtype == np.float32
        np.testing.assert_allclose(stored.read()[..., 0], expected, atol=1e-5)
    assert 0 <= expected.min() < expected.max() <= 1
    with tifffile.TiffFile(found) as tiff:
        assert tiff.pages[0].description == "uncertainty in a by ushape unet"


def test_several_classes_have_one_uncertainty_and_a_stack_a_stack(make_trained: MakeTrained, tmp_path: Path):
    predictor, path = Predictor(make_trained(labels=THREE), keep_px=16), save(tmp_path / "s.tif", noise(2, 40, 30))
    run(predictor, [path], tmp_path / "m", probability=True, uncertainty=True)
    endings = ["", "_probability_axon", "_probability_myelin-2", "_uncertainty"]
    assert names(tmp_path / "m") == [f"s{ending}.tif" for ending in endings]
    for index in range(2):
        expected = THREE.uncertainty(predictor.whole(open_image(path, index))[1])
        found = open_image(tmp_path / "m" / "s_uncertainty.tif", index).read()[..., 0]
        np.testing.assert_array_equal(found, expected)


def test_each_page_has_the_dice_to_be_expected_of_it(make_trained: MakeTrained, images: Path, tmp_path: Path):
    stack = save(tmp_path / "s.tif", noise(2, 40, 30))
    predictor = Predictor(make_trained(), keep_px=16)
    events = list(Job(predictor, find_images([str(stack), str(images / "a.png")]), tmp_path / "m").events())
    written = {e.page.path.stem: e for e in events if isinstance(e, MaskWritten)}
    assert {name: list(e.expected_dice) for name, e in written.items()} == {"s": ["s_000", "s_001"], "a": ["a"]}
    for source, dice in [
        (open_image(stack, 1), written["s"].expected_dice["s_001"]),
        (open_image(images / "a.png"), written["a"].expected_dice["a"]),
    ]:
        assert dice == pytest.approx(ExpectedDice.of(*predictor.whole(source)).dice)
    assert written["s"].to_dict()["expected_dice"] == written["s"].expected_dice
    nothing = MaskWritten(written["a"].page, (), {"a": math.nan})
    about = {"image": str(images / "a.png"), "files": [], "expected_dice": {"a": None}, "damage": [], "mended": []}
    assert nothing.to_dict() == about


def test_overlays_show_the_image_under_its_classes(make_trained: MakeTrained, images: Path, tmp_path: Path):
    predictor = Predictor(make_trained(labels=THREE), keep_px=16)
    run(predictor, [images / "a.png"], tmp_path / "m", overlay=True)
    assert names(tmp_path / "m") == ["a.png", "a_overlay.png"]
    shown = np.asarray(Image.open(tmp_path / "m" / "a_overlay.png"))
    classes, _ = predictor.whole(open_image(images / "a.png"))
    expected = picture.overlay(open_image(images / "a.png").read(), classes, THREE)
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("keep_px", [8, 20, 1000])
@pytest.mark.parametrize("largest", [39, 20, 7])
def test_overlays_of_large_images_show_every_nth_pixel(
    make_trained: MakeTrained, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, keep_px: int
):
    monkeypatch.setattr(picture, "LARGEST_SIDE", largest)
    predictor = Predictor(make_trained(labels=THREE), keep_px=keep_px)
    run(predictor, [images / "a.png"], tmp_path / "m", overlay=True)
    step = -(-40 // largest)
    classes, _ = predictor.whole(open_image(images / "a.png"))
    thinned = picture.overlay(open_image(images / "a.png").read()[::step, ::step], classes[::step, ::step], THREE)
    shown = np.asarray(Image.open(tmp_path / "m" / "a_overlay.png"))
    assert max(shown.shape) <= largest
    np.testing.assert_array_equal(shown, thinned)


def test_events_tell_of_every_tile_and_every_file(predictor: Predictor, images: Path, tmp_path: Path):
    events = list(Job(predictor, find_images([str(images)]), tmp_path / "m").events())
    tiles = [e for e in events if isinstance(e, TileDone)]
    assert [e.page.name for e in events if isinstance(e, MaskWritten)] == ["a", "b", "c", "d"]
    assert [(e.done, e.total) for e in tiles if e.page.name == "a"] == [(n, 6) for n in range(1, 7)]


def test_a_file_is_complete_when_it_is_told_of(predictor: Predictor, images: Path, tmp_path: Path):
    for event in Job(predictor, find_images([str(images)]), tmp_path / "m").events():
        done = {file.name for file in (tmp_path / "m").iterdir() if not file.name.startswith(".")}
        if isinstance(event, MaskWritten):
            assert all(open_image(path).read().size for path in event.paths)
        else:
            assert event.page.name not in {Path(name).stem for name in done}


# Stacks


@pytest.mark.parametrize("name", ["s.tif", "s.npy"])
def test_a_stack_gives_stacks(make_trained: MakeTrained, tmp_path: Path, name: str):
    predictor = Predictor(make_trained(labels=THREE), keep_px=16)
    stack, out = noise(3, 40, 30), tmp_path / "m"
    written = run(predictor, [save(tmp_path / name, stack)], out, probability=True, overlay=True)
    overlays = [f"s_00{n}_overlay.png" for n in range(3)]
    assert names(out) == ["s.tif", *overlays, "s_probability_axon.tif", "s_probability_myelin-2.tif"]
    assert sorted(written) == sorted(out.iterdir())
    for index, image in enumerate(stack):
        _, probability = predictor.whole(open_image(tmp_path / name, index))
        np.testing.assert_array_equal(read_mask(out / "s.tif", index), predictor.segment(image))
        for k, of_class in [(1, "axon"), (2, "myelin-2")]:
            stored = open_image(out / f"s_probability_{of_class}.tif", index)
            assert stored.dtype == np.float32 and len(pages(stored.path)) == 3
            np.testing.assert_array_equal(stored.read()[..., 0], probability[k])


def test_a_stack_keeps_the_size_of_its_pixels(predictor: Predictor, tmp_path: Path):
    stack = tmp_path / "s.tif"
    tifffile.imwrite(stack, noise(2, 20, 30), resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    mask, probability = run(predictor, [stack], tmp_path / "m", probability=True)
    for page in [*pages(mask), *pages(probability)]:
        assert open_image(page.path, page.index).spacing == (1.0, 0.5)
    with tifffile.TiffFile(mask) as tiff:
        assert tiff.pages[1].description == "mask in s_001 by ushape unet"


def test_pages_of_a_stack_may_differ_in_size(predictor: Predictor, tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        for shape in [(20, 30), (7, 9)]:
            writer.write(noise(*shape), photometric="minisblack", metadata=None)
    (mask,) = run(predictor, [tmp_path / "s.tif"], tmp_path / "m")
    assert [open_image(mask, index).shape for index in range(2)] == [(20, 30), (7, 9)]


def test_one_page_of_a_stack_alone(predictor: Predictor, tmp_path: Path):
    page = pages(save(tmp_path / "s.tif", noise(3, 20, 30)))[2]
    events = list(Job(predictor, [page], tmp_path / "m").events())
    assert events[-1] == MaskWritten(page, (tmp_path / "m" / "s.tif",), events[-1].expected_dice)
    assert list(events[-1].expected_dice) == ["s_002"]
    np.testing.assert_array_equal(read_mask(tmp_path / "m" / "s.tif"), predictor.segment(noise(3, 20, 30)[2]))


# Objects


APART = ObjectRule(threshold=0.46, smallest_px=4)  # of the noise below, no probability is that to within 1e-5
BY_DISTANCE = ObjectRule("watershed", 0.46, "distance", smallest_px=4, grow_px=1)
BY_PROBABILITY = ObjectRule("watershed", 0.46, seed_threshold=0.49, fill_holes=False, smallest_px=4)


def waves(height: int = 47, width: int = 38) -> NDArray[np.uint8]:
    """Some tens of blobs under noise."""
    y, x = np.ogrid[:height, :width]
    noisy = 120 + 80 * np.sin(y / 3) * np.cos(x / 4) + np.random.default_rng(0).normal(0, 10, (height, width))
    return noisy.clip(0, 255).astype(np.uint8)


def objects_of(predictor: Predictor, path: Path, index: int = 0) -> NDArray[np.int32]:
    """Those of the whole probability."""
    rule = predictor.trained.object_rule
    assert rule is not None
    return find_objects(predictor.whole(open_image(path, index))[1][1], rule)


@pytest.mark.parametrize("rule", [APART, BY_DISTANCE, BY_PROBABILITY], ids=["apart", "distance", "probability"])
def test_objects_are_those_of_the_whole_probability_whatever_the_tiles(
    make_trained: MakeTrained, tmp_path: Path, rule: ObjectRule
):
    trained, path = make_trained(object_rule=rule), save(tmp_path / "a.png", waves())
    whole = Predictor(trained, keep_px=1000)
    assert np.abs(whole.whole(open_image(path))[1][1] - 0.46).min() > 1e-5
    for keep_px in (8, 20, 1000):
        predictor = Predictor(trained, keep_px=keep_px)
        (mask,) = run(predictor, [path], tmp_path / f"{keep_px}")
        assert mask.name == "a.tif"  # no PNG, whatever the image was
        numbers = read_mask(mask)
        assert open_image(mask).dtype == np.uint16
        np.testing.assert_array_equal(numbers, objects_of(predictor, path))
        np.testing.assert_array_equal(numbers, predictor.segment(waves()))
        if rule is not BY_PROBABILITY:  # which may part equally probable pixels by the last bit
            np.testing.assert_array_equal(numbers, objects_of(whole, path))
    assert numbers.max() > 15


def test_objects_are_numbered_from_1_in_reading_order(make_trained: MakeTrained, tmp_path: Path):
    predictor = Predictor(make_trained(object_rule=APART), keep_px=16)
    (mask,) = run(predictor, [save(tmp_path / "a.tif", waves())], tmp_path / "m")
    numbers, first = np.unique(read_mask(mask), return_index=True)
    assert numbers.tolist() == list(range(len(numbers)))
    assert (np.diff(first[1:]) > 0).all()


def test_an_object_map_keeps_the_size_of_a_pixel_and_says_where_it_comes_from(make_trained, tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", waves(), resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    (mask,) = run(Predictor(make_trained(object_rule=APART)), [tmp_path / "a.tif"], tmp_path / "m")
    assert open_image(mask).spacing == (1.0, 0.5)
    with tifffile.TiffFile(mask) as tiff:
        assert tiff.pages[0].description == "mask in a by ushape unet"


def test_an_image_without_objects_gives_a_map_of_zeros(make_trained: MakeTrained, tmp_path: Path):
    rule = ObjectRule(threshold=1.0)
    (mask,) = run(Predictor(make_trained(object_rule=rule)), [save(tmp_path / "a.png", waves())], tmp_path / "m")
    assert open_image(mask).dtype == np.uint16
    np.testing.assert_array_equal(read_mask(mask), np.zeros((47, 38)))


def test_objects_have_numbers_even_where_the_masks_were_coloured(make_trained: MakeTrained, tmp_path: Path):
    labels = Labels(("black", "orange"), (0, 0xFF8001), coloured=True)
    predictor = Predictor(make_trained(labels=labels, object_rule=APART))
    (mask,) = run(predictor, [save(tmp_path / "a.png", waves())], tmp_path / "m")
    assert open_image(mask).channels == 1
    np.testing.assert_array_equal(read_mask(mask), objects_of(predictor, tmp_path / "a.png"))


@pytest.mark.parametrize("name", ["s.tif", "s.npy"])
def test_a_stack_gives_a_stack_of_object_maps_with_all_that_is_wanted_beside(
    make_trained: MakeTrained, tmp_path: Path, name: str
):
    predictor, out = Predictor(make_trained(object_rule=APART), keep_px=16), tmp_path / "m"
    stack = np.stack([waves(), waves()[::-1], noise(47, 38).astype(np.uint8)])
    written = run(predictor, [save(tmp_path / name, stack)], out, probability=True, overlay=True)
    assert names(out) == ["s.tif", *(f"s_00{n}_overlay.png" for n in range(3)), "s_probability.tif"]
    assert sorted(written) == sorted(out.iterdir())
    for page in pages(out / "s.tif"):
        assert open_image(page.path, page.index).dtype == np.uint16
        numbers = read_mask(page.path, page.index)
        np.testing.assert_array_equal(numbers, objects_of(predictor, tmp_path / name, page.index))
        probability = open_image(out / "s_probability.tif", page.index).read()[..., 0]
        np.testing.assert_array_equal(numbers, find_objects(probability, APART))


def test_an_overlay_and_a_probability_beside_the_objects_of_one_image(make_trained: MakeTrained, tmp_path: Path):
    predictor, out = Predictor(make_trained(object_rule=BY_DISTANCE), keep_px=16), tmp_path / "m"
    run(predictor, [save(tmp_path / "a.png", waves())], out, probability=True, overlay=True)
    assert names(out) == ["a.tif", "a_overlay.png", "a_probability.tif"]
    numbers = read_mask(out / "a.tif")
    stored = open_image(out / "a_probability.tif")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(find_objects(stored.read()[..., 0], BY_DISTANCE), numbers)
    expected = picture.overlay(waves()[..., None], (separated(numbers) > 0).astype(np.uint8), predictor.trained.labels)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "a_overlay.png")), expected)


def test_more_objects_than_16_bits_number_take_32_in_an_image_and_are_refused_in_a_stack(
    make_trained: MakeTrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    predictor = Predictor(make_trained(object_rule=APART), keep_px=16)
    few, many = waves(), noise(47, 38).astype(np.uint8)
    counts = [int(predictor.segment(image).max()) for image in (few, many)]
    assert counts[0] < counts[1]
    monkeypatch.setattr(object_map, "_MOST_IN_UINT16", counts[0])  # as if the first had 65,535 objects
    for image, dtype in [(few, np.uint16), (many, np.uint32)]:
        (mask,) = run(predictor, [save(tmp_path / "a.png", image)], tmp_path / dtype.__name__)
        assert open_image(mask).dtype == dtype
        np.testing.assert_array_equal(read_mask(mask), predictor.segment(image))
    save(tmp_path / "s.tif", np.stack([few, many]))
    with pytest.raises(
        OutputError, match=r"s\.tif \(page 1 of 0 to 1\) has more than 65,535 objects.*Save its pages as single images"
    ):
        run(predictor, [tmp_path / "s.tif"], tmp_path / "stack", probability=True, overlay=True)
    assert names(tmp_path / "stack") == []


@pytest.mark.parametrize("rule", [None, APART], ids=["classes", "objects"])
@pytest.mark.parametrize("keep_px", [16, 1000])
def test_the_steps_of_each_page_are_told_one_by_one_and_the_last_once(
    make_trained: MakeTrained, tmp_path: Path, rule: ObjectRule | None, keep_px: int
):
    save(tmp_path / "images" / "a.png", waves())
    save(tmp_path / "images" / "s.tif", np.stack([waves()] * 2))
    found = find_images([str(tmp_path / "images")])
    events = list(Job(Predictor(make_trained(object_rule=rule), keep_px=keep_px), found, tmp_path / "m").events())
    for page in found:
        steps = [e for e in events if isinstance(e, TileDone) and e.page == page]
        told = [(e.done, e.total) for e in steps if not e.doing]
        tiles = 1 if keep_px == 1000 else 9
        total = tiles + (rule is not None)  # to find the objects is the last step
        assert told == [(n, total) for n in range(1, total + 1)]
        finding = [e.doing for e in steps if e.doing]
        assert [words[:16] for words in finding] == ["finding objects:"] * 2 * (rule is not None)  # strips, numbers
        assert all(e.done == total - 1 for e in steps if e.doing)


def test_a_region_that_memory_cannot_hold_leaves_nothing(make_trained: MakeTrained, tmp_path: Path):
    trained = make_trained(object_rule=ObjectRule(threshold=0.001))  # one region, the whole image
    save(tmp_path / "a.png", waves())
    with pytest.raises(
        SizeError, match=r"a\.tif has a connected region of 47 x 38 pixels.* Allow more, or raise the thr"
    ):
        run(Predictor(trained, keep_px=16, memory_bytes=20_000), [tmp_path / "a.png"], tmp_path / "m", probability=True)
    assert names(tmp_path / "m") == []


def test_stopping_at_any_step_leaves_objects_whole_or_absent(make_trained: MakeTrained, tmp_path: Path):
    predictor = Predictor(make_trained(object_rule=APART), keep_px=16)
    found = find_images([str(save(tmp_path / "a.png", waves()))])
    last = 13  # nine tiles, two steps of finding objects, the objects, the file
    for after in range(1, last + 1):
        events = Job(predictor, found, tmp_path / f"{after}").events()
        told = [next(events) for _ in range(after)]
        events.close()
        assert isinstance(told[-1], MaskWritten) == (after == last)
        assert names(tmp_path / f"{after}") == (["a.tif"] if after == last else [])


# Whole or not at all


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_damaged_image_leaves_the_masks_before_it_and_none_of_its_own(predictor: Predictor, tmp_path: Path):
    first, second = save(tmp_path / "1.tif", noise(30, 30)), damaged(tmp_path / "2.tif")
    with pytest.raises(ImageError, match=r"2\.tif cannot be read as a TIFF"):
        run(predictor, [first, second], tmp_path / "m", probability=True, overlay=True)
    assert names(tmp_path / "m") == ["1.tif", "1_overlay.png", "1_probability.tif"]
    np.testing.assert_array_equal(read_mask(tmp_path / "m" / "1.tif"), predictor.segment(noise(30, 30)))


def test_a_stack_with_a_damaged_page_leaves_nothing(predictor: Predictor, tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        for _ in range(3):
            writer.write(noise(60, 40), compression="zlib", metadata=None, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "s.tif") as tiff:
        last = tiff.pages[2].dataoffsets[0]
    with (tmp_path / "s.tif").open("r+b") as file:
        file.seek(last)
        file.write(b"\xff" * 30)
    with pytest.raises(ImageError, match=r"s\.tif"):
        run(predictor, [tmp_path / "s.tif"], tmp_path / "m", probability=True, overlay=True)
    assert names(tmp_path / "m") == []


@pytest.mark.parametrize("options", [{}, {"probability": True, "overlay": True}])
def test_stopping_in_the_middle_leaves_what_was_whole(predictor: Predictor, images: Path, tmp_path: Path, options):
    events = Job(predictor, find_images([str(images)]), tmp_path / "m", **options).events()
    for event in events:
        if isinstance(event, TileDone) and event.page.name == "c" and event.done == 2:
            break
    events.close()
    assert {name.split(".")[0].split("_")[0] for name in names(tmp_path / "m")} == {"a", "b"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_up_leaves_what_was_whole(
    predictor: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    events = Job(predictor, find_images([str(images)]), tmp_path / "m").events()
    while not isinstance(next(events), MaskWritten):
        pass
    monkeypatch.setattr(os, step, failing(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"b\.png cannot be written: .*The disk is full: free some space"):
        list(events)
    assert names(tmp_path / "m") == ["a.png"]


def test_a_disk_that_fills_up_in_the_middle_of_a_file(predictor: Predictor, tmp_path: Path):
    resource = pytest.importorskip("resource")  # of Unix alone
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    job = Job(predictor, find_images([str(save(tmp_path / "a.tif", noise(99, 99)))]), tmp_path / "m", probability=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match=r"a_probability\.tif cannot be written: File too large"):
            list(job.events())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path / "m") == []


def test_an_overlay_that_cannot_be_written_keeps_the_mask_back_too(
    predictor: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Image.Image, "save", failing(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"The disk is full: .*c_overlay\.png could not be written"):
        run(predictor, [images / "c.tif"], tmp_path / "m", overlay=True, probability=True)
    assert names(tmp_path / "m") == []


# What is refused before any work


@pytest.fixture
def no_work(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    monkeypatch.setattr(predictor, "tiles", lambda source: pytest.fail("predicted"))
    return predictor


@pytest.mark.parametrize("options", [{}, {"overlay": True}, {"probability": True}])
def test_existing_results_are_kept_unless_overwriting_is_asked_for(
    make_trained: MakeTrained, images: Path, tmp_path: Path, options: dict[str, bool]
):
    predictor, out = Predictor(make_trained()), tmp_path / "m"
    run(predictor, [images], out, **options)
    for path in out.iterdir():
        path.write_text("old")
    with pytest.raises(OutputError, match=rf"m already holds {len(names(out))} of these results \(a.*--overwrite, or"):
        run(predictor, [images], out, **options)
    assert {path.read_text() for path in out.iterdir()} == {"old"}
    run(predictor, [images], out, overwrite=True, **options)
    assert all(open_image(path).read().size for path in out.iterdir())


@pytest.mark.parametrize(
    ("name", "options"),
    [("d.tif", {}), ("d_overlay.png", {"overlay": True}), ("d_probability.tif", {"probability": True})],
)
def test_a_single_result_in_the_way_is_enough(no_work, images: Path, tmp_path: Path, name: str, options):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / name).write_text("old")
    (tmp_path / "m" / "other.tif").write_text("no matter")
    with pytest.raises(OutputError, match=rf"already holds 1 of these results \({name}\)"):
        run(no_work, [images], tmp_path / "m", **options)
    assert names(tmp_path / "m") == sorted([name, "other.tif"])


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ("a.png", "a_overlay.png", {"overlay": True}),
        ("a.png", "a_probability.tif", {"probability": True}),
    ],
)
def test_names_that_meet_only_in_what_is_made_are_refused(no_work, tmp_path: Path, first, second, options):
    places = [save(tmp_path / name, noise(5, 5)) for name in (first, second)]
    Job(no_work, find_images(map(str, places)), tmp_path / "m")
    with pytest.raises(OutputError, match=rf"files of the same name in .*{first} and .*{second}"):
        run(no_work, places, tmp_path / "m", **options)


def test_masks_do_not_take_the_place_of_the_images(no_work: Predictor, images: Path):
    before = (images / "c.tif").read_bytes()
    with pytest.raises(OutputError, match=r"would take the place of the images in .*\. Choose another folder"):
        run(no_work, [images], images, overwrite=True)
    assert (images / "c.tif").read_bytes() == before


def test_masks_may_lie_beside_images_of_other_names(predictor: Predictor, images: Path):
    run(predictor, [images / "b.jpg"], images)
    assert read_mask(images / "b.png").shape == (1, 1)
    assert open_image(images / "b.jpg").channels == 1


def test_every_image_that_the_network_cannot_take_is_named_at_once(no_work: Predictor, images: Path, tmp_path: Path):
    save(images / "e.tif", noise(6, 5, dtype="uint16"))
    save(images / "f.png", noise(6, 5, 3))
    save(images / "g.tif", noise(3, 6, 5, dtype="float32"))
    with pytest.raises(ImageError) as refused:
        run(no_work, [images], tmp_path / "m")
    lines = str(refused.value).splitlines()
    assert [Path(line.split(" ")[0]).name for line in lines] == ["e.tif", "f.png", "g.tif"]
    assert "uint16 pixels, but the network was trained on uint8" in lines[0]
    assert "3 channels, but the network was trained on 1" in lines[1]
    assert "(page 0 of 0 to 2) has float32 pixels" in lines[2]
    assert not (tmp_path / "m").exists()
