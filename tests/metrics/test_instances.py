from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from skimage.segmentation import expand_labels

from ushape.errors import RecipeError
from ushape.metrics.instances import IOU_THRESHOLDS, Counts, Matching, mean_over_images, pooled

MEASURES: tuple[Callable[[Matching], float], ...] = (
    Matching.f1,
    Matching.precision,
    Matching.recall,
    Matching.average_precision,
    Matching.mean_average_precision,
    Matching.mean_matched_iou,
    Matching.panoptic_quality,
    Matching.aggregated_jaccard,
    Matching.aggregated_jaccard_plus,
    Matching.seg,
    Matching.det,
)
SYMMETRIC = (Matching.f1, Matching.average_precision, Matching.mean_average_precision, Matching.panoptic_quality)

object_maps = hnp.arrays(np.int64, (2, 4, 7), elements=st.integers(0, 4))
"""Truth and prediction on top of each other."""

masks = hnp.arrays(bool, (4, 7))
thresholds = st.sampled_from([0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9])


def row(text: str) -> NDArray[np.int64]:
    """'11.22' → the (1, 5) object map [[1, 1, 0, 2, 2]]."""
    return np.array([[0 if letter == "." else int(letter) for letter in text]])


def rows(truth: str, predicted: str, ignored: str | None = None) -> Matching:
    return Matching.of(row(truth), row(predicted), ignored=None if ignored is None else row(ignored) > 0)


def pixels_of(image: NDArray[np.int64]) -> list[set[int]]:
    return [set(np.flatnonzero(image == number).tolist()) for number in np.unique(image[image > 0])]


def iou_table(maps: NDArray[np.int64]) -> NDArray[np.float64]:
    """(true objects, predicted objects) IoU, from sets of pixels."""
    true, predicted = map(pixels_of, maps)
    return np.array([[len(t & p) / len(t | p) for p in predicted] for t in true]).reshape(len(true), len(predicted))


# --- facts by hand

BLOBS = "1111.222..3333.", "4444.5.55.....6"
"""A perfect pair, one of IoU 2/4 (three pixels each, two shared), a missed and a false object."""


def test_counts_and_their_ratios_by_hand() -> None:
    toy = rows(*BLOBS)
    assert toy.counts(0.5) == Counts(tp=1, fp=2, fn=2)
    assert toy.counts(0.49) == Counts(tp=2, fp=1, fn=1)
    assert toy.f1(0.49) == toy.precision(0.49) == toy.recall(0.49) == pytest.approx(2 / 3)
    assert toy.average_precision(0.49) == 2 / 4
    assert toy.average_precision() == 1 / 5
    assert toy.mean_average_precision() == pytest.approx(1 / 5)
    assert rows("11.22", "11...").precision() == rows("11...", "11.22").recall() == 1
    assert rows("11.22", "11...").recall() == rows("11...", "11.22").precision() == 1 / 2


def test_panoptic_quality_by_hand() -> None:
    toy = rows(*BLOBS)
    assert toy.mean_matched_iou(0.49) == (1 + 2 / 4) / 2
    assert toy.panoptic_quality(0.49) == pytest.approx((1 + 2 / 4) / (2 + 1 / 2 + 1 / 2))
    assert toy.panoptic_quality() == pytest.approx(1 / (1 + 2 / 2 + 2 / 2))


def test_the_mean_average_precision_has_the_ten_thresholds_of_the_data_science_bowl() -> None:
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert rows("11111111..", "1111111...").mean_average_precision() == 8 / 10  # IoU 7/8 exceeds 0.5 to 0.85


def test_an_iou_equal_to_the_threshold_is_no_match() -> None:
    assert rows("111.", "1111").counts(0.75) == Counts(tp=0, fp=1, fn=1)
    assert rows("11111", "111..").counts(0.6).tp == 0  # 3/5 is 0.6 in float64 too
    assert rows("1122", "1111").counts(0.5) == Counts(tp=0, fp=1, fn=2)  # else 1 would match as well as 2


def test_below_one_half_the_largest_number_of_matches_wins_over_the_best_one() -> None:
    # true 1 has IoU 4/9 with predicted 1 and 2/6 with 2; true 2 has 3/7 with predicted 1 and none with 2
    toy = rows("111111222...", "221111111...")
    assert toy.counts(0.1) == Counts(tp=2, fp=0, fn=0)
    assert toy.counts(0.4) == Counts(tp=1, fp=1, fn=1)


def test_aggregated_jaccard_by_hand() -> None:
    assert rows(*BLOBS).aggregated_jaccard() == (4 + 2) / (4 + 4 + 4 + 1)
    # one prediction over two true objects: it serves both, 3 of 6 and 3 of 6; one to one it serves one of them
    merged = rows("111222", "111111")
    assert merged.aggregated_jaccard() == (3 + 3) / (6 + 6)
    assert merged.aggregated_jaccard_plus() == 3 / (6 + 3)


def test_aggregated_jaccard_does_not_depend_on_which_true_object_comes_first() -> None:
    for truth in ("11122222", "22211111", "11111222", "22222111"):
        assert rows(truth, "77777777").aggregated_jaccard() == (3 + 5) / (8 + 8)


def test_seg_takes_the_prediction_that_covers_more_than_half_whatever_its_size() -> None:
    assert rows("11...222", "1111.2..").seg() == (2 / 4 + 0) / 2
    assert rows("11......", "1.......").seg() == 0  # half is not more than half
    assert rows("11.....", "11.7777").seg() == 1  # false objects do not lower it
    assert rows("111222", "111111").seg() == 1 / 2  # one prediction may cover several


def test_det_weighs_splits_misses_and_false_objects_five_ten_and_one() -> None:
    assert rows("1.2.3.4.", "1.2.3.4.").det() == 1
    assert rows("1.2.3.4.", "1.2.3...").det() == pytest.approx(1 - 10 / 40)
    assert rows("1.2.3.4.", "1.2.3.45").det() == pytest.approx(1 - 1 / 40)
    assert rows("1.2.3.4.", "1.2.3333").det() == pytest.approx(1 - 5 / 40)
    assert rows("1.2.3.4.", "77777777").det() == pytest.approx(1 - 3 * 5 / 40)  # three cuts part four
    assert rows("1.......", "........").det() == 0
    assert rows("1.......", ".2345678").det() == 0  # never below the empty map


def test_merges_and_splits_by_hand() -> None:
    merged, split = rows("11.22.33", "77777.33"), rows("77777.33", "11.22.33")
    assert (merged.merges(), merged.splits()) == (1, 0)
    assert (split.merges(), split.splits()) == (0, 1)
    assert rows("777.", "1122").splits() == rows("1122", "777.").merges() == 0  # half is not more than half
    assert rows("777777.", "1112222").splits() == rows("1112222", "777777.").merges() == 1


def test_the_empty_rule() -> None:
    nothing, only_true, only_predicted = rows("...", "..."), rows("11.", "..."), rows("...", "11.")
    for measure in MEASURES:
        assert math.isnan(measure(nothing))
        assert measure(only_true) == 0
        assert measure(only_predicted) == 0 or measure is Matching.seg
    assert math.isnan(only_predicted.seg())
    assert (nothing.counts(), nothing.merges(), nothing.splits()) == (Counts(0, 0, 0), 0, 0)
    assert math.isnan(mean_over_images([nothing], Matching.f1))
    assert math.isnan(pooled([]).f1()) and math.isnan(mean_over_images([], Matching.f1))


def test_the_ignored_rule() -> None:
    # what lies mostly on ignored pixels and is alone is neither false nor missed
    assert rows("11.....", "11..333", "....111").counts() == Counts(1, 0, 0)
    assert rows("11..333", "11.....", ".....11").counts() == Counts(1, 0, 0)
    assert rows("11..333", "11.....", "......1").counts() == Counts(1, 0, 1)
    assert rows("11..333", "11.....", "......1").det() == 1 - 10 / 20
    # its remainder may still be the partner of an object that counts
    assert rows("...22", "22222", "111..").counts() == Counts(1, 0, 0)
    # and two remainders of that kind count nowhere, even where they agree
    assert rows("22222", "22222", "111..").counts() == Counts(0, 0, 0)
    for measure in MEASURES:
        assert math.isnan(measure(rows("22222", "22222", "111..")))


def test_a_folder_is_scored_over_its_objects_or_over_its_images() -> None:
    crowded, sparse, empty = rows("1.2.3.4.", "1.2.3..."), rows("1.2", "1.3"), rows("...", "...")
    folder = [crowded, sparse, rows("1", "."), empty]
    assert pooled(folder).counts() == Counts(tp=5, fp=0, fn=2)
    assert pooled(folder).seg() == pytest.approx(5 / 7)
    assert mean_over_images(folder, Matching.seg) == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert mean_over_images(folder, lambda image: image.recall(0.9)) == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert pooled(iter(folder)).det() == pytest.approx(1 - 20 / 70)


# --- what others compute


@pytest.mark.real_data
def test_seg_and_det_equal_those_of_the_cell_tracking_challenges_python_code(shared_fixtures: Path) -> None:
    expected = json.loads((shared_fixtures / "other_metrics" / "expected.json").read_text())["ctc"]
    with np.load(shared_fixtures / "other_metrics" / "ctc_inputs.npz") as maps:
        frames = [Matching.of(maps[f"ref{i}"], maps[f"comp{i}"]) for i in range(3)]
    for frame, theirs in zip(frames, expected["per_frame"], strict=True):
        assert (len(frame.truth), len(frame.predicted)) == (theirs["n_ref"], theirs["n_comp"])
        assert frame.seg() * len(frame.truth) == pytest.approx(theirs["iou_sum"], abs=1e-9)
    assert pooled(frames).seg() == pytest.approx(expected["SEG"], abs=1e-9)
    assert pooled(frames).det() == pytest.approx(expected["DET"], abs=1e-9)


@given(object_maps, thresholds)
@settings(max_examples=100)
def test_matches_are_those_of_one_assignment_over_all_objects(maps: NDArray[np.int64], iou: float) -> None:
    _compare_with_one_assignment(maps, iou)


@pytest.mark.parametrize("iou", [0, 0.1, 0.3, 0.5])
def test_matches_of_a_crowd_are_those_of_one_assignment_over_all_objects(iou: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        seeds = np.zeros((2, 40, 40), dtype=np.int64)
        for image in seeds:
            image[tuple(rng.integers(0, 40, (2, 60)))] = np.arange(1, 61)
        _compare_with_one_assignment(np.stack([expand_labels(image, 4) for image in seeds]), iou)


def _compare_with_one_assignment(maps: NDArray[np.int64], iou: float) -> None:
    table = iou_table(maps)
    gain = np.where(table > iou, 100 + table, 0)
    chosen = linear_sum_assignment(gain, maximize=True)
    kept = gain[chosen] > 0
    matching = Matching.of(*maps)
    assert matching.counts(iou).tp == kept.sum()
    if kept.any():
        assert matching.mean_matched_iou(iou) == pytest.approx(table[chosen][kept].mean())
    for side in (matching.pairs.truth, matching.pairs.predicted):
        assert len(np.unique(side[matching.matched(iou)])) == kept.sum()


@given(object_maps)
@settings(max_examples=60)
def test_aggregated_jaccard_is_that_of_all_ways_to_choose_partners(maps: NDArray[np.int64]) -> None:
    true, predicted = map(pixels_of, maps)
    matching, iou = Matching.of(*maps), iou_table(maps)
    if not true or not predicted:
        return
    partners = [[k for k in range(len(predicted)) if iou[t, k]] or [None] for t in range(len(true))]
    best = [[k for k in of_one if k is None or iou[t, k] == iou[t].max()] for t, of_one in enumerate(partners)]
    ways = [aggregated(true, predicted, way) for way in product(*best)]  # several, where two have the same IoU
    assert any(matching.aggregated_jaccard() == pytest.approx(score) for score in ways)
    one_to_one = [way for way in product(*({*each, None} for each in partners)) if _no_partner_twice(way)]
    total = [sum(iou[t, k] for t, k in enumerate(way) if k is not None) for way in one_to_one]
    ways = [aggregated(true, predicted, w) for w, n in zip(one_to_one, total, strict=True) if n > max(total) - 1e-9]
    assert any(matching.aggregated_jaccard_plus() == pytest.approx(score) for score in ways)


def aggregated(true: list[set[int]], predicted: list[set[int]], way: tuple[int | None, ...]) -> float:
    """AJI where the t-th true object has the predicted one `way[t]` as its partner."""
    pairs = [(one, set() if k is None else predicted[k]) for one, k in zip(true, way, strict=True)]
    alone = sum(len(one) for k, one in enumerate(predicted) if k not in way)
    return sum(len(t & p) for t, p in pairs) / (sum(len(t | p) for t, p in pairs) + alone)


def _no_partner_twice(way: tuple[int | None, ...]) -> bool:
    partners = [k for k in way if k is not None]
    return len(set(partners)) == len(partners)


@given(object_maps)
@settings(max_examples=80)
def test_seg_and_det_and_merges_are_those_of_loops_over_sets_of_pixels(maps: NDArray[np.int64]) -> None:
    true, predicted = map(pixels_of, maps)
    finder = [next((k for k, p in enumerate(predicted) if 2 * len(t & p) > len(t)), None) for t in true]
    found = [k for k in finder if k is not None]
    matching = Matching.of(*maps)
    ious = [
        0 if k is None else len(t & predicted[k]) / len(t | predicted[k]) for t, k in zip(true, finder, strict=True)
    ]
    if true:
        assert matching.seg() == pytest.approx(np.mean(ious))
        cost = 10 * finder.count(None) + (len(predicted) - len(set(found))) + 5 * (len(found) - len(set(found)))
        assert matching.det() == pytest.approx(1 - min(cost, 10 * len(true)) / (10 * len(true)))
    assert matching.merges() == sum(found.count(k) > 1 for k in set(found))


# --- properties


@given(object_maps, st.permutations(range(1, 5)), st.permutations(range(1, 5)))
@settings(max_examples=60)
def test_ids_do_not_matter(maps: NDArray[np.int64], names: list[int], others: list[int]) -> None:
    before = Matching.of(*maps)
    after = Matching.of(np.array([0, *names])[maps[0]], 1_000_000_007 * np.array([0, *others])[maps[1]] % 2**32)
    for measure in MEASURES:
        np.testing.assert_equal(measure(after), measure(before))
    np.testing.assert_equal(after.f1(0.1), before.f1(0.1))


@given(object_maps, masks, thresholds)
@settings(max_examples=60)
def test_truth_and_prediction_in_each_others_place_swap_precision_and_recall_splits_and_merges(
    maps: NDArray[np.int64], ignored: NDArray[np.bool_], iou: float
) -> None:
    forth, back = Matching.of(*maps, ignored=ignored), Matching.of(*maps[::-1], ignored=ignored)
    for measure in SYMMETRIC:
        np.testing.assert_allclose(measure(forth), measure(back), rtol=1e-12)
    np.testing.assert_equal(forth.f1(iou), back.f1(iou))
    np.testing.assert_equal(forth.precision(iou), back.recall(iou))
    assert forth.splits() == back.merges()


@given(object_maps)
@settings(max_examples=30)
def test_a_perfect_prediction_has_score_one_in_all_measures(maps: NDArray[np.int64]) -> None:
    perfect = Matching.of(maps[0], maps[0])
    for measure in MEASURES:
        assert measure(perfect) == 1 or not maps[0].any()
    assert (perfect.splits(), perfect.merges()) == (0, 0)


@given(object_maps, masks)
@settings(max_examples=60)
def test_scores_lie_within_zero_and_one_and_fall_as_the_threshold_rises(
    maps: NDArray[np.int64], ignored: NDArray[np.bool_]
) -> None:
    matching = Matching.of(*maps, ignored=ignored)
    for measure in MEASURES:
        assert 0 <= measure(matching) <= 1 or math.isnan(measure(matching))
    ladder = (0, 0.1, 0.2, 0.3, 0.4, *IOU_THRESHOLDS)
    for score in (matching.f1, matching.average_precision, matching.precision, matching.recall):
        for lower, higher in pairwise(ladder):
            assert score(lower) >= score(higher) or (math.isnan(score(lower)) and math.isnan(score(higher)))


@given(object_maps, masks)
@settings(max_examples=40)
def test_what_is_predicted_on_ignored_pixels_changes_no_score_unless_it_excuses(
    maps: NDArray[np.int64], ignored: NDArray[np.bool_]
) -> None:
    before = Matching.of(*maps, ignored=ignored)
    blank = Matching.of(maps[0], np.where(ignored, 0, maps[1]), ignored=ignored)
    if not before.predicted.excused.any():
        for measure in MEASURES:
            np.testing.assert_equal(measure(blank), measure(before))


@given(object_maps, object_maps)
@settings(max_examples=40)
def test_pooled_is_one_image_in_which_the_images_lie_below_each_other(
    one: NDArray[np.int64], other: NDArray[np.int64]
) -> None:
    stacked = np.concatenate([one, np.where(other > 0, other + 10, 0)], axis=1)
    both, together = Matching.of(*stacked), pooled([Matching.of(*one), Matching.of(*other)])
    for measure in MEASURES:
        np.testing.assert_allclose(measure(together), measure(both), rtol=1e-12)
    assert together.counts(0.1) == both.counts(0.1)
    assert (together.merges(), together.splits()) == (both.merges(), both.splits())


# --- planted bad input


@pytest.mark.parametrize("iou", [-0.1, 1, 75, math.nan])
def test_a_threshold_that_no_pair_can_exceed_or_all_do_is_refused(iou: float) -> None:
    with pytest.raises(RecipeError, match=rf"An IoU threshold of {iou} cannot be: .* 0 or more, below 1\."):
        rows("1", "1").f1(iou)
