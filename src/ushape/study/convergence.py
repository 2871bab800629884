"""Scores in the course of trainings → one curve of several, and when a score was reached first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Curve = Sequence[tuple[float, float]]
"""(steps or seconds, score) of each validation, in their order."""


def mean_curve(curves: Sequence[Curve], *, points: int = 20) -> list[tuple[float, float]]:
    """The mean of several curves over the stretch that all cover, straight between their points.

    >>> mean_curve([[(0, 0.0), (4, 0.5)], [(2, 0.25), (4, 0.25)]], points=2)
    [(2.0, 0.25), (4.0, 0.375)]
    """
    curves = [curve for curve in curves if curve]
    first = max((curve[0][0] for curve in curves), default=0)
    last = min((curve[-1][0] for curve in curves), default=0)
    if not curves or last < first:
        return []
    places = np.linspace(first, last, points if last > first else 1)
    scores = [np.interp(places, [x for x, _ in curve], [score for _, score in curve]) for curve in curves]
    return list(zip(places.tolist(), np.mean(scores, axis=0).tolist(), strict=True))


def first_reaching(curve: Curve, score: float) -> float:
    """When a curve, straight between its points, is at that score first; NaN where it never is.

    >>> first_reaching([(10, 0.0), (20, 0.5), (30, 0.4)], 0.25)
    15.0
    """
    before: tuple[float, float] | None = None
    for place, reached in curve:
        if reached >= score:
            if before is None:
                return float(place)
            return float(before[0] + (place - before[0]) * (score - before[1]) / (reached - before[1]))
        before = place, reached
    return math.nan
