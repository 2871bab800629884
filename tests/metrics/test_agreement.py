"""Agreement against figures worked by hand, SciPy and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ushape.metrics.agreement import Agreement


def test_three_pairs_by_hand() -> None:
    found = Agreement.of([11.0, 22.0, 30.0], [10.0, 20.0, 30.0])  # differences 1, 2, 0
    assert (found.pairs, found.bias, found.deviation) == (3, 1, 1)
    assert (found.low, found.high) == (pytest.approx(-0.96), pytest.approx(2.96))
    assert found.mean_absolute_error == 1
    assert found.correlation == pytest.approx(stats.pearsonr([11, 22, 30], [10, 20, 30]).statistic)


def test_many_pairs_against_scipy() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(120, 30, 50)
    measured = reference + rng.normal(4, 6, 50)
    found = Agreement.of(measured.tolist(), reference.tolist())
    differences = measured - reference
    assert found.correlation == pytest.approx(stats.pearsonr(measured, reference).statistic)
    assert found.deviation == pytest.approx(stats.tstd(differences))
    assert (found.low + found.high) / 2 == pytest.approx(differences.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * stats.tstd(differences))
    assert found.mean_absolute_error == pytest.approx(np.abs(differences).mean())


def test_pairs_of_which_one_is_missing_are_left_out() -> None:
    assert Agreement.of([1.0, math.nan, 5.0, 7.0], [1.0, 2.0, math.nan, 5.0]) == Agreement.of([1.0, 7.0], [1.0, 5.0])


def test_too_few_pairs_define_little() -> None:
    none, one, two = Agreement.of([], []), Agreement.of([3.0], [1.0]), Agreement.of([3.0, 4.0], [1.0, 5.0])
    assert none.pairs == 0 and math.isnan(none.bias)
    assert one.bias == 2 and math.isnan(one.deviation) and math.isnan(one.high)
    assert two.deviation > 0 and math.isnan(two.correlation)
    assert math.isnan(Agreement.of([3.0, 3.0, 3.0], [1.0, 2.0, 3.0]).correlation)
