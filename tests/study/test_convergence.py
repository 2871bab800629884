"""Curves of several trainings, and when a score was reached."""

from __future__ import annotations

import math

import pytest

from ushape.study.convergence import first_reaching, mean_curve


def test_equal_curves_are_their_mean():
    curve = [(10.0, 0.1), (20.0, 0.5), (30.0, 0.6)]
    assert mean_curve([curve, curve], points=3) == curve


def test_the_mean_is_over_the_stretch_that_all_cover():
    mean = mean_curve([[(0, 0.0), (8, 1.0)], [(4, 0.5), (20, 0.5)]], points=3)
    assert mean == [(4, 0.5), (6, 0.625), (8, 0.75)]


def test_one_validation_each_is_one_point():
    assert mean_curve([[(5, 0.25)], [(5, 0.75)]]) == [(5.0, 0.5)]


@pytest.mark.parametrize("curves", [[], [[]], [[(1, 0.1)], [(2, 0.2)]]])
def test_without_a_stretch_in_common_there_is_no_curve(curves):
    assert mean_curve(curves) == []


@pytest.mark.parametrize(
    ("score", "place"), [(0.0, 10), (0.1, 10), (0.3, 15), (0.5, 20), (0.55, 35), (0.6, 40), (0.61, math.nan)]
)
def test_a_score_is_reached_between_two_validations(score, place):
    curve = [(10.0, 0.1), (20.0, 0.5), (30.0, 0.5), (40.0, 0.6)]
    assert first_reaching(curve, score) == pytest.approx(place, nan_ok=True)
