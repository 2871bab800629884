"""Flips are kept where they gain more than the noise, and tried where that costs little."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ushape.train.turned import FlipsChosen, affordable, choose_flips


def test_a_gain_on_all_images_is_kept():
    chosen = choose_flips([0.9, 0.8, 0.7, 0.6], [0.911, 0.81, 0.71, 0.609], list("abcd"), "Dice")
    assert chosen.kept and chosen.images == 4
    assert chosen.gain == pytest.approx(0.01)
    half = 3.182446 * 0.000816497 / 2  # Student's t of 3 degrees of freedom, deviation of the gains, root of 4
    assert chosen.interval == pytest.approx((0.01 - half, 0.01 + half), abs=1e-7)
    assert chosen.in_words() == "kept: +0.0100 Dice (+0.0087 to +0.0113) at 8 × the time"


@pytest.mark.parametrize(
    ("without", "with_flips"),
    [
        ([0.9, 0.8, 0.7], [0.901, 0.801, 0.701]),  # sure, but nobody would see it
        ([0.9, 0.8, 0.7], [0.95, 0.75, 0.73]),  # more on average, and less on one of three
        ([0.9, 0.8, 0.7], [0.89, 0.79, 0.69]),
        ([0.9, 0.8], [0.95, 0.81]),  # of two images, one tells little of the other
        ([0.9], [0.904]),
        ([], []),
        ([math.nan], [math.nan]),
    ],
)
def test_what_is_small_uncertain_or_a_loss_is_left_out(without: list[float], with_flips: list[float]):
    chosen = choose_flips(without, with_flips, list("abcd"[: len(without)]), "Dice")
    assert not chosen.kept
    assert chosen.in_words().startswith("left out: ")


def test_one_image_has_to_gain_more_and_those_without_a_score_say_nothing():
    chosen = choose_flips([0.9, math.nan], [0.906, 0.3], ["a", "b"], "average precision of objects")
    assert (chosen.kept, chosen.images, chosen.interval) == (True, 1, None)
    assert chosen.in_words() == "kept: +0.0060 average precision of objects at 8 × the time"


def test_images_of_one_group_count_as_one():
    without, gains = [0.9, 0.8, 0.7, 0.6], np.array([0.004, 0.004, 0.004, 0.003])
    alike, apart = (choose_flips(without, list(without + gains), list(groups), "Dice") for groups in ("aaaa", "abcd"))
    assert (alike.kept, alike.images, alike.interval) == (False, 4, None)
    assert apart.kept
    pairs = choose_flips(without, list(without + gains), list("aabb"), "Dice")
    assert pairs.images == 4 and pairs.gain == pytest.approx((0.004 + 0.0035) / 2)


def test_what_was_not_tried_is_said():
    words = "not tried: it would take more than 5% of the training; --flips does it"
    assert FlipsChosen(False, "Dice", 0).in_words() == words


def test_the_trial_may_take_a_twentieth_of_the_training():
    steps = 100 * 1000  # pixels; each passes forward once and backward, which is twice as much
    assert affordable(int(0.05 * 3 * steps / 8), steps)
    assert not affordable(int(0.05 * 3 * steps / 8) + 1, steps)
