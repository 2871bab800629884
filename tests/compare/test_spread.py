"""Means, intervals and what may be called distinguishable."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ushape.compare.spread import difference, spread
from ushape.metrics.table import figure_of

NAN = math.nan
SIX = list("abcdef")
EASY = np.array([[0.9, 0.8, 0.7, 0.6, 0.9, 0.8], [0.8, 0.8, 0.8, 0.5, 0.9, 0.7]])


def test_a_spread_has_the_interval_of_every_score_table_and_a_mean_for_each_seed():
    found, expected = spread(EASY, SIX), figure_of(EASY.mean(axis=0).tolist(), SIX, NAN)
    assert (found.mean, found.low, found.high) == (expected.mean, expected.low, expected.high)
    assert found.seeds == pytest.approx((4.7 / 6, 4.5 / 6))
    assert found.groups == 6


def test_undefined_scores_count_nowhere():
    values = np.array([[0.5, NAN, NAN], [0.7, 0.9, NAN]])
    found = spread(values, ["a", "b", "c"])
    assert found.mean == pytest.approx((0.6 + 0.9) / 2)
    assert found.seeds == pytest.approx((0.5, 0.8))
    assert found.groups == 2
    assert math.isnan(spread(np.full((2, 3), NAN), ["a", "b", "c"]).mean)


def test_a_difference_is_taken_image_by_image_so_that_hard_images_do_not_hide_it():
    hard = EASY - np.array([0.5, 0.1, 0.4, 0.3, 0.2, 0.6])
    found = difference(hard + 0.01, hard, SIX)
    assert found.mean == pytest.approx(0.01)
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert found.is_distinguishable
    low, high = spread(hard + 0.01, SIX).low, spread(hard, SIX).high
    assert low < high, "their own intervals overlap"


def test_nobody_is_distinguishable_from_himself():
    found = difference(EASY, EASY, SIX)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert not found.is_distinguishable


def test_seeds_that_disagree_tell_nothing_apart():
    apart = np.array([[0.2] * 6, [-0.01] * 6])
    found = difference(apart, np.zeros((2, 6)), SIX)
    assert found.seeds == pytest.approx((0.2, -0.01))
    assert found.low < 0 < found.high
    assert not found.is_distinguishable


def test_fewer_than_six_groups_tell_nothing_apart():
    for count in (2, 5, 6):
        found = difference(np.full((3, count), 0.9), np.full((3, count), 0.1), SIX[:count])
        assert found.is_distinguishable == (count == 6)
    of_one_group = difference(np.full((1, 6), 0.9), np.full((1, 6), 0.1), ["a"] * 6)
    assert of_one_group.groups == 6, "of a single group its images, as every score table does"
    assert not difference(np.ones((1, 6)), np.zeros((1, 6)), ["a"] * 5 + ["b"]).is_distinguishable


def test_a_single_image_has_no_interval():
    found = difference(np.array([[0.9], [0.8]]), np.array([[0.1], [0.2]]), ["a"])
    assert math.isnan(found.low) and not found.is_distinguishable


def test_the_interval_is_wider_where_trainings_differ_more():
    rng = np.random.default_rng(3)
    images = rng.normal(0.1, 0.02, (1, 12))
    names = list("abcdefghijkl")
    alike = difference(np.repeat(images, 3, axis=0), np.zeros((3, 12)), names)
    unlike = difference(images + np.array([[-0.09], [0.0], [0.09]]), np.zeros((3, 12)), names)
    assert unlike.high - unlike.low > 2 * (alike.high - alike.low)
    assert unlike.mean == pytest.approx(alike.mean)


def test_of_true_equals_few_seem_to_differ():
    rng = np.random.default_rng(1)
    names = [f"image {n}" for n in range(20)]
    trials = [difference(rng.normal(0, 1, (3, 20)), rng.normal(0, 1, (3, 20)), names) for _ in range(60)]
    assert sum(found.is_distinguishable for found in trials) <= 5
