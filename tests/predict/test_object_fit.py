"""The rule that is chosen is the one that a known fault of the probabilities calls for, and scores what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import DataError, ImageError, SizeError
from ushape.images.simulated import cells, separated
from ushape.metrics.instances import Matching
from ushape.object_rule import ObjectRule
from ushape.predict.object_fit import IOU_THRESHOLDS, Fitted, fit_rule
from ushape.predict.objects import find_objects

Objects = NDArray[np.int32]
Probability = NDArray[np.float32]


def discs(*centres: tuple[int, int], radius_px: float = 7.0) -> Objects:
    """(64, 64) discs 1, 2, …; where they overlap, the nearer centre has the pixel."""
    y, x = np.mgrid[:64, :64]
    distances = np.array([np.hypot(y - cy, x - cx) for cy, cx in centres])
    return np.where(distances.min(axis=0) <= radius_px, 1 + distances.argmin(axis=0), 0).astype(np.int32)


APART = discs((12, 12), (12, 40), (44, 20), (45, 50))
TOUCHING = discs((14, 14), (14, 25), (44, 20), (44, 31), (32, 48))


def sharp(truth: Objects) -> Probability:
    return np.where(truth > 0, 0.95, 0.05).astype(np.float32)


def simulated(seed: int, noise: float = 0.2) -> tuple[Probability, NDArray[np.integer]]:
    """What a network makes of cells that were separated for its training, and the cells."""
    truth = cells(np.random.default_rng(seed), (192, 192), diameter_px=28, cover_fraction=0.6).truth
    uneven = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, noise, truth.shape), 1.5)
    p = ndimage.gaussian_filter((separated(truth) > 0).astype(np.float32), 1.4) + uneven
    return np.clip(p, 0, 1).astype(np.float32), truth


def score(probability: Probability, truth: NDArray[np.integer], rule: ObjectRule) -> float:
    matching = Matching.of(truth, find_objects(probability, rule))
    return float(np.mean([matching.average_precision(iou) for iou in IOU_THRESHOLDS]))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_rule(*zip(*(simulated(seed) for seed in (0, 1)), strict=True))


# What is called for


def test_where_all_is_clear_the_simplest_rule_is_chosen() -> None:
    chosen = fit_rule([sharp(APART)], [APART])
    assert chosen.score == 1
    assert replace(chosen.rule, smallest_px=1) == ObjectRule()


def test_where_objects_touch_in_a_dip_they_are_divided() -> None:
    """Discs as high hills: a threshold above the saddle between two cuts most of each away."""
    y, x = np.mgrid[:64, :64]
    centres = ndimage.center_of_mass(TOUCHING > 0, TOUCHING, range(1, 6))
    p = 0.97 - 0.06 * np.min([np.hypot(y - cy, x - cx) for cy, cx in centres], axis=0)
    chosen = fit_rule([np.where(TOUCHING > 0, p, 0).astype(np.float32)], [TOUCHING])
    assert chosen.rule.by_probability
    assert chosen.score > 0.95


def test_where_only_shape_tells_them_apart_they_are_divided_by_distance() -> None:
    p = sharp(TOUCHING)
    chosen = fit_rule([p], [TOUCHING])
    assert (chosen.rule.method, chosen.rule.seeds) == ("watershed", "distance")
    assert chosen.score == score(p, TOUCHING, chosen.rule) > 0.9


def test_a_threshold_that_is_too_low_or_too_high_is_mended() -> None:
    for inside, outside in ((0.3, 0.1), (0.9, 0.7)):
        p = np.where(APART > 0, inside, outside).astype(np.float32)
        chosen = fit_rule([p], [APART])
        assert outside < chosen.rule.threshold <= inside
        assert chosen.score == 1


def test_specks_are_cleared_away() -> None:
    p = sharp(APART)
    p[30, 2:60:6] = p[31, 2:60:6] = 0.95
    chosen = fit_rule([p], [APART])
    assert chosen.score == 1
    assert 2 < chosen.rule.smallest_px <= np.bincount(APART.ravel())[1:].min()


def test_true_rings_stay_rings() -> None:
    centres = ((12, 12), (12, 40), (44, 20), (45, 50))
    rings = np.where(discs(*centres, radius_px=6.0) > 0, 0, discs(*centres, radius_px=9.0))
    assert not fit_rule([sharp(rings)], [rings]).rule.fill_holes
    assert fit_rule([sharp(rings)], [discs(*centres, radius_px=9.0)]).rule.fill_holes


def test_objects_that_come_out_too_small_grow() -> None:
    p = ndimage.binary_erosion(APART > 0).astype(np.float32)
    chosen = fit_rule([p], [APART])
    assert (chosen.rule.method, chosen.rule.grow_px) == ("components", 1)
    assert chosen.score > score(p, APART, ObjectRule()) + 0.2


def test_what_is_ignored_plays_no_part() -> None:
    p = np.maximum(sharp(APART), sharp(discs((28, 30))))
    ignored = np.zeros(p.shape, dtype=bool)
    ignored[20:36] = True
    assert fit_rule([p], [APART], [ignored]).score == 1
    assert fit_rule([p, p], [APART, APART], [ignored, None]).score == pytest.approx((1 + 4 / 5) / 2)


# Simulated cells


def test_on_simulated_cells_division_wins_and_holds_on_others(fitted: Fitted) -> None:
    components = max(tried.score for tried in fitted.tried if tried.rule.method == "components")
    assert fitted.rule.method == "watershed"
    assert fitted.score > components + 0.1
    for seed in (7, 8):
        p, truth = simulated(seed)
        assert score(p, truth, fitted.rule) > 0.85
        assert score(p, truth, ObjectRule()) < 0.3


def test_the_score_is_that_of_the_objects_found_by_the_rule(fitted: Fitted) -> None:
    expected = np.mean([score(*simulated(seed), fitted.rule) for seed in (0, 1)])
    assert fitted.score == pytest.approx(expected, abs=1e-12)
    assert fitted.score == max(tried.score for tried in fitted.tried)


def test_all_that_was_tried_is_told_once(fitted: Fitted) -> None:
    rules = [tried.rule for tried in fitted.tried]
    assert len(set(rules)) == len(rules) <= 80
    assert {(rule.method, rule.seeds) for rule in rules} >= {
        ("components", "probability"),
        ("watershed", "probability"),
        ("watershed", "distance"),
    }


def test_the_same_images_give_the_same_rule(fitted: Fitted) -> None:
    probabilities, truths = zip(*(simulated(seed) for seed in (0, 1)), strict=True)
    assert fit_rule(list(probabilities), list(truths)) == fitted


def test_an_image_without_objects_counts_where_some_are_found() -> None:
    """It is left out where the rule finds none there either."""
    empty, faint = np.zeros_like(APART), np.full(APART.shape, 0.05, np.float32)
    assert fit_rule([sharp(APART), faint], [APART, empty]).score == 1
    faint[5:25, 5:25] = 0.97
    assert fit_rule([sharp(APART), faint], [APART, empty]).score == 0.5


# What cannot be


def test_no_true_object_is_no_ground_for_a_choice() -> None:
    empty = np.zeros_like(APART)
    with pytest.raises(DataError, match=r"None of the 2 true object maps holds an object.* images that have objects"):
        fit_rule([sharp(APART)] * 2, [empty, empty])
    with pytest.raises(DataError, match="None of the 1 true object maps"):
        fit_rule([sharp(APART)], [APART], [APART > 0])


def test_lists_of_different_length_are_refused() -> None:
    for args in (([sharp(APART)], []), ([], []), ([sharp(APART)], [APART], [])):
        with pytest.raises(
            DataError, match=r"Got \d foreground probabilities, \d true object maps and \d maps of ignored"
        ):
            fit_rule(*args)


def test_images_that_do_not_fit_are_refused_by_number() -> None:
    with pytest.raises(SizeError, match=r"image 1 has shape \(64, 64\), its true objects \(64, 63\)\. Give equal"):
        fit_rule([sharp(APART)] * 2, [APART, APART[:, 1:]])
    with pytest.raises(SizeError, match=r"image 0 .* its true objects \(64, 64\), its ignored pixels \(63, 64\)\."):
        fit_rule([sharp(APART)], [APART], [APART[1:] > 0])
    with pytest.raises(ImageError, match="The foreground probability of image 1 has values from"):
        fit_rule([sharp(APART), 9 * sharp(APART)], [APART, APART])
