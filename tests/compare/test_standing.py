"""An entrant and its trainings: what they scored and took, seed by seed."""

from __future__ import annotations

import math

import pytest

from ushape.compare.cost import Cost
from ushape.compare.entrant import Entrant
from ushape.compare.outcome import ImageScores, Outcome, Scores, Validated
from ushape.compare.standing import Standing
from ushape.recipe import Recipe, TrainingRecipe


def outcome(seed: int, *, seconds: float = 60.0, steps: int = 20) -> Outcome:
    images = (ImageScores("a", "a", {"dice": 0.5 + seed / 10}), ImageScores("b", "b", {"dice": math.nan}))
    curve = (Validated(10, seconds / 2, 0.4 + seed / 10), Validated(20, seconds, 0.6 + seed / 10))
    return Outcome("unet", seed, "", seconds, steps, 2.0, 1.0 + seed, curve, Scores(images, {}, "dice"))


def standing(*outcomes: Outcome, **training: float) -> Standing:
    recipe = Recipe(training=TrainingRecipe(**(training or {"minutes": 1.0})))
    return Standing(Entrant("unet", {}), recipe, Cost(1000, 1e9, 2**20, (16, 16), 1), outcomes, ())


def test_values_are_seeds_by_images():
    values = standing(outcome(0), outcome(1), outcome(2)).values("dice", seeds=[0, 2])
    assert values.shape == (2, 2)
    assert values[:, 0].tolist() == [0.5, 0.7] and math.isnan(values[0, 1])
    assert math.isnan(standing(outcome(0)).values("det")[0, 0]), "a score that it does not have"


def test_a_budget_of_minutes_is_measured_in_seconds_and_one_of_steps_in_steps():
    in_minutes = standing(outcome(0, seconds=60), outcome(1, seconds=64))
    assert in_minutes.deviations == pytest.approx([0, 4 / 60]) and not in_minutes.kept_budget
    assert standing(outcome(0, seconds=62.9)).kept_budget
    assert standing(outcome(0, steps=18), steps=20).deviations == pytest.approx([-0.1])


def test_medians_are_over_seeds():
    of = standing(outcome(0), outcome(1), outcome(2))
    assert of.median("seconds_per_megapixel") == 2
    assert math.isnan(standing().median("seconds"))


def test_the_curve_is_the_mean_over_seeds_where_all_have_one():
    seconds, scores = standing(outcome(0, seconds=60), outcome(1, seconds=80)).curve()
    assert seconds.tolist() == [40, 60]
    assert scores.tolist() == pytest.approx([(0.4 + 0.2 / 3 + 0.5) / 2, (0.6 + 0.6) / 2])
    assert standing().curve()[0].size == 0
