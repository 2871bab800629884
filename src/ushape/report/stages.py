"""What each stage of a training in stages added: lines for a report, and the curves of all on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ushape.data.pair import counted
from ushape.recipe import Recipe, merged, read
from ushape.report.charts import Series, line_chart
from ushape.train.diary import read as read_log
from ushape.train.stages import finished_stages, stage_folder

TITLE = "Stage by stage"


@dataclass(frozen=True)
class Course:
    """One stage: the times of its validations in seconds since it began, and their Dice."""

    model: str
    learning_rate: float
    steps: int
    seconds: float
    times: Sequence[float]
    dices: Sequence[float]

    @property
    def best(self) -> float:
        return max(self.dices, default=0.0)


def courses(run: Path) -> list[Course]:
    """The finished stages of a run's folder; none where it has no stages."""
    return [_course(stage_folder(run, number, model)) for number, model in enumerate(finished_stages(run))]


def stage_facts(stages: Sequence[Course]) -> list[tuple[str, str]]:
    """A line for each stage, with what it added to the best validation of the one before."""
    facts, before = [], None
    for number, stage in enumerate(stages, start=1):
        added = "" if before is None else f", {stage.best - before:+.4f}"
        took = f"{counted(stage.steps, 'step')} in {stage.seconds / 60:.1f} minutes at rate {stage.learning_rate:g}"
        facts.append((f"stage {number}", f"{stage.model}: best Dice {stage.best:.4f}{added}, after {took}"))
        before = stage.best
    return facts


def stage_chart(stages: Sequence[Course]) -> tuple[str, str]:
    """Title and SVG: the Dice in validation of each stage against the minutes of all."""
    series, begin = [], 0.0
    for number, stage in enumerate(stages, start=1):
        minutes = [(begin + time) / 60 for time in stage.times]
        series.append(Series(f"{number}. {stage.model}", minutes, list(stage.dices)))
        begin += stage.seconds
    return TITLE, line_chart(series, x_label="minutes", y_label="Dice in validation")


def _course(folder: Path) -> Course:
    recipe, rows = merged(Recipe(), read(folder / "recipe.toml")), read_log(folder / "log.csv")
    validated = [row for row in rows if row["validation_dice"]]
    return Course(
        model=recipe.model.name,
        learning_rate=recipe.training.learning_rate,
        steps=int(rows[-1]["step"]),
        seconds=float(rows[-1]["seconds"]),
        times=[float(row["seconds"]) for row in validated],
        dices=[float(row["validation_dice"]) for row in validated],
    )
