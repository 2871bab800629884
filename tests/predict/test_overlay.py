"""What is shown of an image and of a mask over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from ushape.errors import ImageError, SizeError
from ushape.labels import IGNORED, Labels
from ushape.predict.overlay import TRUTH_COLOUR, displayed, legend, overlay

CELL = Labels(("background", "cell"), (0, 255))
LAYERS = Labels(("background", "epidermis", "dermis"), (0, 1, 2))


def ramp(low: float, high: float, dtype: type = np.uint8) -> NDArray[np.generic]:
    """(32, 32, 1) from low to high in equal steps."""
    return np.linspace(low, high, 32 * 32).reshape(32, 32, 1).astype(dtype)


def square(side: int = 40, first: int = 10, last: int = 30, number: int = 1) -> NDArray[np.uint8]:
    classes = np.zeros((side, side), dtype=np.uint8)
    classes[first:last, first:last] = number
    return classes


def grey(side: int = 40, level: int = 100) -> NDArray[np.uint8]:
    return np.full((side, side, 1), level, dtype=np.uint8)


def is_colour(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.all(image == colour, axis=2)


# --- the image alone


@pytest.mark.parametrize(("low", "high"), [(0, 255), (60, 200), (7, 7)])
def test_8_bit_images_of_good_contrast_or_of_one_value_are_shown_as_they_are(low: int, high: int):
    pixels = ramp(low, high)
    assert np.array_equal(displayed(pixels), pixels.repeat(3, axis=2))


@pytest.mark.parametrize(
    "pixels",
    [
        ramp(100, 140),
        ramp(0, 65535, np.uint16),
        ramp(30_000, 30_100, np.uint16),
        ramp(-3, 5, np.int16),
        ramp(0, 1, np.float32),
        ramp(-1e-9, 1e-9, np.float64),
        ramp(-1e30, 1e30, np.float32),
    ],
    ids=["dim uint8", "uint16", "narrow uint16", "int16", "float32", "tiny float64", "huge float32"],
)
def test_all_other_images_are_stretched_from_black_to_white(pixels: NDArray[np.generic]):
    seen = displayed(pixels)[:, :, 0]
    assert seen.dtype == np.uint8
    assert (seen.min(), seen.max()) == (0, 255)
    assert 90 < np.median(seen) < 165
    assert np.all(np.diff(seen.ravel().astype(int)) >= 0)


def test_a_few_bright_pixels_neither_dim_the_rest_nor_vanish_where_they_are_all():
    pixels = ramp(0, 1, np.float32)
    pixels[0, 0] = 1e6
    assert np.median(displayed(pixels)) > 100
    beads = np.zeros((100, 100, 1), dtype=np.uint16)
    beads[50, 50] = 900
    assert displayed(beads)[50, 50].tolist() == [255, 255, 255]
    assert displayed(beads)[0, 0].tolist() == [0, 0, 0]


def test_what_is_not_finite_spoils_nothing():
    pixels = ramp(0, 1, np.float32)
    pixels[0, :3, 0] = np.nan, np.inf, -np.inf
    seen = displayed(pixels)
    assert seen[0, :3, 0].tolist() == [0, 255, 0]
    assert np.array_equal(seen[1:], displayed(np.where(np.isfinite(pixels), pixels, 0.5))[1:])
    assert not displayed(np.full((4, 4, 1), np.nan)).any()


def test_booleans_are_black_and_white():
    assert displayed(np.array([[[True], [False]]]))[0, :, 0].tolist() == [255, 0]


def test_channels_become_grey_or_red_green_and_blue():
    first, second = ramp(0, 255)[:, :, 0], ramp(255, 0)[:, :, 0]
    assert np.array_equal(displayed(np.stack([first, second], axis=2)), np.stack([first] * 3, axis=2))
    photograph = np.stack([first, second, first // 2], axis=2)
    assert np.array_equal(displayed(photograph), photograph)
    assert np.array_equal(
        displayed(np.stack([first, second, first, second], axis=2)), np.stack([first, second, first], 2)
    )


def test_three_channels_keep_their_hue_and_more_are_each_made_visible():
    strong, faint = ramp(0, 1000, np.uint16), ramp(0, 100, np.uint16)
    photograph = displayed(np.concatenate([strong, faint, faint], axis=2))
    assert photograph[:, :, 0].max() == 255 and photograph[:, :, 1].max() < 30
    stains = displayed(np.concatenate([strong, faint, faint, strong], axis=2))
    assert stains.max(axis=(0, 1)).tolist() == [255, 255, 255]


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 0), (1, 4, 4, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]):
    with pytest.raises(SizeError, match=r"cannot be shown; give \(height, width, channels\)"):
        displayed(np.zeros(shape, dtype=np.uint8))


# --- the mask over it


def test_a_class_is_outlined_just_inside_in_its_own_colour_and_tinted_within():
    seen = overlay(grey(), square(), CELL)
    inner = square(first=11, last=29)
    assert np.array_equal(is_colour(seen, CELL.colour(1)), (square() == 1) & (inner == 0))
    assert np.array_equal(seen[square() == 0], np.full((40 * 40 - 20 * 20, 3), 100))
    tinted = seen[20, 20].astype(int) - 100
    assert np.array_equal(np.sign(tinted), np.sign(np.array(CELL.colour(1)) - 100))
    assert np.abs(tinted).max() < 50


def test_the_image_stays_readable_inside_a_class():
    seen = overlay(ramp(0, 255), np.ones((32, 32), dtype=np.uint8), CELL)
    assert np.ptp(seen.astype(int), axis=(0, 1)).min() > 180


def test_the_end_of_the_image_is_no_outline():
    classes = np.zeros((40, 40), dtype=np.uint8)
    classes[:, :20] = 1
    drawn = is_colour(overlay(grey(), classes, CELL), CELL.colour(1))
    assert np.array_equal(np.flatnonzero(drawn.all(axis=0)), [19])
    assert drawn.sum() == 40


def test_a_line_one_pixel_wide_is_drawn_whole():
    classes = np.eye(40, dtype=np.uint8)
    assert np.array_equal(is_colour(overlay(grey(), classes, CELL), CELL.colour(1)), classes == 1)


def test_neighbouring_classes_each_have_their_own_outline():
    classes = np.zeros((40, 40), dtype=np.uint8)
    classes[:, 10:20], classes[:, 20:30] = 1, 2
    seen = overlay(grey(), classes, LAYERS)
    for columns, number in ((10, 19), 1), ((20, 29), 2):
        assert np.flatnonzero(is_colour(seen, LAYERS.colour(number)).all(axis=0)).tolist() == list(columns)


@pytest.mark.parametrize(("side", "width"), [(40, 1), (512, 1), (1024, 2), (2048, 4)])
def test_lines_are_wider_on_larger_images(side: int, width: int):
    classes = np.zeros((64, side), dtype=np.uint8)
    classes[:, side // 4 : side // 2] = 1
    drawn = is_colour(overlay(np.full((64, side, 1), 100, dtype=np.uint8), classes, CELL), CELL.colour(1))
    assert drawn[32].sum() == 2 * width


def test_an_enlarged_canvas_has_finer_lines_and_the_same_pixels():
    seen = overlay(ramp(0, 255), square(32, 8, 24), CELL, enlarge=3)
    assert seen.shape == (96, 96, 3)
    assert np.array_equal(is_colour(seen, CELL.colour(1)), square(96, 24, 72) != square(96, 25, 71))
    assert np.array_equal(seen[:24], displayed(ramp(0, 255))[:8].repeat(3, axis=0).repeat(3, axis=1))


def test_ignored_pixels_are_dark_and_striped_and_their_end_is_no_outline():
    classes = np.ones((40, 40), dtype=np.uint8)
    classes[:, 20:] = IGNORED
    seen = overlay(grey(level=200), classes, CELL)
    assert len(np.unique(seen[:, :20].reshape(-1, 3), axis=0)) == 1
    assert np.unique(seen[:, 20:]).tolist() == [70, 120]
    assert len(np.unique(seen[20, 20:, 0])) == len(np.unique(seen[:, 30, 0])) == 2


def test_all_background_is_the_image_and_all_one_class_only_tinted():
    pixels = ramp(0, 255)
    assert np.array_equal(overlay(pixels, np.zeros((32, 32), dtype=np.uint8), CELL), displayed(pixels))
    assert not is_colour(overlay(pixels, np.ones((32, 32), dtype=np.uint8), CELL), CELL.colour(1)).any()


def test_coloured_labels_are_drawn_in_the_users_colours():
    labels = Labels(("sky", "road"), (0x0000FF, 0x804020), coloured=True)
    assert is_colour(overlay(grey(), square(), labels), (0x80, 0x40, 0x20)).any()


# --- the truth beside it


def test_white_shows_where_truth_and_prediction_part_and_nowhere_else():
    agrees = overlay(grey(), square(), CELL, truth=square())
    assert not is_colour(agrees, TRUTH_COLOUR).any()
    seen = overlay(grey(), square(first=14), CELL, truth=square())
    missed = is_colour(seen, TRUTH_COLOUR)
    assert missed[10, 10:30].all() and missed[10:30, 10].all()
    assert not missed[:, 29].all() and not (missed & (square() == 0)).any()
    assert is_colour(seen, CELL.colour(1))[14:30, 14].all()


def test_the_truth_is_seen_on_white_too():
    seen = overlay(grey(level=255), np.zeros((40, 40), dtype=np.uint8), CELL, truth=square())
    assert (seen[11, 12:28] < 160).all()
    assert (seen[10, 10:30] == 255).all()


def test_a_class_taken_for_another_is_outlined_in_the_colour_of_the_prediction():
    seen = overlay(grey(), square(number=2), LAYERS, truth=square(number=1))
    assert is_colour(seen, LAYERS.colour(2))[10, 10:30].all()
    assert not is_colour(seen, LAYERS.colour(1)).any()


def test_what_the_truth_ignores_is_striped_and_not_outlined():
    truth = square()
    truth[20:] = IGNORED
    seen = overlay(grey(), np.zeros((40, 40), dtype=np.uint8), CELL, truth=truth)
    assert seen[20:].max() <= 60
    assert not is_colour(seen, TRUTH_COLOUR)[19, 11:29].any()
    assert is_colour(seen, TRUTH_COLOUR)[10, 10:30].all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([(1, 1), (1, 9), (7, 5), (16, 16)]), st.integers(1, 3))
def test_any_maps_give_an_image_and_are_left_as_they_were(seed: int, shape: tuple[int, int], enlarge: int):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(*shape, 2)).astype(np.float32)
    classes, truth = rng.choice([0, 1, 2, IGNORED], size=(2, *shape)).astype(np.uint8)
    before = pixels.copy(), classes.copy(), truth.copy()
    seen = overlay(pixels, classes, LAYERS, truth=truth, enlarge=enlarge)
    assert seen.shape == (shape[0] * enlarge, shape[1] * enlarge, 3) and seen.dtype == np.uint8
    assert all(map(np.array_equal, before, (pixels, classes, truth)))
    assert np.array_equal(seen, overlay(pixels, classes, LAYERS, truth=truth, enlarge=enlarge))


def test_the_legend_names_what_is_drawn():
    assert legend(LAYERS) == [("epidermis", LAYERS.colour(1)), ("dermis", LAYERS.colour(2))]
    assert legend(CELL, truth=True) == [("cell", CELL.colour(1)), ("truth, where it differs", TRUTH_COLOUR)]


# --- messages


def test_maps_of_another_size_are_refused():
    with pytest.raises(SizeError, match=r"mask is \(40, 40\) and the image \(32, 32\); give both on the same pixels"):
        overlay(ramp(0, 255), square(), CELL)
    with pytest.raises(SizeError, match=r"truth is \(40, 40\) and the image \(32, 32\)"):
        overlay(ramp(0, 255), square(32), CELL, truth=square())


def test_mask_values_in_place_of_class_numbers_are_refused():
    with pytest.raises(ImageError, match=r"mask holds 7, which is none of the 2 classes; .* Labels\.encode"):
        overlay(grey(), square(number=7), CELL)
    with pytest.raises(ImageError, match="truth holds 2"):
        overlay(grey(), square(), CELL, truth=square(number=2))


@pytest.mark.real_data
def test_on_a_real_micrograph_tissue_stays_visible_and_lines_are_few(shared_data: Path):
    folder = shared_data / "isbi2012" / "train"
    path = sorted((folder / "images").iterdir())[3]
    pixels = np.asarray(Image.open(path))[:, :, None]
    classes = CELL.encode(np.asarray(Image.open(folder / "masks" / path.name)))
    seen = overlay(pixels, classes, CELL)
    lines = is_colour(seen, CELL.colour(1))
    assert 0.03 < lines.mean() < 0.2
    inside = (classes == 1) & ~lines
    assert np.corrcoef(seen[inside][:, 1], pixels[inside][:, 0])[0, 1] > 0.95
