"""The law of the project, through the very object that users call; and what else a Predictor promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.engines import substitution
from ushape.engines.choice import Choice
from ushape.ensemble import Ensemble
from ushape.errors import CheckpointError, ImageError, RecipeError
from ushape.geometry.tiles import Window, plan
from ushape.images.source import from_array, open_image
from ushape.labels import Labels
from ushape.models.segmenter import Segmenter
from ushape.predict import tiled
from ushape.predict.bands import BandPlanner
from ushape.predict.tile_memory import bytes_per_pixel, largest_keep
from ushape.predict.tiled import Predictor, load

MakeTrained = Callable[..., Trained]
THREE = Labels(("background", "axon", "myelin"), (0, 255, 128))
WHOLE = 1 << 20  # a kept part that no image here reaches


def noise(*shape: int, dtype: str = "uint8") -> NDArray[np.generic]:
    """Blobs under noise, so that the network's answer changes from place to place."""
    rng = np.random.default_rng(sum(shape))
    y, x = np.ogrid[: shape[0], : shape[1]]
    waves = 60 * np.sin(y / 9) * np.cos(x / 13)
    return (
        (120 + waves.reshape(shape[:2] + (1,) * (len(shape) - 2)) + rng.normal(0, 25, shape)).clip(0, 255).astype(dtype)
    )


def require_the_law(trained: Trained, image: NDArray[np.generic], keep_px: int, *, flips: bool) -> None:
    classes, probability = Predictor(trained, flips=flips, keep_px=WHOLE).whole(from_array(image))
    tiled_classes, tiled = Predictor(trained, flips=flips, keep_px=keep_px).whole(from_array(image))
    assert np.abs(tiled - probability).max() <= 1e-5
    assert np.count_nonzero(tiled_classes != classes) == 0
    assert np.abs(probability.sum(axis=0) - 1).max() < 1e-5


@pytest.mark.parametrize("flips", [False, True], ids=["plain", "flips"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_tile_size_never_changes_the_answer(make_trained: MakeTrained, depth: int, padding: str, flips: bool):
    trained = make_trained(labels=THREE, depth=depth, padding=padding)

    @settings(max_examples=15 if flips else 40, deadline=None, derandomize=True, database=None)
    @given(height=st.integers(1, 150), width=st.integers(1, 130), parts=st.floats(1, 5), other=st.integers(0, 15))
    @example(height=1, width=1, parts=1, other=0)
    @example(height=1, width=130, parts=3, other=1)
    @example(height=150, width=130, parts=2, other=7)
    def holds(height: int, width: int, parts: float, other: int) -> None:
        keep_px = int(max(height, width) / parts) + other  # few tiles a side, on the pooling grid or off it
        require_the_law(trained, noise(height, width), keep_px, flips=flips)

    holds()


@pytest.mark.parametrize(("padding", "flips"), [("valid", False), ("valid", True), ("same", False)])
def test_the_law_at_the_published_depth(make_trained: MakeTrained, padding: str, flips: bool):
    trained = make_trained(depth=4, padding=padding)
    assert trained.model.footprint.margin == (92 if padding == "valid" else 96)
    for shape, keep_px in [((150, 130), 48), ((33, 1), 16), ((97, 61), 64)]:
        require_the_law(trained, noise(*shape), keep_px, flips=flips)


@pytest.mark.parametrize(
    "options", [{"normalisation": "batch"}, {"skip": "add"}, {"skip": "none"}, {"padding": "same"}]
)
def test_every_keep_size_from_one_pixel_up(make_trained: MakeTrained, options: dict[str, str]):
    trained, image = make_trained(depth=1, **options), noise(23, 17)
    for keep_px in range(1, 25):
        require_the_law(trained, image, keep_px, flips=keep_px == 6)


@pytest.fixture
def by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the smallest image passes row by row."""
    monkeypatch.setattr("ushape.predict.strategy._AT_ONCE", 0)


@pytest.mark.usefixtures("by_rows")
@pytest.mark.parametrize("options", [{}, {"padding": "same", "normalisation": "batch"}, {"depth": 4, "width": 2}])
def test_passing_by_rows_in_bands_of_any_width_never_changes_the_answer(make_trained: MakeTrained, options: dict):
    trained = make_trained(labels=THREE, **options)
    least = BandPlanner.of(trained.model).least_bytes

    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    @given(height=st.integers(1, 200), width=st.integers(1, 130), spare=st.sampled_from([0.4, 1.0, 9.0]))
    @example(height=1, width=1, spare=0.0)
    @example(height=150, width=50, spare=0.2)
    def holds(height: int, width: int, spare: float) -> None:
        image = from_array(noise(height, width))
        classes, probability = Predictor(trained, keep_px=WHOLE).whole(image)
        by_rows = Predictor(trained, memory_bytes=int(least * (1 + spare)))
        assert len(list(by_rows.tiles(image))) >= height // 100
        rows_classes, rows = by_rows.whole(image)
        assert np.abs(rows - probability).max() <= 1e-5
        assert (rows_classes == classes).all()

    holds()


@pytest.mark.usefixtures("by_rows")
def test_rows_come_band_after_band_and_count_themselves(make_trained: MakeTrained):
    trained, image = make_trained(), noise(150, 100)
    predictor = Predictor(trained, memory_bytes=2 * BandPlanner.of(trained.model).least_bytes)
    parts = list(predictor.tiles(from_array(image)))
    lefts = [part.window.start[1] for part in parts]
    assert lefts == sorted(lefts) and len(set(lefts)) > 1
    covered = np.zeros(image.shape, dtype=int)
    for part in parts:
        covered[part.window.slices] += 1
        assert (part.pixels[..., 0] == image[part.window.slices]).all()
        assert part.probability.shape == (2, *part.window.shape) and part.classes.shape == part.window.shape
    assert (covered == 1).all()
    done = [part.done for part in parts]
    assert done == sorted(done) and {part.total for part in parts} == {done[-1]}


@pytest.mark.usefixtures("by_rows")
def test_several_networks_pass_side_by_side_and_share_the_memory(make_trained: MakeTrained):
    members = (make_trained(), make_trained(), make_trained())
    members[1].model.head.weight.data.mul_(-0.5)
    together, image = Ensemble(members, members[0]), from_array(noise(120, 90))
    least = BandPlanner.of(members[0].model).least_bytes
    classes, probability = Predictor(together, keep_px=WHOLE).whole(image)
    rows_classes, rows = Predictor(together, memory_bytes=3 * least).whole(image)
    assert np.abs(rows - probability).max() <= 1e-5 and (rows_classes == classes).all()
    with pytest.raises(RecipeError, match="narrowest band"):
        Predictor(together, memory_bytes=3 * least - 3)


@pytest.mark.usefixtures("by_rows")
def test_filters_of_minimal_filtering_count_as_memory_and_give_way(
    make_trained: MakeTrained, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(substitution, "_gain", lambda made, channels: 2.0)
    trained, image = make_trained(width=16), from_array(noise(150, 100))
    least = BandPlanner.of(trained.model).least_bytes
    filters = []
    for memory in (least, 2 * least, 64 * least):
        predictor = Predictor(trained, engine="torch", memory_bytes=memory)
        (engine,) = predictor.engines
        bands = predictor._strategy.bands(image.shape)
        filters.append(substitution.filter_bytes(engine.model))
        assert bands.bytes + filters[-1] <= memory
        assert np.abs(predictor.whole(image)[1] - Predictor(trained, keep_px=WHOLE).whole(image)[1]).max() <= 1e-5
    assert filters[0] == 0 < filters[-1]


def test_a_small_image_is_one_tile_and_a_large_one_passes_by_rows(make_trained: MakeTrained):
    predictor = Predictor(make_trained())
    assert len(list(predictor.tiles(from_array(noise(300, 300))))) == 1
    assert len(list(predictor.tiles(from_array(noise(1100, 1000))))) > 5
    assert len(list(Predictor(make_trained(), flips=True).tiles(from_array(noise(1100, 1000))))) == 1


def test_colour_images_and_windows_of_a_compressed_tiff_keep_the_law(make_trained: MakeTrained, tmp_path: Path):
    trained = make_trained(channels=3, labels=THREE)
    image = noise(90, 70, 3)
    require_the_law(trained, image, 20, flips=False)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(32, 16), compression="zlib", photometric="rgb")
    _, from_file = Predictor(trained, keep_px=24).whole(open_image(tmp_path / "a.tif"))
    _, from_memory = Predictor(trained, keep_px=WHOLE).whole(from_array(image))
    assert np.abs(from_file - from_memory).max() <= 1e-5


def test_bfloat16_is_close_to_float32(make_trained: MakeTrained):
    trained, source = make_trained(), from_array(noise(60, 40))
    _, exact = Predictor(trained).whole(source)
    _, fast = Predictor(trained, precision="bfloat16").whole(source)
    assert 1e-5 < np.abs(exact - fast).max() < 0.05


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (64, 48)])
def test_the_answer_is_that_of_one_pass_over_the_mirrored_image(make_trained: MakeTrained, padding: str, shape):
    trained, image = make_trained(depth=3, padding=padding), noise(*shape)
    footprint = trained.model.footprint
    around = [(footprint.margin, footprint.input_for(n) - footprint.margin - n) for n in shape]
    mirrored = np.pad(image, around, mode="reflect").astype(np.float32)
    x = torch.from_numpy((mirrored - np.float32(120)) / np.float32(70))[None, None]
    with torch.inference_mode():
        logits = trained.model(x)[0].numpy()
    margin = footprint.margin if footprint.padded else 0  # of a padded network, what zeros reach is of no use
    logits = logits[:, margin : margin + shape[0], margin : margin + shape[1]]
    powers = np.exp(logits - logits.max(axis=0))
    classes, probability = Predictor(trained, keep_px=16).whole(from_array(image))
    assert np.abs(probability - powers / powers.sum(axis=0)).max() <= 1e-5
    assert (classes == logits.argmax(axis=0)).all()


# Tiles


def test_tiles_come_in_reading_order_and_count_themselves(make_trained: MakeTrained):
    image = noise(50, 37)
    tiles = list(Predictor(make_trained(), keep_px=16).tiles(from_array(image)))
    assert [t.window.start for t in tiles] == [(y, x) for y in (0, 16, 32, 48) for x in (0, 16, 32)]
    assert [t.done for t in tiles] == list(range(1, 13)) and {t.total for t in tiles} == {12}
    for tile in tiles:
        assert tile.probability.shape == (2, *tile.window.shape) and tile.probability.dtype == np.float32
        assert tile.classes.shape == tile.window.shape and tile.classes.dtype == np.uint8
        assert (tile.pixels[..., 0] == image[tile.window.slices]).all()


def test_an_image_read_while_another_is_read_is_no_matter(make_trained: MakeTrained):
    predictor = Predictor(make_trained(), keep_px=16)
    first, second = from_array(noise(40, 20)), from_array(noise(20, 40))
    interleaved = zip(predictor.tiles(first), predictor.tiles(second), strict=True)
    for (a, b), c, d in zip(interleaved, predictor.tiles(first), predictor.tiles(second), strict=True):
        assert (a.probability == c.probability).all() and (b.probability == d.probability).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was_found(make_trained: MakeTrained, training: bool):
    trained = make_trained(normalisation="batch")
    _, expected = Predictor(trained).whole(from_array(noise(30, 30)))
    trained.model.train(training)
    trained.model.head.train(not training)  # a module with a mode of its own
    modes = [module.training for module in trained.model.modules()]
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    draws = torch.get_rng_state()

    _, probability = Predictor(trained).whole(from_array(noise(30, 30)))

    assert (probability == expected).all()  # neither dropout nor the statistics of the tile had a say
    assert [module.training for module in trained.model.modules()] == modes
    assert all((value == before[name]).all() for name, value in trained.model.state_dict().items())
    assert (torch.get_rng_state() == draws).all()
    assert not any(module._forward_hooks for module in trained.model.modules())
    assert all(p.requires_grad and p.grad is None for p in trained.model.parameters())


@pytest.mark.parametrize("flips", [False, True])
def test_a_temperature_changes_probabilities_and_no_mask(make_trained: MakeTrained, flips: bool):
    """With flips, the mean of the passes has the temperature, not each pass."""
    trained, image = make_trained(labels=Labels(("a", "b", "c"), (0, 1, 2))), from_array(noise(30, 24))
    warm = replace(trained, labels=replace(trained.labels, temperature=2.5))
    classes, plain = Predictor(trained, flips=flips).whole(image)
    warm_classes, tempered = Predictor(warm, flips=flips).whole(image)
    np.testing.assert_array_equal(warm_classes, classes)
    powers = plain ** (1 / 2.5)
    np.testing.assert_allclose(tempered, powers / powers.sum(axis=0), atol=1e-5)
    assert np.abs(tempered - plain).max() > 0.05
    require_the_law(warm, noise(30, 24), 8, flips=flips)


def test_the_recipe_decides_on_flips_unless_told(make_trained: MakeTrained):
    source = from_array(noise(24, 24))
    plain, recipe_flips = make_trained(), make_trained(flips=True)
    _, without = Predictor(plain).whole(source)
    _, with_flips = Predictor(plain, flips=True).whole(source)
    assert np.abs(without - with_flips).max() > 0.01
    assert (Predictor(recipe_flips).whole(source)[1] == with_flips).all()
    assert (Predictor(recipe_flips, flips=False).whole(source)[1] == without).all()


# Arrays in, arrays out


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (Labels(("background", "cell"), (0, 255)), np.uint8),
        (Labels(("cell", "background"), (1, 0)), np.uint8),
        (Labels(("a", "b", "c"), (3, 300, 2)), np.uint16),
        (Labels(("a", "b"), (0, 70_000)), np.uint32),
    ],
)
def test_segment_gives_the_values_of_the_training_masks(make_trained: MakeTrained, labels: Labels, dtype: type):
    image = noise(70, 45)
    trained = make_trained(labels=labels)
    mask = Predictor(trained, keep_px=32).segment(image)
    classes, _ = Predictor(trained).whole(from_array(image))
    assert mask.shape == (70, 45) and mask.dtype == dtype
    assert (mask == np.array(labels.values)[classes]).all()
    assert len(np.unique(mask)) == labels.classes


def test_segment_gives_the_colours_of_coloured_masks(make_trained: MakeTrained):
    labels = Labels(("black", "orange"), (0, 0xFF8001), coloured=True)
    mask = Predictor(make_trained(labels=labels)).segment(noise(40, 30))
    assert mask.shape == (40, 30, 3) and mask.dtype == np.uint8
    assert {tuple(colour) for colour in mask.reshape(-1, 3).tolist()} == {(0, 0, 0), (255, 128, 1)}


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (40, 30)])
def test_segment_takes_grey_in_two_axes_three_and_three_equal_channels(make_trained: MakeTrained, shape):
    predictor, image = Predictor(make_trained()), noise(*shape)
    mask = predictor.segment(image)
    assert mask.shape == shape
    assert (predictor.segment(image[..., np.newaxis]) == mask).all()
    assert (predictor.segment(np.repeat(image[..., np.newaxis], 3, axis=2)) == mask).all()


def test_segment_takes_colours_and_grey_for_a_colour_network(make_trained: MakeTrained):
    predictor, image = Predictor(make_trained(channels=3)), noise(40, 30)
    assert predictor.segment(noise(40, 30, 3)).shape == (40, 30)
    assert (predictor.segment(image) == predictor.segment(np.repeat(image[..., np.newaxis], 3, axis=2))).all()


def test_segment_leaves_the_array_alone_whatever_its_layout(make_trained: MakeTrained):
    predictor, image = Predictor(make_trained()), noise(40, 30)
    image.flags.writeable = False
    mask = predictor.segment(image)
    assert (predictor.segment(np.asfortranarray(image)) == mask).all()
    assert (predictor.segment(np.flip(image).copy()[::-1, ::-1]) == mask).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (noise(8, 8, dtype="uint16"), r"the image has uint16 pixels, but the network was trained on uint8; .*Convert"),
        (noise(8, 8, dtype="float32"), "the image has float32 pixels, but the network was trained on uint8"),
        (
            noise(8, 8, 3),
            r"the image has 3 channels, but the network was trained on 1\. Save it with 1 channel \(grey\)",
        ),
        (noise(8, 8, 2), "the image has 2 channels, but the network was trained on 1"),
        (np.zeros((0, 8), dtype="uint8"), r"shape \(0, 8\); we take .* at least one pixel"),
        (np.zeros(8, dtype="uint8"), r"shape \(8,\); we take \(H, W\) or \(H, W, C\)"),
        (np.zeros((2, 8, 8, 1), dtype="uint8"), r"shape \(2, 8, 8, 1\); we take"),
        (np.zeros((8, 8), dtype="complex64"), "values of type complex64; we take integers, floats and booleans"),
    ],
)
def test_arrays_of_another_kind_are_refused(make_trained: MakeTrained, image: NDArray[np.generic], words: str):
    with pytest.raises(ImageError, match=words):
        Predictor(make_trained()).segment(image)


def test_nan_is_refused_with_its_place(make_trained: MakeTrained):
    image = noise(40, 30, dtype="float32")
    image[31, 4] = np.nan
    with pytest.raises(ImageError, match=r"the image has 1 of .* NaN or infinite, the first at row 31, column 4"):
        Predictor(make_trained(dtype="float32"), keep_px=16).segment(image)


def test_a_message_names_the_page_of_a_stack(make_trained: MakeTrained, tmp_path: Path):
    tifffile.imwrite(tmp_path / "s.tif", noise(2, 30, 20, dtype="uint16"), photometric="minisblack")
    with pytest.raises(ImageError, match=r"s\.tif \(page 1 of .* has uint16 pixels"):
        list(Predictor(make_trained()).tiles(open_image(tmp_path / "s.tif", 1)))


# A network can tell before it reads an image whether it takes it


@pytest.mark.parametrize(
    ("channels", "image", "words"),
    [
        (1, noise(300, 8, dtype="uint16"), "has uint16 pixels"),
        (3, noise(300, 8, 2), "has 2 channels, but the network was trained on 3"),
        (1, noise(300, 8, 4), "has 4 channels"),
    ],
)
def test_check_refuses_what_segmenting_would(make_trained: MakeTrained, channels: int, image, words: str):
    with pytest.raises(ImageError, match=words):
        Predictor(make_trained(channels=channels)).check(from_array(image))


def test_check_finds_the_only_coloured_pixel_anywhere(make_trained: MakeTrained):
    image = np.repeat(noise(1100, 9, 1), 3, axis=2)
    Predictor(make_trained()).check(from_array(image))
    image[1099, 8] = (1, 2, 3)
    with pytest.raises(ImageError, match="has 3 channels, but the network was trained on 1"):
        Predictor(make_trained()).check(from_array(image))


def test_check_reads_no_pixel_where_the_header_tells(make_trained: MakeTrained, monkeypatch: pytest.MonkeyPatch):
    source = from_array(noise(40, 30))
    monkeypatch.setattr(source, "read", lambda window=None: pytest.fail("read"))
    Predictor(make_trained()).check(source)
    Predictor(make_trained(channels=3)).check(source)


# Memory


def test_a_tile_needs_no_more_than_the_memory_by_our_measure(make_trained: MakeTrained):
    for options in [{"depth": 4}, {"depth": 2, "padding": "same"}, {"depth": 3, "width": 16, "labels": THREE}]:
        model = make_trained(**options).model
        footprints = [model.footprint] * 2
        for memory_bytes in (60e6, 100e6, 3e8):
            keep = largest_keep(model, footprints, int(memory_bytes))
            side = model.footprint.input_for(keep[0])
            assert keep[0] == keep[1] and keep[0] % model.footprint.multiple == 0
            assert side**2 * bytes_per_pixel(model) <= memory_bytes
            assert (side + model.footprint.multiple) ** 2 * bytes_per_pixel(model) > memory_bytes


def test_tiles_are_as_large_as_the_memory_allows(make_trained: MakeTrained):
    trained, source = make_trained(), from_array(noise(500, 400))
    few = len(list(Predictor(trained, flips=True, memory_bytes=60_000_000).tiles(source)))
    many = len(list(Predictor(trained, flips=True, memory_bytes=4_000_000).tiles(source)))
    assert few == 1 and many > 10


def test_the_measure_is_that_of_the_published_network(make_trained: MakeTrained):
    wide = make_trained(depth=4, width=64).model
    largest_maps = 4 * (128 + 2 * 64)  # copy and up-convolved map, joined and convolved: Fig. 1, top right
    assert largest_maps < bytes_per_pixel(wide) < 3 * largest_maps
    assert bytes_per_pixel(make_trained(depth=4, width=32).model) < 0.6 * bytes_per_pixel(wide)


def test_many_classes_take_memory_too(make_trained: MakeTrained):
    many = Labels(tuple(map(str, range(30))), tuple(range(30)))
    assert bytes_per_pixel(make_trained(labels=many).model) > bytes_per_pixel(make_trained().model) + 4 * 4 * 28


def test_tiles_stop_growing_where_it_saves_nothing(make_trained: MakeTrained):
    model = make_trained().model
    keep = largest_keep(model, [model.footprint] * 2, 1 << 50)
    assert 1900 < keep[0] < model.footprint.input_for(keep[0]) <= 2048


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("flips", "part"), [(True, "smallest tile, \\d+x\\d+ pixels"), (False, "narrowest band, .*")])
def test_too_little_memory_is_refused_with_the_least_that_will_do(
    make_trained: MakeTrained, padding: str, flips: bool, part: str
):
    trained = make_trained(depth=4, width=16, padding=padding, flips=flips)
    with pytest.raises(RecipeError, match=rf"^1 MiB are too little .* {part}, takes about") as refused:
        Predictor(trained, memory_bytes=1 << 20)
    least = int(str(refused.value).split("takes about ")[1].split(" MiB. Allow at least that")[0])
    Predictor(trained, memory_bytes=least << 20)
    with pytest.raises(RecipeError):
        Predictor(trained, memory_bytes=(least - 1) << 20)


def test_a_huge_image_is_planned_without_listing_its_tiles(make_trained: MakeTrained):
    class Endless:
        shape, page = (200_000, 200_000), "huge.tif"

        def read(self, window: Window) -> NDArray[np.uint8]:
            return np.zeros((*window.shape, 1), dtype=np.uint8)

    predictor = Predictor(make_trained(), keep_px=1000)
    first = next(predictor.tiles(Endless()))
    assert first.total == 200 * 200 == len(list(plan((200_000, 200_000), predictor.footprints, (1000, 1000))))


# From a file


def test_load_gives_the_network_of_a_run_or_of_a_file(make_trained: MakeTrained, tmp_path: Path):
    trained, image = make_trained(flips=True), noise(50, 40)
    checkpoint.write(tmp_path / "best.safetensors", trained)
    expected = Predictor(trained).segment(image)
    for place in (tmp_path, str(tmp_path), tmp_path / "best.safetensors"):
        assert (load(place).segment(image) == expected).all()
    assert (
        load(tmp_path, device="cpu", flips=False).segment(image) == Predictor(trained, flips=False).segment(image)
    ).all()


def test_load_says_what_is_missing(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*best\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("members", [1, 2])
def test_an_engine_changes_rounding_and_nothing_else(make_trained: MakeTrained, members: int):
    trained, image = make_trained(depth=1, padding="same", normalisation="batch"), from_array(noise(50, 41))
    network = Ensemble((trained,) * members, trained)
    classes, probability = Predictor(network, flips=True).whole(image)
    folded_classes, folded = Predictor(network, flips=True, engine="torch", keep_px=16).whole(image)
    assert np.abs(folded - probability).max() < 1e-5
    assert np.array_equal(folded_classes, classes)


def test_the_chosen_engine_computes_and_is_measured_on_the_planned_tile(make_trained: MakeTrained, monkeypatch):
    asked = []

    class Ones:
        name = "openvino"

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([torch.zeros_like(x[:, 0]), torch.ones_like(x[:, 0])], dim=1)

    def chosen(model: Segmenter, side_px: int, precision: str, *, filter_bytes: int) -> Choice:
        assert filter_bytes > 0
        asked.append((model, side_px, precision))
        return Choice(Ones(), side_px, {"openvino": 0.1}, {})

    monkeypatch.setattr(tiled, "fastest", chosen)
    trained = make_trained(depth=2, padding="same")
    predictor = Predictor(trained, engine="auto", keep_px=64)
    assert (predictor.segment(noise(30, 20)) == 255).all()
    assert asked == [(trained.model, trained.model.footprint.input_for(64), "float32")]


def test_left_out_the_engine_computes_with_the_weights_of_the_moment(make_trained: MakeTrained):
    trained, image = make_trained(depth=1, normalisation="batch"), from_array(noise(20, 20))
    live, folded = Predictor(trained), Predictor(trained, engine="torch")
    before = live.whole(image)[1]
    with torch.no_grad():
        trained.model.contracting[0][1].bias += 2  # of a normalisation
    assert np.abs(live.whole(image)[1] - before).max() > 1e-3
    assert np.abs(folded.whole(image)[1] - before).max() < 1e-5
