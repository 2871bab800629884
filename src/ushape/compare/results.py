"""A comparison's outcomes → what each entrant scored, took and costs, and what can be said of it.

DIR/results.json   all of it            DIR/results.csv   a line per training and image
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ushape.atomic import write_whole
from ushape.compare.cost import Cost
from ushape.compare.entrant import Entrant
from ushape.compare.outcome import Outcome
from ushape.compare.spread import FEWEST_GROUPS, PAIRED_RULE, Spread, difference, spread
from ushape.compare.standing import DEVIATION, Standing
from ushape.data.pair import counted
from ushape.metrics.table import INTERVAL_RULE
from ushape.recipe import Recipe

REPORT, FIGURES, IMAGES = "report.html", "results.json", "results.csv"
"""What DIR holds beside the trainings."""

TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "ap_50_95": "AP of objects",
    "f1_50": "F1 of objects",
    "panoptic_quality": "panoptic quality",
}
"""The scores that are shown, by their names in an outcome."""


@dataclass(frozen=True)
class Results:
    """All standings, in the order of the entrants; scores are of the test images.

    primary: the score by which they are compared.
    """

    standings: tuple[Standing, ...]
    seeds: tuple[int, ...]
    primary: str
    images: tuple[str, ...]
    groups: tuple[str, ...]

    @staticmethod
    def of(
        entrants: Sequence[Entrant],
        recipes: Mapping[str, Recipe],
        costs: Mapping[str, Cost],
        outcomes: Sequence[Outcome],
    ) -> Results:
        """Of the outcomes of complete seeds."""
        standings = [
            Standing(
                entrant,
                recipes[entrant.name],
                costs[entrant.name],
                tuple(o for o in outcomes if o.entrant == entrant.name and o.scores is not None),
                tuple(o for o in outcomes if o.entrant == entrant.name and o.scores is None),
            )
            for entrant in entrants
        ]
        scored = next((o.scores for o in outcomes if o.scores is not None), None)
        images = scored.images if scored else ()
        return Results(
            tuple(standings),
            tuple(sorted({outcome.seed for outcome in outcomes})),
            scored.primary if scored else "dice",
            tuple(image.name for image in images),
            tuple(image.group for image in images),
        )

    @property
    def shown(self) -> list[str]:
        """Names of the scores for a table, the primary one first."""
        there = {name for s in self.standings for o in s.outcomes if o.scores for name in o.scores.images[0].scores}
        return sorted((name for name in TITLES if name in there), key=lambda name: name != self.primary)

    @cached_property
    def ranked(self) -> list[Standing]:
        """Those with scores, the highest mean of the primary score first."""
        scored = [standing for standing in self.standings if standing.outcomes]
        return sorted(scored, key=lambda standing: -_number(self.spread(standing, self.primary).mean))

    def spread(self, standing: Standing, score: str) -> Spread:
        """Of a standing that has outcomes."""
        return spread(standing.values(score), self.groups)

    def difference(self, standing: Standing, other: Standing, score: str) -> Spread | None:
        """Of two standings, over the seeds that both have; None where there is none."""
        seeds = [seed for seed in standing.seeds if seed in other.seeds]
        return difference(standing.values(score, seeds), other.values(score, seeds), self.groups) if seeds else None

    def findings(self) -> list[str]:
        """What the numbers carry, in sentences; no winner is named whom they do not show."""
        return [*self._of_the_best(), *self.limits()]

    def limits(self) -> list[str]:
        """Of these what weakens any answer: trainings lost, budgets missed, few seeds, few images."""
        return [*self._of_failures(), *self._of_budgets(), *self._of_size()]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is undefined is None."""
        return {
            "primary": self.primary,
            "seeds": list(self.seeds),
            "images": list(self.images),
            "findings": self.findings(),
            "rules": {"interval": INTERVAL_RULE, "difference": PAIRED_RULE},
            "entrants": [self._entrant(standing) for standing in self.standings],
        }

    def write_json(self, path: Path) -> None:
        """`to_dict` as a file, complete or not there."""
        write_whole(path, json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n")

    def write_csv(self, path: Path) -> None:
        """A line per training and image, complete or not there; undefined scores are empty."""
        outcomes = [outcome for standing in self.standings for outcome in standing.outcomes]
        images = [image for outcome in outcomes if outcome.scores for image in outcome.scores.images]
        names = list(dict.fromkeys(name for image in images for name in image.scores))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["entrant", "seed", "image", "group", *names])
        for outcome in outcomes:
            for image in outcome.scores.images if outcome.scores else ():
                numbers = (image.scores.get(name, math.nan) for name in names)
                cells = ("" if math.isnan(number) else f"{number:.6g}" for number in numbers)
                writer.writerow([outcome.entrant, outcome.seed, image.name, image.group, *cells])
        write_whole(path, text.getvalue().encode(errors="surrogateescape"))  # names keep the bytes they have on disk

    def _of_the_best(self) -> Iterator[str]:
        title = TITLES[self.primary]
        if len(self.ranked) < 2:
            return
        best, *others = self.ranked
        near = []
        for other in others:
            apart = self.difference(best, other, self.primary)
            if apart is None or not apart.is_distinguishable:
                near.append(other.name)
        ground = f"on these {counted(len(self.images), 'test image')}, by the {title}"
        mean = f"{self.spread(best, self.primary).mean:.3f}"
        if near:
            yield (
                f"No winner can be named {ground}: {best.name} has the highest mean ({mean}), but is not "
                f"distinguishable from {_joined(near)}."
            )
        else:
            yield f"{best.name} scores highest {ground} ({mean}), and is distinguishable from every other."

    def _of_failures(self) -> Iterator[str]:
        for standing in self.standings:
            for outcome in standing.failures:
                yield f"The training of {standing.name} with seed {outcome.seed} was lost: {outcome.failure}"

    def _of_budgets(self) -> Iterator[str]:
        for standing in self.standings:
            missed = [deviation for deviation in standing.deviations if abs(deviation) > DEVIATION]
            if missed:
                farthest = max(missed, key=abs)
                trainings = counted(len(missed), "training")
                yield f"{trainings} of {standing.name} missed the budget, by {farthest:+.0%} at most."

    def _of_size(self) -> Iterator[str]:
        if len(self.seeds) == 1:
            yield "With one seed, nothing here tells how much another training of the same network would differ."
        groups = len(set(self.groups))
        if groups == 1 and len(self.images) > 1:
            yield "All test images are of one group, so that nothing here speaks of another group."
        elif groups < FEWEST_GROUPS:
            yield f"The test images are of {counted(groups, 'group')}, which is too few to tell entrants apart."

    def _entrant(self, standing: Standing) -> dict[str, Any]:
        first = self.standings[0]
        of_scores, against = {}, {}
        for score in self.shown if standing.outcomes else ():
            of_scores[score] = _plain(asdict(self.spread(standing, score)))
            apart = self.difference(standing, first, score) if standing is not first and first.outcomes else None
            if apart is not None:
                against[score] = {**_plain(asdict(apart)), "distinguishable": apart.is_distinguishable}
        return {
            "name": standing.name,
            "about": standing.entrant.about,
            "model": {"name": standing.recipe.model.name, "options": dict(standing.recipe.model.options)},
            "cost": standing.cost.to_dict(),
            "scores": of_scores,
            "above_the_first": against,
            "trainings": [outcome.to_dict() for outcome in (*standing.outcomes, *standing.failures)],
            "deviations_from_budget": standing.deviations,
        }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """NaN as None."""
    return {
        name: [_defined(v) for v in value] if isinstance(value, tuple) else _defined(value)
        for name, value in values.items()
    }


def _defined(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _number(number: float) -> float:
    return -1.0 if math.isnan(number) else number


def _joined(names: Sequence[str]) -> str:
    """
    >>> _joined(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
