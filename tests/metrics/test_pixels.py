from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from ushape.errors import ImageError, SizeError
from ushape.metrics.pixels import PixelScores, ScoreHistogram, average_precision, confusion, roc_auc

CLASSES = 4
FIELDS = ("dice", "iou", "precision", "recall")

class_maps = hnp.arrays(np.uint8, (2, 5, 6), elements=st.integers(0, CLASSES - 1))
"""Truth and prediction on top of each other."""


def scores_of(truth: list[int], predicted: list[int], classes: int) -> PixelScores:
    return PixelScores.of(confusion(np.array(truth), np.array(predicted), classes))


def confident_network(seed: int, sigma: float, pixels: int = 40_000) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Truth, a fifth of it true, and probabilities whose logits spread by sigma; the larger the more sit at 0 and 1."""
    rng = np.random.default_rng(seed)
    truth = rng.random(pixels) < 0.2
    logits = sigma * (rng.normal(size=pixels) + np.where(truth, 1.5, -1.5))
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32)


def histogram_of(truth: NDArray[np.bool_], probability: NDArray[np.floating]) -> ScoreHistogram:
    histogram = ScoreHistogram()
    histogram.add(truth, probability)
    return histogram


# --- facts by hand


def test_a_confusion_has_the_truth_in_rows_and_leaves_ignored_pixels_out() -> None:
    truth = np.array([[0, 0, 1], [1, 2, 255]], dtype=np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 255]], dtype=np.uint8)
    counts = confusion(truth, predicted, classes=3)
    assert counts.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert counts.dtype == np.int64


def test_the_scores_of_a_confusion_are_those_worked_out_by_hand() -> None:
    # class 0: 50 of 60 found, 55 named; class 1: 35 of 40 found, 45 named
    scores = PixelScores.of(np.array([[50, 10], [5, 35]]))
    assert scores.dice == pytest.approx((100 / 115, 70 / 85))
    assert scores.iou == pytest.approx((50 / 65, 35 / 50))
    assert scores.precision == pytest.approx((50 / 55, 35 / 45))
    assert scores.recall == pytest.approx((50 / 60, 35 / 40))
    assert (scores.pixel_accuracy, scores.pixel_error) == (0.85, 0.15)


def test_a_class_in_neither_truth_nor_prediction_has_no_score_and_no_part_in_the_mean() -> None:
    scores = scores_of([0, 1, 1, 1], [0, 1, 1, 0], classes=3)
    assert [math.isnan(getattr(scores, field)[2]) for field in FIELDS] == [True] * 4
    assert scores.mean_dice == scores.dice[1] == pytest.approx(4 / 5)
    assert scores.mean_recall == scores.recall[1] == pytest.approx(2 / 3)


def test_a_class_that_is_missed_altogether_has_precision_zero_and_lowers_the_mean() -> None:
    scores = scores_of([0, 1, 2], [0, 1, 0], classes=3)
    assert [getattr(scores, field)[2] for field in FIELDS] == [0, 0, 0, 0]
    assert (scores.mean_dice, scores.mean_iou, scores.mean_precision) == (0.5, 0.5, 0.5)


def test_a_class_that_is_only_predicted_has_recall_zero() -> None:
    scores = scores_of([0, 0], [0, 1], classes=2)
    assert [getattr(scores, field)[1] for field in FIELDS] == [0, 0, 0, 0]


def test_the_foreground_mean_is_over_all_classes_but_the_first() -> None:
    scores = PixelScores.of(np.array([[1, 0, 0], [0, 8, 2], [0, 2, 6]]))
    assert scores.mean_dice == pytest.approx((16 / 20 + 12 / 16) / 2)
    assert scores.mean_iou == pytest.approx((8 / 12 + 6 / 10) / 2)


def test_an_image_without_foreground_has_no_foreground_mean_but_an_accuracy() -> None:
    scores = scores_of([0, 0], [0, 0], classes=2)
    assert math.isnan(scores.mean_dice) and math.isnan(scores.mean_precision)
    assert scores.pixel_accuracy == 1


def test_an_image_whose_truth_is_all_ignored_has_no_score() -> None:
    scores = scores_of([255, 255], [0, 1], classes=2)
    assert all(map(math.isnan, (*scores.dice, scores.pixel_accuracy, scores.pixel_error)))


def test_roc_auc_counts_ties_half() -> None:
    truth, score = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.4, 0.1])
    assert roc_auc(truth, score) == 3.5 / 4
    assert roc_auc(truth, -score) == 0.5 / 4


def test_average_precision_by_hand() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert average_precision(truth, np.full(4, 0.5)) == 0.5


def test_scores_of_one_kind_of_pixel_only_are_undefined() -> None:
    score, none = np.array([0.1, 0.9]), np.zeros(2, dtype=bool)
    histogram = histogram_of(none, score)
    assert math.isnan(roc_auc(none, score)) and math.isnan(roc_auc(~none, score))
    assert math.isnan(average_precision(none, score)) and average_precision(~none, score) == 1
    assert math.isnan(histogram.roc_auc()) and math.isnan(histogram.average_precision())
    assert all(map(math.isnan, histogram.best_f1()))
    assert math.isnan(ScoreHistogram().roc_auc())


def test_best_f1_by_hand() -> None:
    truth = np.array([True, True, False, True, False])
    f1, threshold = histogram_of(truth, np.array([0.9, 0.8, 0.7, 0.6, 0.1])).best_f1()
    assert f1 == pytest.approx(6 / 7)
    assert 0.1 < threshold <= 0.6
    assert threshold == pytest.approx(0.6, abs=5e-4)


def test_zero_one_and_one_half_are_thresholds_of_their_own() -> None:
    for probability in (0.5, 1.0):
        beneath = np.nextafter(np.float32(probability), np.float32(0))
        histogram = histogram_of(np.array([True, False]), np.array([probability, beneath], dtype=np.float32))
        assert histogram.best_f1() == (1, probability)
    assert histogram_of(np.array([True, True]), np.array([-0.0, 0.0])).best_f1() == (1, 0)


@pytest.mark.parametrize("edge", [0.5, 0.75, 0.875, 1 - 2**-20])
def test_a_threshold_in_the_upper_half_leaves_out_the_pixel_on_the_edge_of_its_bin(edge: float) -> None:
    above = np.nextafter(np.float32(edge), np.float32(1))
    histogram = histogram_of(np.array([True, False]), np.array([above, edge], dtype=np.float32))
    assert histogram.best_f1() == (1, float(above))


# --- properties


@given(class_maps)
@settings(deadline=None, max_examples=60)
def test_dice_and_iou_and_precision_and_recall_agree_with_each_other(maps: NDArray[np.uint8]) -> None:
    scores = PixelScores.of(confusion(*maps, CLASSES))
    for dice, iou, precision, recall in zip(*(getattr(scores, field) for field in FIELDS), strict=True):
        assert dice == pytest.approx(2 * iou / (1 + iou), nan_ok=True)
        harmonic = 2 * precision * recall / (precision + recall) if precision + recall else precision + recall
        assert dice == pytest.approx(harmonic, nan_ok=True)
    assert scores.pixel_accuracy + scores.pixel_error == pytest.approx(1)


@given(class_maps)
@settings(deadline=None, max_examples=60)
def test_truth_and_prediction_in_each_others_place_swap_precision_and_recall(maps: NDArray[np.uint8]) -> None:
    forth, back = confusion(maps[0], maps[1], CLASSES), confusion(maps[1], maps[0], CLASSES)
    assert np.array_equal(forth, back.T)
    one, other = PixelScores.of(forth), PixelScores.of(back)
    np.testing.assert_array_equal(one.precision, other.recall)
    np.testing.assert_array_equal(one.dice, other.dice)
    np.testing.assert_array_equal(one.iou, other.iou)


@given(class_maps, st.permutations(range(CLASSES)))
@settings(deadline=None, max_examples=60)
def test_renaming_the_classes_renames_the_scores(maps: NDArray[np.uint8], names: list[int]) -> None:
    before = PixelScores.of(confusion(*maps, CLASSES))
    after = PixelScores.of(confusion(*np.array(names)[maps], CLASSES))
    for field in FIELDS:
        np.testing.assert_array_equal(np.array(getattr(after, field))[names], getattr(before, field))


@given(class_maps, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_the_order_of_pixels_does_not_matter(maps: NDArray[np.uint8], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(maps[0].size)
    shuffled = maps.reshape(2, -1)[:, order]
    assert np.array_equal(confusion(*shuffled, CLASSES), confusion(*maps, CLASSES))


@given(class_maps, class_maps)
@settings(deadline=None, max_examples=30)
def test_confusions_add_as_images_are_laid_side_by_side(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    both = np.concatenate([one, other], axis=2)
    assert np.array_equal(confusion(*one, CLASSES) + confusion(*other, CLASSES), confusion(*both, CLASSES))


@given(class_maps)
@settings(deadline=None, max_examples=30)
def test_what_is_predicted_on_ignored_pixels_changes_nothing(maps: NDArray[np.uint8]) -> None:
    truth, predicted = maps
    ignored = np.arange(truth.size).reshape(truth.shape) % 3 == 0
    left = confusion(truth[~ignored], predicted[~ignored], CLASSES)
    for anything in (0, 77, 255):
        here = confusion(np.where(ignored, 255, truth), np.where(ignored, anything, predicted), CLASSES)
        assert np.array_equal(here, left)


def test_every_integer_type_and_booleans_are_class_maps() -> None:
    for dtype in (bool, np.int8, np.uint16, np.int32, np.int64, np.uint64):
        maps = np.array([[0, 1, 1], [0, 0, 1]], dtype=dtype)
        assert confusion(maps[0], maps[1], classes=2).tolist() == [[1, 0], [1, 1]]


def test_the_arguments_are_left_as_they_were() -> None:
    truth, probability = np.array([True, False]), np.array([1.000001, -0.0], dtype=np.float32)
    kept = probability.copy()
    histogram_of(truth, probability)
    roc_auc(truth, probability)
    assert np.array_equal(probability, kept)


def test_the_largest_number_of_classes_still_fits() -> None:
    numbers = np.arange(255, dtype=np.uint8)
    assert np.array_equal(confusion(numbers, numbers, classes=255), np.eye(255))


# --- against scikit-learn


@given(class_maps)
@settings(deadline=None, max_examples=60)
def test_class_scores_equal_those_of_scikit_learn_wherever_the_class_counts(maps: NDArray[np.uint8]) -> None:
    truth, predicted = maps.reshape(2, -1)
    numbers = list(range(CLASSES))
    counts = confusion(truth, predicted, CLASSES)
    assert np.array_equal(counts, sklearn_metrics.confusion_matrix(truth, predicted, labels=numbers))
    scores = PixelScores.of(counts)
    precision, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        truth, predicted, labels=numbers, zero_division=0
    )
    iou = sklearn_metrics.jaccard_score(truth, predicted, labels=numbers, average=None, zero_division=0)
    present = np.isin(numbers, maps)
    for ours, theirs in ((scores.precision, precision), (scores.recall, recall), (scores.dice, f1), (scores.iou, iou)):
        np.testing.assert_allclose(ours, np.where(present, theirs, np.nan), atol=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 2, 12])
def test_roc_auc_and_average_precision_equal_those_of_scikit_learn_with_and_without_ties(decimals: int) -> None:
    for seed in range(5):
        truth, probability = confident_network(seed, sigma=1, pixels=500)
        score = np.round(probability.astype(float), decimals)
        assert roc_auc(truth, score) == pytest.approx(sklearn_metrics.roc_auc_score(truth, score), abs=1e-9)
        theirs = sklearn_metrics.average_precision_score(truth, score)
        assert average_precision(truth, score) == pytest.approx(theirs, abs=1e-9)


@given(hnp.arrays(bool, 12), hnp.arrays(np.int8, 12, elements=st.integers(-2, 2)))
@settings(deadline=None, max_examples=100)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(truth: NDArray[np.bool_], score: NDArray[np.int8]) -> None:
    pairs = [(high > low) + (high == low) / 2 for high in score[truth] for low in score[~truth]]
    expected = sum(pairs) / len(pairs) if pairs else math.nan
    assert roc_auc(truth, score.astype(float)) == pytest.approx(expected, nan_ok=True)


# --- the histogram against the exact functions


@pytest.mark.parametrize("sigma", [0.3, 1, 4, 12, 30])
def test_a_histogram_gives_the_exact_areas_however_confident_the_network(sigma: float) -> None:
    truth, probability = confident_network(0, sigma)
    histogram = histogram_of(truth, probability)
    assert histogram.roc_auc() == pytest.approx(roc_auc(truth, probability), abs=1e-5)
    assert histogram.average_precision() == pytest.approx(average_precision(truth, probability), abs=3e-4)


def test_its_bins_tell_apart_what_as_many_equally_wide_ones_do_not() -> None:
    truth, probability = confident_network(0, sigma=12)
    exact = average_precision(truth, probability)
    equally_wide = average_precision(truth, np.minimum(np.floor(probability * 2.0**16), 2.0**16 - 1))
    assert abs(equally_wide - exact) > 1e-2
    assert abs(histogram_of(truth, probability).average_precision() - exact) < 1e-5


@pytest.mark.parametrize("sigma", [0.3, 1, 4, 12, 30])
def test_best_f1_is_what_its_threshold_gives_and_close_to_the_best_of_all(sigma: float) -> None:
    truth, probability = confident_network(1, sigma)
    f1, threshold = histogram_of(truth, probability).best_f1()
    mask = probability >= threshold
    assert f1 == 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    precision, recall, _ = sklearn_metrics.precision_recall_curve(truth, probability)
    best_of_all = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    assert best_of_all - 1e-3 < f1 <= best_of_all + 1e-12


@given(
    hnp.arrays(bool, 10),
    hnp.arrays(np.float32, 10, elements=st.floats(0, 1, width=32) | st.sampled_from([1 - 2**-24, 2**-24, 1e-30])),
)
@settings(deadline=None, max_examples=200)
def test_best_f1_is_what_its_threshold_gives_for_any_float32(
    truth: NDArray[np.bool_], probability: NDArray[np.float32]
) -> None:
    f1, threshold = histogram_of(truth, probability).best_f1()
    mask = probability >= threshold
    assert f1 == pytest.approx(
        2 * (mask & truth).sum() / (mask.sum() + truth.sum()) if truth.any() else f1, nan_ok=True
    )


def test_a_histogram_pools_images_and_leaves_out_what_does_not_count() -> None:
    truth, probability = confident_network(2, sigma=2, pixels=4000)
    counted = np.arange(4000) % 7 != 0
    pieces = ScoreHistogram()
    for piece in (slice(0, 1500), slice(1500, 4000)):
        pieces.add(truth[piece], np.where(counted, probability, np.nan)[piece], counted[piece])
    whole = histogram_of(truth[counted], probability[counted])
    assert pieces.roc_auc() == whole.roc_auc()
    assert pieces.best_f1() == whole.best_f1()


def test_probabilities_that_rounding_carried_past_their_ends_are_taken() -> None:
    histogram = histogram_of(np.array([True, False]), np.array([1.0000002, -1e-7], dtype=np.float32))
    assert histogram.best_f1() == (1, 1)


def test_half_and_double_precision_are_taken() -> None:
    truth = np.array([True, False, True])
    for dtype in (np.float16, np.float64):
        assert histogram_of(truth, np.array([0.75, 0.5, 0.25], dtype=dtype)).roc_auc() == 0.5


# --- messages


def test_maps_of_unequal_shapes_are_refused_with_both_shapes() -> None:
    truth, predicted = np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8)
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the prediction \(5, 4\).*same pixels"):
        confusion(truth, predicted, 2)
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the score \(5, 4\)"):
        roc_auc(truth == 1, np.zeros((5, 4)))
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the probability \(4,\)"):
        ScoreHistogram().add(truth == 1, np.zeros(4))
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the mask of counted pixels \(4,\)"):
        ScoreHistogram().add(truth == 1, np.zeros((4, 5)), np.ones(4, dtype=bool))


def test_a_prediction_that_ignores_pixels_the_truth_counts_is_refused() -> None:
    truth, predicted = np.array([0, 1, 255], np.uint8), np.array([255, 255, 255], np.uint8)
    with pytest.raises(
        ImageError, match=r"prediction holds 255 \(2 pixels\); the classes are 0 to 1.*must name a class"
    ):
        confusion(truth, predicted, 2)


@pytest.mark.parametrize(("truth", "predicted", "name"), [([0, 9], [0, 0], "truth"), ([0, 0], [0, 9], "prediction")])
def test_a_number_of_no_class_is_refused_with_its_count(truth: list[int], predicted: list[int], name: str) -> None:
    with pytest.raises(ImageError, match=rf"The {name} holds 9 \(1 pixels\); the classes are 0 to 1.*Labels.encode"):
        confusion(np.array(truth), np.array(predicted), 2)


@pytest.mark.parametrize("value", [-1, 256, 2**40])
def test_mask_values_that_are_no_class_numbers_are_refused(value: int) -> None:
    with pytest.raises(ImageError, match=rf"truth holds {value} \(2 pixels outside 0 to 255\).*not mask values"):
        confusion(np.array([0, value, value]), np.zeros(3, np.uint8), 2)


def test_class_maps_of_real_numbers_are_refused() -> None:
    with pytest.raises(ImageError, match="prediction is float32; class maps are whole numbers"):
        confusion(np.zeros(3, np.uint8), np.zeros(3, np.float32), 2)


def test_a_confusion_that_is_not_square_is_refused() -> None:
    with pytest.raises(SizeError, match=r"shape \(2, 3\) is not square.*rows the truth"):
        PixelScores.of(np.zeros((2, 3), dtype=np.int64))


def test_truth_that_is_not_boolean_is_refused_so_that_255_is_not_true() -> None:
    truth = np.array([0, 1, 255], np.uint8)
    for rank in (roc_auc, average_precision, ScoreHistogram().add):
        with pytest.raises(ImageError, match=r"truth is uint8; we take booleans.*class_map == number"):
            rank(truth, np.zeros(3))
    with pytest.raises(ImageError, match=r"mask of counted pixels is uint8; we take booleans.*class_map != IGNORED"):
        ScoreHistogram().add(truth == 1, np.zeros(3), np.ones(3, np.uint8))


def test_scores_that_are_nan_are_refused() -> None:
    with pytest.raises(ImageError, match="1 of 2 scores are NaN and cannot be ranked"):
        average_precision(np.array([True, False]), np.array([0.5, np.nan]))


@pytest.mark.parametrize("value", [-3.5, 1.5, np.nan, np.inf])
def test_logits_given_as_probabilities_are_refused_and_nothing_is_counted(value: float) -> None:
    histogram = ScoreHistogram()
    with pytest.raises(
        ImageError, match=rf"1 of 2 probabilities are not within 0 to 1, such as {value}.*not the logits"
    ):
        histogram.add(np.array([True, False]), np.array([0.5, value]))
    assert math.isnan(histogram.average_precision())
