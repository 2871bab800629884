"""An entrant and its trainings: what they scored, took and cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ushape.compare.cost import Cost
from ushape.compare.entrant import Entrant
from ushape.compare.outcome import Outcome
from ushape.compare.spread import Values
from ushape.recipe import Recipe

DEVIATION = 0.05
"""Share of the budget from which a training is marked to have missed it."""


@dataclass(frozen=True)
class Standing:
    """An entrant with its outcomes of the complete seeds, lost trainings aside."""

    entrant: Entrant
    recipe: Recipe
    cost: Cost
    outcomes: tuple[Outcome, ...]
    failures: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        return self.entrant.name

    def values(self, score: str, seeds: Sequence[int] | None = None) -> Values:
        """(seeds, images), of all seeds or of those named."""
        return np.array(
            [
                [image.scores.get(score, math.nan) for image in outcome.scores.images]
                for outcome in self.outcomes
                if outcome.scores is not None and (seeds is None or outcome.seed in seeds)
            ],
            dtype=np.float64,
        )

    @property
    def seeds(self) -> list[int]:
        return [outcome.seed for outcome in self.outcomes]

    @property
    def deviations(self) -> list[float]:
        """By how much of its budget each training took more or less: 0.1 is a tenth more."""
        wanted = self.recipe.training
        if wanted.steps:
            return [outcome.steps / wanted.steps - 1 for outcome in self.outcomes]
        return [outcome.seconds / (60 * wanted.minutes) - 1 for outcome in self.outcomes]

    @property
    def kept_budget(self) -> bool:
        return all(abs(deviation) <= DEVIATION for deviation in self.deviations)

    def median(self, what: str) -> float:
        """Of a number of its outcomes; NaN where there is none."""
        numbers = [float(getattr(outcome, what)) for outcome in self.outcomes]
        return statistics.median(numbers) if numbers else math.nan

    def curve(self) -> tuple[Values, Values]:
        """Seconds, and the mean over seeds of the score in validation by then."""
        curves = [outcome.curve for outcome in self.outcomes if outcome.curve]
        if not curves:
            return np.empty(0), np.empty(0)
        first, last = max(c[0].seconds for c in curves), min(c[-1].seconds for c in curves)
        times = np.unique([v.seconds for c in curves for v in c if min(first, last) <= v.seconds <= max(first, last)])
        scores = [np.interp(times, [v.seconds for v in c], [v.score for v in c]) for c in curves]
        return times, np.mean(scores, axis=0)
