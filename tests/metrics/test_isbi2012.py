from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import DataError, ImageError, SizeError
from ushape.metrics.contingency import Contingency
from ushape.metrics.isbi2012 import (
    THRESHOLDS,
    WARPING_THRESHOLDS,
    Best,
    Isbi2012,
    pixel_error,
    rand_error,
    sweep,
    v_info_thinned,
    v_rand_thinned,
    warping_error,
    warping_mismatch,
)
from ushape.metrics.partitions import Agreement, all_pairs, foreground_information, foreground_pairs
from ushape.metrics.pixels import PixelScores, confusion
from ushape.metrics.topology import components, flooded, mismatches, warp

Stack = tuple[NDArray[np.uint8] | NDArray[np.bool_], NDArray[np.float32]]
Score = Callable[..., Best]

CASES = ("voronoi3", "identical", "toy_merge", "toy_split", "toy_objadd", "toy_gap4")
SCORES: dict[str, Score] = {
    "pixel_error": pixel_error,
    "rand_error": rand_error,
    "warping_error": warping_error,
    "v_rand_thinned": v_rand_thinned,
    "v_info_thinned": v_info_thinned,
}


def stack_of(case: str, folder: Path) -> Stack:
    with np.load(folder / "isbi_metrics" / "cases.npz") as cases:
        return cases[f"{case}__label"], cases[f"{case}__prop"].astype(np.float32) / np.float32(255)


def expected_of(case: str, folder: Path) -> dict[str, float | list[int]]:
    """Every score that Fiji gave the case."""
    lines = (folder / "isbi_metrics" / "expected.jsonl").read_text().splitlines()
    (expected,) = [scores for scores in map(json.loads, lines) if scores["case"] == case]
    return {name: value for name, value in expected.items() if name != "case"}


def accumulated(stack: Stack) -> Isbi2012:
    scores = Isbi2012()
    for truth, probability in zip(*stack, strict=True):
        scores.add(truth, probability)
    return scores


def tables(
    stack: Stack, threshold: float, regions: Callable[[NDArray[np.int32]], NDArray[np.int32]] = np.copy
) -> list[Contingency]:
    masks = stack[1].astype(np.float64) > threshold
    return [
        Contingency.of(components(t == 1), regions(components(mask))) for t, mask in zip(stack[0], masks, strict=True)
    ]


def pooled(count: Callable[[Contingency], Agreement], of_slices: list[Contingency]) -> Agreement:
    return reduce(add, map(count, of_slices))


def fijis_variation(table: Contingency) -> float:
    """In nats. Fiji sums over pairs of objects only, but over the background too for each image: it may be negative."""

    def negentropy(sizes: NDArray[np.int64]) -> float:
        return float(np.sum(sizes / table.total * np.log(sizes / table.total)))

    of_both = negentropy(table.of_objects_in_both().pixels)
    return negentropy(table.truth_sizes()) + negentropy(table.proposal_sizes()) - 2 * of_both


def kinds_of(stack: Stack, threshold: float) -> list[int]:
    counts = np.zeros(7, dtype=np.int64)
    for truth, probability in zip(*stack, strict=True):
        proposal = probability.astype(np.float64) > threshold
        warped = warp(components(truth == 1), proposal, np.abs(probability - np.float32(threshold)))
        counts += np.bincount(mismatches(warped, proposal).ravel(), minlength=7)
    return [int(count) for count in counts[1:]]


def every_score(stack: Stack) -> dict[str, float | list[int]]:
    """Under Fiji's names, from our public functions; also those that the challenge did not use."""
    truth, probability = stack
    cut = tables(stack, 0.5)
    at_half = pooled(foreground_pairs, cut)
    return {
        "pixel_error_th0.5": PixelScores.of(
            confusion(truth.astype(np.uint8), (probability > 0.5).astype(np.uint8), 2)
        ).pixel_error,
        "pixel_error_nothresh": float(np.mean((truth - probability.astype(np.float64)) ** 2)),
        "pixel_max_fscore_0_1_0.1": 1 - pixel_error(*stack).score,
        "rand_max_fscore_0_1_0.1": max(pooled(all_pairs, tables(stack, t)).f_score for t in THRESHOLDS),
        "fg_rand_max_fscore_0_1_0.1": 1 - rand_error(*stack).score,
        "fg_rand_th0.5_fscore": 1 - rand_error(*stack, thresholds=(0.5,)).score,
        "fg_rand_th0.5_precision": at_half.precision,
        "fg_rand_th0.5_recall": at_half.recall,
        "fg_rand_th0.5_index": float(np.mean([foreground_pairs(table).accuracy for table in cut])),
        "v_rand_thinned_persliceavg_0_1_0.1": v_rand_thinned(*stack).score,
        "v_rand_thinned_pooled_0_1_0.1": max(
            pooled(foreground_pairs, tables(stack, t, flooded)).f_score for t in THRESHOLDS
        ),
        "v_rand_thinned_th0.5": v_rand_thinned(*stack, thresholds=(0.5,)).score,
        "v_info_thinned_0_1_0.1": v_info_thinned(*stack).score,
        "v_info_thinned_th0.5": v_info_thinned(*stack, thresholds=(0.5,)).score,
        "fg_info_fscore_th0.5": float(np.mean([foreground_information(table).f_score for table in cut])),
        "vi_th0.5": float(np.mean([fijis_variation(table) for table in cut])),
        "warping_error_th0.5": warping_mismatch(*stack),
        "mismatch_pixels_th0.5_r20_split_merge_objadd_objdel_holeadd_holedel": kinds_of(stack, 0.5),
        "min_splits_mergers_warping_0_0.9_0.1_noclust_r20": warping_error(*stack).score,
    }


def cells_with_noise(seed: int, side: int = 40) -> Stack:
    """A grid of square cells, and probabilities that blur and disturb it."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((2, side, side), dtype=np.uint8)
    for slice_ in truth:
        for y in range(0, side, 8):
            for x in range(0, side, 8):
                slice_[y + 1 : y + 7, x + 1 : x + rng.integers(5, 9)] = 1
    noise = ndimage.gaussian_filter(rng.normal(size=truth.shape), (0, 1, 1))
    return truth, np.clip(ndimage.gaussian_filter(truth.astype(np.float32), (0, 1, 1)) + noise, 0, 1).astype(np.float32)


# --- the challenge's own evaluation


@pytest.mark.parametrize("case", CASES)
def test_every_score_is_the_one_that_fiji_gives(case: str, shared_fixtures: Path) -> None:
    expected, scores = expected_of(case, shared_fixtures), every_score(stack_of(case, shared_fixtures))
    assert set(scores) == set(expected)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("case", CASES)
def test_slices_added_one_by_one_score_as_the_functions_of_the_stack_do(case: str, shared_fixtures: Path) -> None:
    stack = stack_of(case, shared_fixtures)
    assert accumulated(stack).best() == {name: score(*stack) for name, score in SCORES.items()}


def test_the_scores_of_the_stack_are_means_of_those_of_its_slices(shared_fixtures: Path) -> None:
    scores = accumulated(stack_of("voronoi3", shared_fixtures))
    of_slices = scores.per_slice()
    assert len(of_slices) == 3
    for name in ("v_rand_thinned", "v_info_thinned", "warping_error"):  # slices of one size
        assert scores.scores()[name] == pytest.approx(np.mean([of_slice[name] for of_slice in of_slices]))
    for name in ("pixel_error", "rand_error"):  # pooled
        low, *_, high = sorted(of_slice[name] for of_slice in of_slices)
        assert low <= scores.scores()[name] <= high


# --- facts by hand


def test_thresholds_are_those_that_adding_up_gives() -> None:
    assert (len(THRESHOLDS), THRESHOLDS[-1], len(WARPING_THRESHOLDS)) == (11, 0.9999999999999999, 10)
    assert THRESHOLDS[:10] == WARPING_THRESHOLDS
    assert sweep(0.0, 0.0, 0.1) == (0.0,)


def test_the_lowest_of_equal_thresholds_wins() -> None:
    truth, probability = np.array([[[1, 0, 1]]]), np.array([[[0.75, 0.45, 0.75]]])
    assert pixel_error(truth, probability) == Best(0, 0.5)
    assert rand_error(truth, probability) == Best(0, 0.5)
    assert v_rand_thinned(truth, probability) == Best(1, 0.5)


def test_a_probability_is_compared_with_the_threshold_before_it_is_rounded_to_float32() -> None:
    truth, probability = np.array([[[1, 0]]]), np.array([[[51 / 255, 0.15]]], dtype=np.float32)
    assert pixel_error(truth, probability, thresholds=(0.2,)).score == 0  # float32(0.2) > 0.2


def test_wide_membranes_cost_pixels_and_pairs_but_no_thinned_score() -> None:
    truth = np.zeros((9, 19), np.bool_)
    truth[:, :9] = truth[:, 10:] = True
    wide = np.zeros((9, 19), np.float32)
    wide[:, :7] = wide[:, 12:] = 1
    scores = accumulated((truth[None], wide[None])).scores()
    assert scores["pixel_error"] == pytest.approx(1 - 2 * 126 / (126 + 162))
    assert scores["rand_error"] > 0.2
    assert scores["v_rand_thinned"] == scores["v_info_thinned"] == 1
    assert scores["warping_error"] == 0


def test_a_gap_in_a_membrane_costs_its_pixels_in_warping_and_half_the_pairs() -> None:
    truth = np.ones((20, 21), np.bool_)
    truth[:, 10] = False
    gap = truth.astype(np.float32)
    gap[9:11, 10] = 1
    scores = accumulated((truth[None], gap[None])).scores()
    assert scores["warping_error"] == pytest.approx(2 / 420)
    assert scores["pixel_error"] == pytest.approx(1 - 800 / 802)
    assert scores["v_rand_thinned"] == pytest.approx(2 / 3, abs=0.01)  # precision 1/2, recall 1


# --- degenerate slices


def test_a_perfect_proposal_has_no_error() -> None:
    truth, _ = cells_with_noise(0)
    perfect = accumulated((truth, truth.astype(np.float32))).scores()
    assert perfect == pytest.approx(
        {"pixel_error": 0, "rand_error": 0, "warping_error": 0, "v_rand_thinned": 1, "v_info_thinned": 1}
    )


@pytest.mark.parametrize("constant", [0.0, 0.55, 1.0])
def test_a_constant_proposal_is_scored(constant: float) -> None:
    truth, probability = cells_with_noise(0)
    best = accumulated((truth, np.full_like(probability, constant))).best()
    assert best["v_info_thinned"] == Best(0, 0)  # one region tells nothing
    assert 0 < best["v_rand_thinned"].score < 0.3
    assert best["pixel_error"].score == pytest.approx(1 if not constant else 1 - 2 / (1 + truth.size / truth.sum()))


def test_a_truth_without_cells_has_no_thinned_scores_and_no_part_in_their_means() -> None:
    truth, probability = cells_with_noise(0)
    alone = accumulated((np.zeros_like(truth), probability))
    scores = alone.scores()
    assert all(math.isnan(scores[name]) for name in ("rand_error", "v_rand_thinned", "v_info_thinned"))
    assert all(math.isnan(alone.best()[name].threshold) for name in ("rand_error", "v_rand_thinned"))
    assert math.isnan(alone.per_slice()[0]["v_rand_thinned"])
    assert scores["pixel_error"] == 1
    assert scores["warping_error"] == 0  # whatever it proposes is added, nothing is split or merged
    with_it = accumulated((np.concatenate([truth, truth[:1] * 0]), np.concatenate([probability, probability[:1]])))
    without = accumulated((truth, probability))
    assert with_it.best()["v_rand_thinned"] == without.best()["v_rand_thinned"]
    assert with_it.best()["v_info_thinned"] == without.best()["v_info_thinned"]
    assert with_it.best()["rand_error"] == without.best()["rand_error"]


def test_membrane_that_is_neither_there_nor_proposed_is_right() -> None:
    assert pixel_error(np.zeros((1, 3, 3), np.uint8), np.zeros((1, 3, 3))).score == 0


def test_a_truth_full_of_cells_is_one_object() -> None:
    truth = np.ones((1, 6, 6), np.uint8)
    scores = accumulated((truth, np.full((1, 6, 6), 0.5, np.float32))).scores()
    assert scores == {"pixel_error": 0, "rand_error": 0, "warping_error": 0, "v_rand_thinned": 1, "v_info_thinned": 0}


# --- ignored pixels


def test_what_ignored_pixels_hold_does_not_matter() -> None:
    (truth, _), (probability, _) = cells_with_noise(1)
    ignored = np.random.default_rng(1).random(truth.shape) < 0.1
    one, other = Isbi2012(), Isbi2012()
    one.add(truth, probability, ignored)
    other.add(np.where(ignored, 255, truth), np.where(ignored, np.nan, probability), ignored)
    assert one.best() == other.best()
    assert one.best() != accumulated((truth[None], probability[None])).best()


def test_an_error_that_is_ignored_costs_nothing() -> None:
    truth = np.ones((20, 21), np.bool_)
    truth[:, 10] = False
    gap = truth.astype(np.float32)
    gap[9:11, 10] = 1
    scores = Isbi2012()
    scores.add(truth, gap, truth ^ (gap > 0))
    assert scores.scores() == pytest.approx(
        {"pixel_error": 0, "rand_error": 0, "warping_error": 0, "v_rand_thinned": 1, "v_info_thinned": 1}
    )


def test_a_slice_that_is_all_ignored_counts_nowhere() -> None:
    truth, probability = cells_with_noise(2)
    scores, alone = accumulated((truth, probability)), Isbi2012()
    everything = np.ones(truth[0].shape, np.bool_)
    scores.add(truth[0], probability[0], everything)
    alone.add(truth[0], probability[0], everything)
    assert scores.best() == accumulated((truth, probability)).best()
    assert all(map(math.isnan, alone.scores().values()))
    assert all(map(math.isnan, scores.per_slice()[2].values()))


# --- properties


@given(st.integers(0, 2**30))
@settings(max_examples=8)
def test_scores_lie_within_zero_and_one_and_do_not_depend_on_the_order_of_slices(seed: int) -> None:
    truth, probability = cells_with_noise(seed, side=24)
    scores = accumulated((truth, probability))
    assert all(0 <= score <= 1 for score in scores.scores().values())
    assert scores.scores() == pytest.approx(accumulated((truth[::-1], probability[::-1])).scores())
    assert all(score.threshold in THRESHOLDS for score in scores.best().values())
    assert scores.best()["v_rand_thinned"].score == max(
        v_rand_thinned(truth, probability, thresholds=(threshold,)).score for threshold in THRESHOLDS
    )


# --- messages


def test_no_slice_is_refused() -> None:
    with pytest.raises(DataError, match="No slice to score; give at least one truth with its probability"):
        Isbi2012().scores()
    with pytest.raises(DataError, match="No slice to score"):
        pixel_error([], [])


def test_truths_and_probabilities_must_be_as_many() -> None:
    with pytest.raises(SizeError, match="2 truths and 1 probabilities; give one for each"):
        v_rand_thinned(np.zeros((2, 4, 4), np.uint8), np.zeros((1, 4, 4)))


def test_what_a_slice_refuses_is_refused_and_nothing_is_added() -> None:
    scores = Isbi2012()
    with pytest.raises(ImageError, match="not within 0 to 1, such as nan"):
        scores.add(np.zeros((2, 2), np.bool_), np.full((2, 2), np.nan))
    with pytest.raises(SizeError, match="give both on the same pixels"):
        scores.add(np.zeros((2, 2), np.bool_), np.zeros((2, 3)))
    with pytest.raises(DataError):
        scores.best()
