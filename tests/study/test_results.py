"""The figures of a study whose every number is known."""

from __future__ import annotations

import json
import math

import pytest

from ushape.study.bands import BANDS
from ushape.study.cuts import Place
from ushape.study.results import MILESTONE, OfSeeds


def test_a_score_is_above_another_by_the_mean_of_seeds_and_images(made_results):
    apart = made_results(scores={"none": (0.5, 0.7)}).score_difference("copy", "none")
    assert apart.seeds == pytest.approx((0.3, 0.1))
    assert apart.mean == pytest.approx(0.2)
    assert apart.is_distinguishable


def test_equal_networks_are_not_told_apart(made_results):
    assert not made_results().score_difference("copy", "none").is_distinguishable


def test_rates_of_bands_are_of_all_pixels_of_all_images(made_results):
    results = made_results(errors={"none": [300, 200, 100, 50, 50, 50]})
    assert (results.band_pixels() == 8 * 1000).all()
    extra = 0.007  # the images have 0 to 14 more wrong pixels of 1000
    assert results.band_rates("copy").tolist() == [pytest.approx([0.05 + extra] * BANDS)] * 2
    assert results.band_rates("none")[1] == pytest.approx([r + extra for r in (0.3, 0.2, 0.1, 0.05, 0.05, 0.05)])


def test_a_band_is_compared_image_by_image_with_the_reference(made_results):
    results = made_results(errors={"none": [300, 200, 100, 50, 50, 50]})
    nearest, farthest = results.band_difference("none", 1, 0), results.band_difference("none", 1, BANDS - 1)
    assert (nearest.mean, nearest.low, nearest.high) == pytest.approx((0.25, 0.25, 0.25))
    assert nearest.is_distinguishable
    assert farthest.mean == 0
    assert not farthest.is_distinguishable


def test_gradients_are_told_level_by_level_and_as_a_ratio_at_the_top(made_results):
    results = made_results(gradients={"copy": (4.0, 6.0), "none": (2.0, 12.0)})
    assert results.gradients("copy", "before")[0] == OfSeeds((4.0, 6.0))
    assert results.gradients("copy", "before")[1] == OfSeeds((1.0, 1.0))
    assert results.gradient_ratio("copy", "none", "before").seeds == (2.0, 0.5)
    assert results.gradient_ratio("copy", "none", "after").seeds == (1.0, 1.0)


def test_the_milestone_is_a_share_of_the_references_last_score(made_results):
    results = made_results(last={"copy": 0.8, "add": 0.4, "none": 0.7})
    assert results.milestone == pytest.approx(0.8 * MILESTONE)
    assert results.reaching("copy", "step").seeds == pytest.approx((19.5, 19.5))
    assert results.reaching("copy", "seconds").mean == pytest.approx(3.9)
    assert results.reaching("none", "step") == OfSeeds((), missing=2)
    assert math.isnan(results.reaching("add", "step").mean)
    assert results.curve("copy", "step")[-1] == pytest.approx((20, 0.8))


def test_a_skip_costs_what_is_lost_without_it(made_results):
    results = made_results(drops={"copy": {Place("long", 0): 0.3}})
    assert results.places("copy") == [Place("long", level) for level in range(4)]
    assert results.drop("copy", Place("long", 0)).mean == pytest.approx(0.3)
    assert results.drop("copy", Place("long", 0)).is_distinguishable
    assert not results.drop("copy", Place("long", 1)).is_distinguishable
    assert results.places("none") == []


def test_a_network_whose_trainings_were_lost_is_left_out(made_results):
    results = made_results(lost=["add"])
    assert results.names == ["copy", "none", "residual-copy", "residual-none"]
    assert [v["name"] for v in results.to_dict()["variants"]] == results.names


def test_networks_are_compared_over_the_seeds_that_both_have(made_results):
    results = made_results(scores={"none": (0.5,)})
    assert results.score_difference("copy", "none").seeds == pytest.approx((0.3,))
    assert len(results.band_difference("none", 0, 0).seeds) == 1


def test_all_of_it_is_plain_json(made_results):
    values = json.loads(json.dumps(made_results(scores={"none": (0.5,)}).to_dict(), allow_nan=False))
    none = next(variant for variant in values["variants"] if variant["name"] == "none")
    assert none["score_above_reference"]["mean"] == pytest.approx(-0.3)
    assert none["score_above_reference"]["distinguishable"]
    assert values["reference"] == "copy"
