from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.metrics.foreground import ForegroundMap
from ushape.metrics.weighted_f import weighted_f


def scored(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    return weighted_f(ForegroundMap.of(truth, probability))


def one_pixel(row: int = 20, column: int = 20) -> NDArray[np.bool_]:
    truth = np.zeros((41, 41), dtype=bool)
    truth[row, column] = True
    return truth


def gaussian(y: int, x: int) -> float:
    places = range(-3, 4)
    return math.exp(-(y * y + x * x) / 50) / sum(math.exp(-(v * v + u * u) / 50) for v in places for u in places)


@pytest.mark.parametrize(("y", "x"), [(0, 1), (3, 4), (5, 12), (-20, 20)])
def test_a_false_alarm_counts_once_beside_the_object_and_twice_far_from_it(y: int, x: int) -> None:
    truth = one_pixel()
    probability = truth.astype(float)
    probability[20 + y, 20 + x] = 0.5
    precision = 1 / (1 + 0.5 * (2 - 0.5 ** (math.hypot(y, x) / 5)))
    assert scored(truth, probability) == pytest.approx(2 * precision / (precision + 1))


def test_a_lone_miss_inside_the_object_counts_by_the_mean_error_around_it() -> None:
    truth = np.zeros((41, 41), dtype=bool)
    truth[10:30, 10:30] = True
    probability = truth.astype(float)
    probability[20, 20] = 0
    recall = 1 - gaussian(0, 0) / 400
    assert scored(truth, probability) == pytest.approx(2 * recall / (recall + 1))


def test_outside_the_object_the_error_of_its_nearest_pixel_is_averaged() -> None:
    truth = one_pixel()
    probability = np.where(truth, 0.25, 0)  # so that all around it the error is .75, and nothing is gained
    recall = 0.25
    assert scored(truth, probability) == pytest.approx(2 * recall / (recall + 1))


def test_beyond_the_border_there_is_no_error() -> None:
    truth = one_pixel(0, 0)
    recall = 1 - 0.75 * sum(gaussian(y, x) for y, x in product(range(4), repeat=2))
    assert scored(truth, np.where(truth, 0.25, 0)) == pytest.approx(2 * recall / (recall + 1))


def test_nothing_found_and_nothing_to_find_score_zero() -> None:
    assert scored(one_pixel(), np.zeros((41, 41))) == 0
    assert scored(np.zeros((4, 5), dtype=bool), np.zeros((4, 5))) == 0


def test_it_falls_as_the_error_grows() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((20, 30)) < 0.3
    error = rng.random((20, 30))
    scores = [scored(truth, np.abs(truth - share * error)) for share in (0, 0.2, 0.5, 1)]
    assert scores[0] == pytest.approx(1)
    assert scores == sorted(scores, reverse=True)


def test_pixels_ignored_at_the_end_are_as_if_cut_off() -> None:
    rng = np.random.default_rng(1)
    truth, probability, ignored = rng.random((9, 12)) < 0.4, rng.random((9, 12)), np.zeros((9, 12), dtype=bool)
    ignored[7:], ignored[:, 9:] = True, True
    whole = weighted_f(ForegroundMap.of(truth, probability, ignored))
    assert whole == pytest.approx(scored(truth[:7, :9], probability[:7, :9]), abs=1e-12)
