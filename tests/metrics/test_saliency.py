from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import DataError, ImageError
from ushape.metrics.foreground import ForegroundMap
from ushape.metrics.saliency import THRESHOLDS, Curves, ImageSaliency, Saliency, boundary_f

SHAPE = (8, 9)
truths = hnp.arrays(bool, SHAPE)
maps_of_8_bits = hnp.arrays(np.uint8, SHAPE).map(lambda levels: levels / 255)


def random_image(seed: int, shape: tuple[int, int] = (30, 40)) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A few blobs, and a map that mostly finds them."""
    rng = np.random.default_rng(seed)
    blobs, noise = (ndimage.gaussian_filter(rng.normal(size=shape), 3) for _ in range(2))
    return blobs > 0.05, 1 / (1 + np.exp(-40 * (blobs - 0.05 + 0.5 * noise)))


def f_of(precision: float, recall: float) -> float:
    return 1.3 * precision * recall / (0.3 * precision + recall) if precision and recall else 0


def numbers(image: ImageSaliency) -> list[float]:
    curves = image.curves
    alone = [image.mean_absolute_error, image.adaptive_f, image.adaptive_e_measure, image.s_measure, image.weighted_f]
    return [*alone, image.boundary_f, *curves.precision, *curves.recall, *curves.f, *curves.e_measure]


# --- PySODMetrics


@pytest.mark.real_data
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_images_and_folder_score_as_in_pysodmetrics(dtype: type, shared_fixtures: Path) -> None:
    folder = shared_fixtures / "other_metrics"
    expected: Any = json.loads((folder / "expected.json").read_text())["saliency"]  # what JSON holds
    inputs, saliency = np.load(folder / "saliency_inputs.npz"), Saliency()
    for name, theirs in expected["per_image"].items():
        image = saliency.add(inputs[f"{name}__gt"] > 128, inputs[f"{name}__pred"] / dtype(255))
        ours = {
            "mae": image.mean_absolute_error,
            "maxf": image.max_f,
            "meanf": image.mean_f,
            "adpf": image.adaptive_f,
            "wfm": image.weighted_f,
            "sm": image.s_measure,
            "em_max": image.max_e_measure,
            "em_adp": image.adaptive_e_measure,
        }
        assert ours == pytest.approx(theirs, abs=1e-8), name
    scores = saliency.scores()
    assert {
        "mae": scores.mean_absolute_error,
        "maxf_of_mean_curve": scores.max_f_of_mean_curve,
        "maxf_from_mean_pr": scores.max_f_of_mean_precision_recall,
        "adpf": scores.adaptive_f,
        "wfm": scores.weighted_f,
        "sm": scores.s_measure,
        "em_max": scores.max_e_measure,
    } == pytest.approx(expected["dataset"], abs=1e-8)


# --- facts by hand


def test_the_curves_of_four_pixels() -> None:
    truth = np.array([[True, True, False, False]])
    curves = Curves.of(ForegroundMap.of(truth, np.array([[1.0, 0.4, 0.6, 0.0]])))
    thresholds = np.array([0, 1, 102, 103, 153, 154, 255])
    assert curves.precision[thresholds] == pytest.approx([1 / 2, 2 / 3, 2 / 3, 1 / 2, 1 / 2, 1, 1])
    assert curves.recall[thresholds] == pytest.approx([1, 1, 1, 1 / 2, 1 / 2, 1 / 2, 1 / 2])
    assert curves.f[thresholds] == pytest.approx(
        [f_of(p, r) for p, r in zip(curves.precision[thresholds], curves.recall[thresholds], strict=True)]
    )


def test_the_alignment_of_four_pixels() -> None:
    truth = np.array([[True, True, False, False]])
    curves = Curves.of(ForegroundMap.of(truth, np.array([[1.0, 0.4, 0.6, 0.0]])))
    # at 255 one pixel is chosen, so that the means ½ and ¼ are taken off
    hit, miss, right = (2 * a * b / (a * a + b * b) for a, b in [(0.75, 0.5), (-0.25, 0.5), (-0.25, -0.5)])
    assert curves.e_measure[255] == pytest.approx(sum((x + 1) ** 2 / 4 for x in (hit, miss, right, right)) / 3)
    assert curves.e_measure[153] == pytest.approx((1 + 0 + 0 + 1) / 3)  # equal means: right counts 1, wrong 0
    assert curves.e_measure[0] == pytest.approx(4 * 0.25 / 3)  # all are chosen, which is aligned with nothing


def test_adaptive_scores_are_those_at_twice_the_mean() -> None:
    truth = np.array([[True, True, False, False, False]])
    image = ImageSaliency.of(ForegroundMap.of(truth, np.array([[1.0, 0.4, 0.6, 0.0, 0.0]])))
    assert image.mean_absolute_error == pytest.approx(1.2 / 5)
    assert image.adaptive_f == pytest.approx(f_of(1, 1 / 2))  # at .8
    assert image.adaptive_e_measure == pytest.approx(image.curves.e_measure[204])


def test_a_map_that_is_the_mask_is_best() -> None:
    truth = random_image(0)[0]
    image = Saliency().add(truth, truth.astype(float))
    best = [image.max_f, image.curves.f[1], image.adaptive_f, image.s_measure, image.weighted_f, image.boundary_f]
    assert best == pytest.approx([1] * 6)
    assert image.mean_absolute_error == 0
    assert image.max_e_measure == pytest.approx(truth.size / (truth.size - 1))


@pytest.mark.parametrize(("shift", "within"), [(3, 1.0), (4, 11 / 16)])
def test_boundaries_count_as_found_within_three_pixels(shift: int, within: float) -> None:
    truth = np.zeros((20, 30), dtype=bool)
    truth[5:10, 5:10] = True  # a boundary of 16 pixels; moved by 4, the far side of 5 is too far
    score = boundary_f(ForegroundMap.of(truth, np.roll(truth, shift, axis=1).astype(float)))
    assert score == pytest.approx(f_of(within, within))


def test_half_is_predicted_and_no_boundary_scores_zero() -> None:
    truth = np.zeros((9, 9), dtype=bool)
    truth[2:6, 2:6] = True
    assert boundary_f(ForegroundMap.of(truth, np.where(truth, 0.5, 0.49))) == 1
    assert boundary_f(ForegroundMap.of(truth, np.full((9, 9), 0.49))) == 0
    assert boundary_f(ForegroundMap.of(np.zeros_like(truth), np.zeros((9, 9)))) == 0


def test_an_image_without_a_true_pixel_has_no_f_and_is_rewarded_for_what_it_leaves_out() -> None:
    truth, probability = np.zeros((4, 5), dtype=bool), np.zeros((4, 5))
    probability[0, 0] = 1
    image = Saliency().add(truth, probability)
    assert [image.max_f, image.mean_f, image.adaptive_f, image.weighted_f, image.boundary_f] == [0] * 5
    assert (image.s_measure, image.max_e_measure) == (1 - 1 / 20, 1)


def test_an_image_of_only_true_pixels_is_scored_by_what_it_finds() -> None:
    probability = np.array([[1.0, 1.0, 0.5, 0.0]])
    image = Saliency().add(np.ones((1, 4), dtype=bool), probability)
    assert image.curves.precision[[0, 127, 255]].tolist() == [1, 1, 1]
    assert image.curves.recall[[0, 127, 255]].tolist() == [1, 0.75, 0.5]
    assert image.curves.e_measure[[0, 127, 255]] == pytest.approx([4 / 3, 1, 2 / 3])


# --- properties


@given(truths, maps_of_8_bits)
@settings(deadline=None, max_examples=60)
def test_every_point_of_the_curves_is_that_of_its_mask(truth: NDArray[np.bool_], probability: NDArray[Any]) -> None:
    curves = Curves.of(ForegroundMap.of(truth, probability))
    for threshold in range(0, THRESHOLDS, 17):
        chosen = np.rint(probability * 255) >= threshold
        hits = (chosen & truth).sum()
        precision, recall = hits / max(chosen.sum(), 1), hits / max(truth.sum(), 1)
        expected = precision, recall, f_of(precision, recall)
        found = curves.precision[threshold], curves.recall[threshold], curves.f[threshold]
        assert found == pytest.approx(expected)


@given(truths, maps_of_8_bits)
@settings(deadline=None, max_examples=40)
def test_alignment_is_that_of_the_two_masks_less_their_means(
    truth: NDArray[np.bool_], probability: NDArray[Any]
) -> None:
    curves = Curves.of(ForegroundMap.of(truth, probability))
    if truth.any() and not truth.all():
        for threshold in range(0, THRESHOLDS, 51):
            chosen = np.rint(probability * 255) >= threshold
            ours, theirs = chosen - chosen.mean(), truth - truth.mean()
            alignment = 2 * ours * theirs / (ours**2 + theirs**2)
            assert curves.e_measure[threshold] == pytest.approx(((alignment + 1) ** 2 / 4).sum() / (truth.size - 1))


@given(truths, maps_of_8_bits)
@settings(deadline=None, max_examples=40)
def test_maps_keep_their_levels_through_single_precision(truth: NDArray[np.bool_], probability: NDArray[Any]) -> None:
    double = Curves.of(ForegroundMap.of(truth, probability))
    single = Curves.of(ForegroundMap.of(truth, probability.astype(np.float32)))
    assert single.f.tolist() == double.f.tolist()


@given(truths, maps_of_8_bits, st.floats(0.01, 0.5), st.floats(0, 0.5))
@settings(deadline=None, max_examples=40)
def test_a_paler_map_scores_the_same_unless_it_is_scored_as_it_is(
    truth: NDArray[np.bool_], probability: NDArray[Any], contrast: float, level: float
) -> None:
    pale = contrast * probability + level
    if np.ptp(probability) > 0:
        one, other = Saliency().add(truth, probability), Saliency().add(truth, pale)
        assert other.mean_absolute_error == pytest.approx(one.mean_absolute_error, abs=1e-9)
        assert other.curves.f.tolist() == one.curves.f.tolist()
    as_it_is = Saliency(stretch=False).add(truth, pale)
    assert as_it_is.mean_absolute_error == pytest.approx(np.abs(pale - truth).mean())


@pytest.mark.parametrize("seed", range(3))
def test_pixels_ignored_at_the_end_are_as_if_cut_off(seed: int) -> None:
    truth, probability = random_image(seed)
    ignored = np.zeros(truth.shape, dtype=bool)
    ignored[25:], ignored[:, 33:] = True, True
    cut = Saliency().add(truth[:25, :33], probability[:25, :33])
    whole = Saliency().add(truth, np.where(ignored, np.nan, probability), ignored)
    of_boundary = 5
    found, expected = (np.delete(numbers(image), of_boundary) for image in (whole, cut))
    assert found == pytest.approx(expected, abs=1e-12)


def test_no_boundary_is_seen_where_pixels_are_ignored() -> None:
    truth = np.zeros((20, 20), dtype=bool)
    truth[5:15, 5:15] = True
    predicted, ignored = truth.copy(), np.zeros_like(truth)
    predicted[5:15, 15:], ignored[:, 10:] = True, True  # a mistake that begins where nothing is known
    assert boundary_f(ForegroundMap.of(truth, predicted.astype(float), ignored)) == 1
    assert boundary_f(ForegroundMap.of(truth, predicted.astype(float))) < 1


# --- a folder


def test_a_folder_is_the_mean_of_its_images_and_the_maximum_of_its_mean_curves() -> None:
    saliency = Saliency()
    images = [saliency.add(*random_image(seed)) for seed in range(3)]
    scores = saliency.scores()
    assert scores.images == 3
    for name in ("mean_absolute_error", "adaptive_f", "weighted_f", "s_measure", "adaptive_e_measure", "boundary_f"):
        assert getattr(scores, name) == pytest.approx(np.mean([getattr(image, name) for image in images])), name
    mean = {name: np.mean([getattr(image.curves, name) for image in images], axis=0) for name in vars(images[0].curves)}
    assert scores.max_f_of_mean_curve == pytest.approx(mean["f"].max())
    assert scores.mean_f == pytest.approx(mean["f"].mean())
    assert scores.max_e_measure == pytest.approx(mean["e_measure"].max())
    of_means = [f_of(p, r) for p, r in zip(mean["precision"], mean["recall"], strict=True)]
    assert scores.max_f_of_mean_precision_recall == pytest.approx(max(of_means))


def test_a_folder_of_one_image_scores_as_that_image_in_both_ways() -> None:
    saliency = Saliency()
    image = saliency.add(*random_image(4))
    scores = saliency.scores()
    assert scores.max_f_of_mean_curve == scores.max_f_of_mean_precision_recall == image.max_f
    assert (scores.mean_f, scores.max_e_measure) == pytest.approx((image.mean_f, image.max_e_measure))


def test_the_order_of_the_images_does_not_matter() -> None:
    there, back = Saliency(), Saliency()
    for seed in range(3):
        there.add(*random_image(seed))
        back.add(*random_image(2 - seed))
    assert asdict(there.scores()) == pytest.approx(asdict(back.scores()))


def test_an_image_that_is_refused_is_not_counted() -> None:
    saliency = Saliency()
    saliency.add(*random_image(0))
    before = saliency.scores()
    with pytest.raises(ImageError, match="1 of 2 probabilities are not within 0 to 1, such as nan"):
        saliency.add(np.array([[True, False]]), np.array([[np.nan, 0.5]]))
    assert saliency.scores() == before


def test_a_folder_without_an_image_is_refused() -> None:
    with pytest.raises(DataError, match="No image was scored; add at least one"):
        Saliency().scores()
