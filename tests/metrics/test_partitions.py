from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage import metrics as skimage_metrics

from ushape.metrics.contingency import Contingency
from ushape.metrics.partitions import (
    Agreement,
    Information,
    Variation,
    adapted_pairs,
    adapted_rand_error,
    all_pairs,
    foreground_information,
    foreground_pairs,
    variation_of_information,
)

label_pairs = hnp.arrays(np.int64, (2, 5, 6), elements=st.integers(0, 3))


def table_of(truth: list[int], proposal: list[int]) -> Contingency:
    return Contingency.of(np.array(truth), np.array(proposal))


# --- facts by hand


def test_foreground_pairs_leave_the_truths_background_out_and_count_a_pixel_with_itself() -> None:
    # four pixels of objects; the proposal joins two and two, the other way round
    pairs = foreground_pairs(table_of([1, 1, 1, 2, 0, 0], [5, 5, 6, 6, 6, 5]))
    assert pairs == Agreement(both=4 + 1 + 1, proposal=4 + 4, truth=9 + 1, total=16)
    assert (pairs.precision, pairs.recall, pairs.f_score) == (6 / 8, 6 / 10, 12 / 18)
    assert pairs.accuracy == (16 - 8 - 10 + 12) / 16


def test_background_of_the_proposal_within_true_objects_is_singletons() -> None:
    pairs = foreground_pairs(table_of([1, 1, 1, 1], [0, 0, 0, 0]))
    assert pairs == Agreement(both=4, proposal=4, truth=16, total=16)
    assert (pairs.precision, pairs.recall) == (1, 1 / 4)


def test_a_merge_lowers_precision_and_a_split_lowers_recall() -> None:
    merged, split = table_of([1, 1, 2, 2], [1, 1, 1, 1]), table_of([1, 1, 1, 1], [1, 1, 2, 2])
    assert (foreground_pairs(merged).precision, foreground_pairs(merged).recall) == (0.5, 1)
    assert (foreground_pairs(split).precision, foreground_pairs(split).recall) == (1, 0.5)
    assert foreground_information(merged) == Information(precision=1, recall=0)  # a proposal of one object
    assert foreground_information(split) == Information(precision=0, recall=1)  # a truth of one object
    assert variation_of_information(merged) == Variation(split_bits=0, merge_bits=1)
    assert variation_of_information(split) == Variation(split_bits=1, merge_bits=0)
    assert variation_of_information(merged).total_bits == 1


def test_distinct_pairs_take_background_for_a_segment_like_another() -> None:
    table = table_of([0, 0, 1, 1, 1], [0, 0, 0, 2, 2])
    assert all_pairs(table) == Agreement(both=1 + 1, proposal=3 + 1, truth=1 + 3, total=10)
    assert adapted_pairs(table) == Agreement(both=1, proposal=1, truth=3, total=3)
    assert adapted_rand_error(table) == pytest.approx(1 - 2 / 4)


def test_information_by_hand_with_singletons() -> None:
    # two true objects of two pixels; the second is lost to the background: segments of 2, 1, 1 pixels
    information = foreground_information(table_of([1, 1, 2, 2], [1, 1, 0, 0]))
    assert information.precision == pytest.approx(1)
    assert information.recall == pytest.approx(1 / 1.5)
    assert information.f_score == pytest.approx(0.8)


def test_a_proposal_that_tells_nothing_scores_zero() -> None:
    information = foreground_information(table_of([1, 1, 2, 2], [1, 2, 1, 2]))
    assert information == Information(precision=0, recall=0)
    assert information.f_score == 0


def test_agreements_add_over_slices() -> None:
    assert Agreement(1, 2, 3, 4) + Agreement(10, 20, 30, 40) == Agreement(11, 22, 33, 44)


def test_squares_are_exact_where_floats_are_not() -> None:
    table = Contingency(np.array([1]), np.array([1]), np.array([2**28 + 1]))
    assert foreground_pairs(table).both == (2**28 + 1) ** 2  # 57 bits


# --- the empty rule


def test_without_a_true_object_there_is_nothing_to_judge() -> None:
    table = table_of([0, 0, 0], [0, 1, 1])
    pairs, information = foreground_pairs(table), foreground_information(table)
    assert all(map(math.isnan, (pairs.precision, pairs.recall, pairs.f_score, pairs.accuracy)))
    assert all(map(math.isnan, (information.precision, information.recall, information.f_score)))
    assert math.isnan(adapted_rand_error(table))
    assert variation_of_information(table).split_bits > 0  # it takes the background for a segment
    nothing = Contingency.of(np.zeros(2, np.uint8), np.zeros(2, np.uint8), np.ones(2, np.bool_))
    assert math.isnan(variation_of_information(nothing).total_bits)
    assert math.isnan(all_pairs(nothing).accuracy)


def test_objects_of_one_pixel_that_are_apart_in_both_agree() -> None:
    table = table_of([1, 2, 3], [3, 2, 1])
    assert adapted_rand_error(table) == 0  # scikit-image: 0/0
    assert (adapted_pairs(table).precision, adapted_pairs(table).recall) == (1, 1)
    assert foreground_pairs(table).f_score == foreground_information(table).f_score == 1


# --- well-kept libraries


@given(label_pairs)
def test_the_adapted_rand_error_is_that_of_scikit_image(maps: NDArray[np.int64]) -> None:
    truth, proposal = maps
    pairs = adapted_pairs(Contingency.of(truth, proposal))
    assume(pairs.proposal and pairs.truth)
    error, precision, recall = skimage_metrics.adapted_rand_error(truth, proposal)
    assert adapted_rand_error(Contingency.of(truth, proposal)) == pytest.approx(error)
    assert (pairs.recall, pairs.precision) == pytest.approx((precision, recall))


@given(label_pairs)
def test_the_variation_of_information_is_that_of_scikit_image(maps: NDArray[np.int64]) -> None:
    variation = variation_of_information(Contingency.of(*maps))
    expected = skimage_metrics.variation_of_information(*maps)
    assert (variation.split_bits, variation.merge_bits) == pytest.approx(tuple(expected), abs=1e-12)


@given(label_pairs)
def test_leaving_the_truths_background_out_is_ignoring_label_zero(maps: NDArray[np.int64]) -> None:
    assume((maps[0] != 0).any())
    variation = variation_of_information(Contingency.of(*maps).of_true_objects())
    expected = skimage_metrics.variation_of_information(*maps, ignore_labels=(0,))
    assert (variation.split_bits, variation.merge_bits) == pytest.approx(tuple(expected), abs=1e-12)


# --- properties


@given(label_pairs)
def test_no_score_depends_on_the_ids(maps: NDArray[np.int64]) -> None:
    names = np.array([[0, 2**40, 3, 7], [0, 2, 1, 2**50]])
    table = Contingency.of(*maps)
    renamed = Contingency.of(names[0][maps[0]], names[1][maps[1]])
    assert foreground_pairs(table) == foreground_pairs(renamed)
    assert adapted_pairs(table) == adapted_pairs(renamed)
    assert all_pairs(table) == all_pairs(renamed)
    information, other = foreground_information(table), foreground_information(renamed)
    assert information.f_score == pytest.approx(other.f_score, nan_ok=True)
    assert variation_of_information(table).total_bits == pytest.approx(variation_of_information(renamed).total_bits)


@given(label_pairs)
def test_a_perfect_proposal_has_no_error(maps: NDArray[np.int64]) -> None:
    truth = maps[0]
    assume(len(np.unique(truth[truth > 0])) > 1)
    table = Contingency.of(truth, truth)
    assert foreground_pairs(table).f_score == 1
    assert foreground_information(table).f_score == pytest.approx(1)
    assert adapted_rand_error(table) == 0
    assert variation_of_information(table).total_bits == 0


@given(label_pairs)
def test_scores_lie_within_zero_and_one_and_swapping_the_images_swaps_precision_and_recall(
    maps: NDArray[np.int64],
) -> None:
    maps = maps + 1  # without background both images are judged alike
    one, other = foreground_pairs(Contingency.of(*maps)), foreground_pairs(Contingency.of(*maps[::-1]))
    assert (one.precision, one.recall, one.f_score) == (other.recall, other.precision, other.f_score)
    information = foreground_information(Contingency.of(*maps))
    scores = (one.precision, one.recall, one.f_score, one.accuracy, information.precision, information.recall)
    assert all(0 <= score <= 1 for score in scores)
    assert 0 <= information.f_score <= 1


@given(label_pairs, st.integers(0, 2**30))
def test_ignored_pixels_count_nowhere(maps: NDArray[np.int64], seed: int) -> None:
    ignored = np.random.default_rng(seed).random(maps[0].shape) < 0.3
    (truth, proposal), (other_truth, other_proposal) = maps, np.where(ignored, 9, maps)
    pairs = foreground_pairs(Contingency.of(truth, proposal, ignored))
    assert pairs == foreground_pairs(Contingency.of(other_truth, other_proposal, ignored))
    assert pairs == foreground_pairs(Contingency.of(truth[~ignored], proposal[~ignored]))
