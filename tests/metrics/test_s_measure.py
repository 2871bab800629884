from __future__ import annotations

import math

import numpy as np
import pytest

from ushape.metrics.foreground import ForegroundMap
from ushape.metrics.s_measure import s_measure


def scored(truth: list[list[int]], probability: list[list[float]]) -> float:
    return s_measure(ForegroundMap.of(np.array(truth, dtype=bool), np.array(probability, dtype=float)))


def test_a_map_that_is_the_mask_scores_one_wherever_the_object_lies() -> None:
    for row in range(4):
        for column in range(5):
            truth = np.zeros((4, 5), dtype=bool)
            truth[row:, column:] = True
            assert s_measure(ForegroundMap.of(truth, truth.astype(float))) == pytest.approx(1)


def test_a_mask_of_one_value_is_scored_by_the_mean_probability() -> None:
    assert scored([[0, 0]], [[0.25, 0.5]]) == 1 - 0.375
    assert scored([[1, 1]], [[0.25, 0.5]]) == 0.375


def test_two_pixels_by_hand() -> None:
    # object: 2 × .8 / (.8² + 1) of half the image, 2 × .6 / (.6² + 1) of the other, no spread in one pixel;
    # regions: the true pixel is the first quarter, the false one the second, each of one pixel and so flat: likeness 1
    by_object = (1.6 / 1.64 + 1.2 / 1.36) / 2
    assert scored([[1, 0]], [[0.8, 0.4]]) == pytest.approx((by_object + 1) / 2)


def test_four_by_one_by_hand() -> None:
    truth, probability = [[0, 1, 1, 0]], [[0.2, 0.6, 1.0, 0.0]]
    in_object = 1.6 / (0.64 + 1 + math.sqrt(0.08))  # mean .8 of .6 and 1
    outside = 1.8 / (0.81 + 1 + math.sqrt(0.02))  # mean .9 of .8 and 1
    # the middle, 1.5, rounds to column 2, so that the quarters are 3 pixels and 1, which is flat
    x, y = 0.6, 2 / 3
    variance_x, variance_y = (0.16 + 0 + 0.16) / 2, (4 / 9 + 1 / 9 + 1 / 9) / 2
    covariance = (-0.4 * -2 / 3 + 0 + 0.4 * 1 / 3) / 2
    likeness = 4 * x * y * covariance / ((x**2 + y**2) * (variance_x + variance_y))
    expected = ((in_object + outside) / 2 + (3 * likeness + 1) / 4) / 2
    assert scored(truth, probability) == pytest.approx(expected)


def test_a_map_of_the_opposite_does_not_fall_below_zero() -> None:
    assert scored([[1, 0, 1, 0], [0, 1, 0, 1]], [[0, 1, 0, 1], [1, 0, 1, 0]]) == 0


def test_pixels_ignored_at_the_end_are_as_if_cut_off() -> None:
    rng = np.random.default_rng(0)
    truth, probability, ignored = rng.random((9, 12)) < 0.4, rng.random((9, 12)), np.zeros((9, 12), dtype=bool)
    ignored[7:], ignored[:, 9:] = True, True
    cut = ForegroundMap.of(truth[:7, :9], probability[:7, :9])
    assert s_measure(ForegroundMap.of(truth, probability, ignored)) == pytest.approx(s_measure(cut), abs=1e-12)
