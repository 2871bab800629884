"""Wrong pixels by their distance from the border: known distances, known bands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ushape.labels import IGNORED
from ushape.study.bands import BANDS, band_errors, band_names, border_distance


def half(height: int = 3, width: int = 80) -> np.ndarray:
    """Background on the left, an object on the right."""
    truth = np.zeros((height, width), dtype=np.uint8)
    truth[:, width // 2 :] = 1
    return truth


def test_a_straight_border_lies_half_a_pixel_from_either_side():
    line = border_distance(half(width=8))[1]
    assert line.tolist() == [3.5, 2.5, 1.5, 0.5, 0.5, 1.5, 2.5, 3.5]


def test_across_a_corner_it_is_the_diagonal():
    truth = np.zeros((3, 3), dtype=np.uint8)
    truth[0, 0] = 1
    assert border_distance(truth)[1, 1] == pytest.approx(math.sqrt(2) - 0.5)
    assert border_distance(truth)[2, 2] == pytest.approx(math.sqrt(8) - 0.5)


def test_bands_hold_as_many_pixels_as_their_width_says():
    found = band_errors(half(), half())
    columns = [1, 1, 2, 4, 8, 24]  # up to 40 px from the border: 1, 2, 4, 8, 16, the rest
    assert found.pixels.tolist() == [[3 * n for n in columns]] * 2
    assert not found.errors.any()
    assert len(band_names()) == BANDS == len(columns)


def test_a_border_moved_by_two_pixels_is_wrong_in_the_two_nearest_bands_of_one_side():
    answer = np.roll(half(), 2, axis=1)
    answer[:, :2] = 0
    found = band_errors(half(), answer)
    assert found.errors.tolist() == [[0] * 6, [3, 3, 0, 0, 0, 0]]
    assert found.rates[1].tolist() == [1, 1, 0, 0, 0, 0]


def test_a_hole_far_inside_is_wrong_there_and_nowhere_else():
    truth = np.zeros((101, 101), dtype=np.uint8)
    truth[20:81, 20:81] = 1
    answer = truth.copy()
    answer[50, 50] = 0
    found = band_errors(truth, answer)
    assert found.errors.tolist() == [[0] * 6, [0, 0, 0, 0, 0, 1]]


def test_ignored_pixels_are_in_no_band_and_are_no_border():
    truth = half()
    truth[:, 38:42] = IGNORED
    found = band_errors(truth, np.zeros_like(truth))
    assert found.pixels.sum() == 3 * 76
    line = border_distance(truth)[1]
    assert line[37] == 4.5  # to the object's first pixel that is known
    assert math.isinf(line[38])


def test_between_two_classes_of_foreground_there_is_a_border_too():
    truth = np.array([[0, 0, 1, 1, 2, 2]], dtype=np.uint8)
    assert border_distance(truth)[0].tolist() == [1.5, 0.5, 0.5, 0.5, 0.5, 1.5]
    found = band_errors(truth, np.array([[0, 0, 1, 2, 2, 2]], dtype=np.uint8))
    assert found.errors[1].tolist() == [1, 0, 0, 0, 0, 0]


def test_without_a_border_all_is_farthest_away():
    found = band_errors(np.zeros((4, 4), dtype=np.uint8), np.ones((4, 4), dtype=np.uint8))
    assert found.pixels[0].tolist() == found.errors[0].tolist() == [0, 0, 0, 0, 0, 16]
    assert np.isnan(found.rates[1]).all()


def test_bands_of_two_images_add_up():
    one, two = band_errors(half(), half()), band_errors(half(1), 1 - half(1))
    assert (one + two).pixels.sum() == 4 * 80
    assert (one + two).errors.sum() == 80
