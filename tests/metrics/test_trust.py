"""The Dice that an answer should have by its own probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ushape.metrics.pixels import PixelScores, confusion
from ushape.metrics.trust import ExpectedDice


def test_by_hand():
    """Two pixels in the mask, of .9 and .7, and .2 elsewhere: 2 · 1.6 / (2 + 1.8)."""
    foreground = np.array([[0.9, 0.7, 0.2]])
    found = ExpectedDice.of((foreground > 0.5).astype(np.uint8), np.stack([1 - foreground, foreground]))
    assert found.dice == pytest.approx(3.2 / 3.8)


def test_windows_add_and_classes_count_where_the_mask_has_them():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet((1, 1, 1), (20, 30)).transpose(2, 0, 1)
    classes = probability[:2].argmax(axis=0).astype(np.uint8)
    whole = ExpectedDice.of(classes, probability)
    parts = [ExpectedDice.of(classes[half], probability[:, half]) for half in (slice(0, 7), slice(7, 20))]
    assert sum(parts, ExpectedDice.none(3)).dice == pytest.approx(whole.dice)
    inside = probability[1][classes == 1].sum()
    assert whole.dice == pytest.approx(2 * inside / ((classes == 1).sum() + probability[1].sum())), "class 2 is nowhere"


def test_a_mask_without_foreground_has_none():
    probability = np.stack([np.full((4, 4), 0.9), np.full((4, 4), 0.1)])
    assert math.isnan(ExpectedDice.of(np.zeros((4, 4), np.uint8), probability).dice)
    assert math.isnan(ExpectedDice.none(2).dice)


def test_where_probabilities_hold_it_is_the_dice():
    rng = np.random.default_rng(1)
    foreground = rng.beta(0.4, 0.6, (300, 300))
    answer = (foreground > 0.5).astype(np.uint8)
    truth = (rng.random(foreground.shape) < foreground).astype(np.uint8)
    dice = PixelScores.of(confusion(truth, answer, 2)).mean_dice
    assert ExpectedDice.of(answer, np.stack([1 - foreground, foreground])).dice == pytest.approx(dice, abs=0.01)
