"""The overlay of an image that is never in memory whole: the same whatever the windows, objects drawn apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.data.borders import separated
from ushape.geometry.tiles import Window
from ushape.images.source import from_array
from ushape.labels import Labels
from ushape.predict import picture
from ushape.predict.overlay import overlay
from ushape.predict.picture import Picture
from ushape.predict.predicted import Predicted

TWO = Labels(("background", "cell"), (0, 255))
THREE = Labels(("background", "axon", "myelin"), (0, 255, 128))

Map = NDArray[np.integer]


def noise(height: int, width: int, channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, channels)).astype(np.uint8)


def windows(height: int, width: int, rows: int, columns: int) -> Iterator[Window]:
    for top, left in product(range(0, height, rows), range(0, width, columns)):
        yield Window((top, left), (min(top + rows, height), min(left + columns, width)))


def tile(window: Window, pixels: NDArray[np.uint8], classes: NDArray[np.uint8]) -> Predicted:
    inside = window.slices
    return Predicted(window, pixels[inside], np.zeros((2, *window.shape), np.float32), classes[inside], 1, 1)


def drawn(
    pixels: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    objects: Map | None = None,
    *,
    tiles: tuple[int, int] = (1000, 1000),
    strips: tuple[int, int] = (1000, 1000),
    labels: Labels = TWO,
) -> NDArray[np.uint8]:
    """Shown tile by tile, then the objects strip by strip."""
    height, width = classes.shape
    shown = Picture(from_array(pixels, "a"))
    for window in windows(height, width, *tiles):
        shown.add(tile(window, pixels, classes))
    if objects is not None:
        for window in windows(height, width, *strips):
            shown.add_objects(window, objects[window.slices].astype(np.uint16))
    return shown.drawn(labels)


def blocks(height: int, width: int, side: int = 5) -> NDArray[np.uint16]:
    """Objects that touch on all sides, with gaps here and there."""
    drawn_at = np.random.default_rng(3).integers(0, 4, (height // side + 1, width // side + 1))
    numbers = np.where(drawn_at > 0, np.arange(drawn_at.size).reshape(drawn_at.shape) + 1, 0)
    return numbers.repeat(side, 0).repeat(side, 1)[:height, :width].astype(np.uint16)


def test_classes_are_drawn_as_an_overlay_draws_them():
    pixels = noise(30, 20, 3)
    classes = np.random.default_rng(0).integers(0, 3, (30, 20)).astype(np.uint8)
    np.testing.assert_array_equal(drawn(pixels, classes, labels=THREE), overlay(pixels, classes, THREE))


def test_a_line_is_left_between_objects_that_touch():
    pixels = np.tile(np.array([0, 255], np.uint8), (12, 8))[..., None]  # black and white, so that nothing is stretched
    objects = np.zeros((12, 16), np.uint16)
    objects[2:10, 2:8], objects[2:10, 8:12] = 7, 9
    shown = drawn(pixels, (objects > 0).astype(np.uint8), objects)
    untouched = (shown == np.repeat(pixels, 3, axis=2)).all(axis=2)
    expected = objects == 0
    expected[2:10, 7] = True  # the larger of two gives the line
    np.testing.assert_array_equal(untouched, expected)
    orange = (shown == TWO.colour(1)).all(axis=2)
    assert orange[2:10, 6].all() and orange[2:10, 8].all()


def test_objects_take_the_place_of_the_classes():
    pixels, objects = noise(20, 20), blocks(20, 20)
    classes = np.zeros((20, 20), np.uint8)  # an object rule has a threshold of its own
    expected = overlay(pixels, (separated(objects) > 0).astype(np.uint8), TWO)
    np.testing.assert_array_equal(drawn(pixels, classes, objects), expected)
    assert not (expected == drawn(pixels, classes)).all()


def test_an_image_without_objects_is_shown_without_any():
    pixels, nothing = noise(9, 9), np.zeros((9, 9), np.uint16)
    np.testing.assert_array_equal(
        drawn(pixels, np.ones((9, 9), np.uint8), nothing), overlay(pixels, nothing.astype(np.uint8), TWO)
    )


@pytest.mark.parametrize("largest", [33, 17, 11, 5, 1])
def test_every_nth_pixel_is_shown_wherever_windows_start_and_end(monkeypatch: pytest.MonkeyPatch, largest: int):
    monkeypatch.setattr(picture, "LARGEST_SIDE", largest)
    pixels, objects = noise(33, 20), blocks(33, 20)
    classes = (objects > 0).astype(np.uint8)
    step = -(-33 // largest)
    thinned, seen = pixels[::step, ::step], objects[::step, ::step]
    of_classes = overlay(thinned, classes[::step, ::step], TWO)
    of_objects = overlay(thinned, (separated(seen) > 0).astype(np.uint8), TWO)
    assert max(of_classes.shape[:2]) <= largest
    for rows, columns in product((1, 2, 5, 7, 33), (1, 3, 4, 20)):  # of those smaller than the step, some show nothing
        shown = drawn(pixels, classes, tiles=(rows, columns))
        np.testing.assert_array_equal(shown, of_classes)
        shown = drawn(pixels, classes, objects, tiles=(columns, rows), strips=(rows, columns))
        np.testing.assert_array_equal(shown, of_objects)


def test_more_objects_than_16_bits_number_are_told_apart_too():
    shown = Picture(from_array(noise(4, 6), "a"))
    shown.add(tile(Window((0, 0), (4, 6)), noise(4, 6), np.ones((4, 6), np.uint8)))
    numbers = np.full((4, 6), 2**16, np.uint32)
    numbers[:, 3:] = 2**17
    shown.add_objects(Window((0, 0), (4, 6)), numbers)
    expected = overlay(noise(4, 6), (separated(numbers) > 0).astype(np.uint8), TWO)
    np.testing.assert_array_equal(shown.drawn(TWO), expected)
    assert (separated(numbers) == 0).sum() == 4
