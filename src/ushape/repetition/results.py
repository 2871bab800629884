"""The scores of several trainings: over all their images, and how much one training differs from another.

DIR/results.json   all of it          DIR/results.csv   a line per image
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ushape.atomic import write_whole
from ushape.compare.outcome import ImageScores, Scores
from ushape.compare.results import TITLES
from ushape.data.annotation import Task
from ushape.data.pair import counted
from ushape.evaluate import Evaluation
from ushape.metrics.table import Figure, without_nan
from ushape.repetition.curve import with_twice_as_many
from ushape.repetition.member import Member
from ushape.train.diary import read as read_log

REPORT, RESULTS, SCORES = "report.html", "results.json", "results.csv"


@dataclass(frozen=True)
class Judged:
    """A member's scores: of the images that it is judged on, and their means, NaN where undefined in all.

    steps, seconds: what its training took.
    """

    name: str
    images: tuple[ImageScores, ...]
    means: dict[str, float]
    steps: int
    seconds: float

    @property
    def groups(self) -> int:
        return len({image.group for image in self.images})


@dataclass(frozen=True)
class Results:
    """evaluation: of every image by the network judged on it, as if one network had answered all.

    rule: how the images were divided. primary: the score by which networks are compared. held_back: whether no network
    learned from the images that it is judged on.
    """

    kind: str
    rule: str
    evaluation: Evaluation
    members: tuple[Judged, ...]
    primary: str
    held_back: bool = True

    @staticmethod
    def of(
        kind: str,
        rule: str,
        out: Path,
        members: Sequence[Member],
        evaluation: Evaluation,
        task: Task,
        *,
        held_back: bool = True,
    ) -> Results:
        """The evaluation's images are those of the members, one member's after another's."""
        scores = Scores.of(evaluation)
        judged, first = [], 0
        for member in members:
            images = scores.images[first : first + len(member.judged)]
            first += len(member.judged)
            last = read_log(out / member.name / "log.csv")[-1]
            judged.append(Judged(member.name, images, _means(images), int(last["step"]), float(last["seconds"])))
        assert first == len(scores.images)
        primary = scores.primary if task == "instances" else "dice"
        return Results(kind, rule, evaluation, tuple(judged), primary, held_back)

    @property
    def shown(self) -> list[str]:
        """Names of the scores for a table, the primary one first."""
        there = [name for name in TITLES if name in self.members[0].means]
        return sorted(there, key=lambda name: name != self.primary)

    def figure(self, score: str) -> Figure:
        """The mean over all images with its interval over groups, as the evaluation has it."""
        for measures in self.evaluation.measures:
            if score in (figures := measures.figures()):
                return figures[score]
        figure: Figure = getattr(self.evaluation.table.summary().foreground, score)
        return figure

    def deviation(self, score: str) -> float:
        """The standard deviation of the members' means; NaN of fewer than two."""
        means = [member.means[score] for member in self.members if not math.isnan(member.means[score])]
        return statistics.stdev(means) if len(means) > 1 else math.nan

    def findings(self) -> Iterator[str]:
        """What the numbers carry, in sentences."""
        title, figure, spread = TITLES[self.primary], self.figure(self.primary), self.deviation(self.primary)
        if self.kind == "learning-curve":
            yield from self._of_the_curve()
            return
        interval = "" if math.isnan(figure.low) else f" (95 % interval {figure.low:.3f} to {figure.high:.3f})"
        means = [member.means[self.primary] for member in self.members]
        defined = [mean for mean in means if not math.isnan(mean)]
        images = counted(sum(len(member.images) for member in self.members), "image")
        if self.kind == "cross-validation":
            yield (
                f"Out of fold, {title} is {figure.mean:.3f}{interval}: {images}, each by the network that never saw it."
            )
        elif not self.held_back:
            yield (
                f"On images that were trained on, {title} is {figure.mean:.3f}{interval}: this says nothing of others. "
                "`ushape crossvalidate` tells what to expect of them."
            )
        else:
            yield (
                f"In validation, {title} is {figure.mean:.3f}{interval}: {images}, those of every seed. They chose the "
                "networks, too, which flatters."
            )
        if len(defined) > 1:
            what = "fold" if self.kind == "cross-validation" else "seed"
            yield (
                f"From {what} to {what} the mean lies between {min(defined):.3f} and {max(defined):.3f}, with a "
                f"standard deviation of {spread:.3f}."
            )
        if len({image.group for member in self.members for image in member.images}) == 1:
            yield "All images are of one group, so that nothing here speaks of another group."

    @property
    def curve(self) -> tuple[list[int], list[float]]:
        """Of a learning curve: how many images each member learned from, and the mean of its primary score."""
        return [int(member.name.rpartition("-")[2]) for member in self.members], [
            member.means[self.primary] for member in self.members
        ]

    def _of_the_curve(self) -> Iterator[str]:
        sizes, scores = self.curve
        title, judges = TITLES[self.primary], counted(len(self.members[0].images), "other image")
        reached = ", ".join(f"{score:.3f} with {size}" for size, score in zip(sizes, scores, strict=True))
        yield f"{title} on {judges}: {reached} images to train on."
        expected = with_twice_as_many(sizes, scores)
        if expected is None:
            yield "More images have brought nothing that these trainings can tell."
        else:
            yield (
                f"At this pace twice as many, {2 * sizes[-1]}, would bring it to about {expected:.3f}: "
                f"{expected - scores[-1]:+.3f}. {len(sizes)} trainings tell this coarsely."
            )

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """For JSON; what is undefined is None."""
        scores = {}
        for score in self.shown:
            of = self.figure(score)
            scores[score] = {"mean": of.mean, "low": of.low, "high": of.high, "deviation": self.deviation(score)}
        if self.kind == "learning-curve":
            scores = {}  # of all members together say nothing
        members = [
            {**asdict(m), "images": [image.name for image in m.images], "groups": m.groups} for m in self.members
        ]
        values = {
            "kind": self.kind,
            "rule": self.rule,
            "primary": self.primary,
            "findings": list(self.findings()),
            "scores": scores,
            "members": members,
            "evaluation": self.evaluation.to_dict(),
        }
        plain: dict[str, Any] = {name: without_nan(value) for name, value in values.items()}
        return plain

    def write(self, out: Path) -> None:
        """DIR/results.json and DIR/results.csv, each complete or not there."""
        write_whole(out / RESULTS, json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        self.evaluation.write_csv(out / SCORES)


def _means(images: Sequence[ImageScores]) -> dict[str, float]:
    means = {}
    for name in dict.fromkeys(name for image in images for name in image.scores):
        numbers = [image.scores.get(name, math.nan) for image in images]
        defined = [number for number in numbers if not math.isnan(number)]
        means[name] = sum(defined) / len(defined) if defined else math.nan
    return means
