"""What one training of a comparison took and scored ↔ its result.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ushape.atomic import write_whole
from ushape.errors import CheckpointError
from ushape.evaluate import Evaluation
from ushape.metrics.table import MEASURES

FORMAT = "ushape result 1"


@dataclass(frozen=True)
class Validated:
    """A validation in a training: its score is of objects where these are the answer, else the Dice."""

    step: int
    seconds: float
    score: float


@dataclass(frozen=True)
class ImageScores:
    """A test image: every score by its name, NaN where undefined."""

    name: str
    group: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Scores:
    """All test images, and the folder's own figures: pooled over all pixels or objects, NaN where there is none.

    primary: the score by which entrants are compared, as trainings are: of objects where these are the answer.
    """

    images: tuple[ImageScores, ...]
    folder: Mapping[str, float]
    primary: str

    @staticmethod
    def of(evaluation: Evaluation) -> Scores:
        """Dice, IoU, precision, recall and accuracy of pixels; then those of the evaluation's families."""
        table = evaluation.table
        of_images = [
            {name: getattr(scores, f"mean_{name}") for name in MEASURES} | {"pixel_accuracy": scores.pixel_accuracy}
            for scores in table.scores
        ]
        folder = {name: getattr(table.pooled, f"mean_{name}") for name in MEASURES}
        folder["pixel_accuracy"] = table.pooled.pixel_accuracy
        for measures in evaluation.measures:
            for scores, more in zip(of_images, measures.images, strict=True):
                scores |= more
            folder |= measures.folder
        images = tuple(
            ImageScores(row.name, row.group, scores) for row, scores in zip(table.rows, of_images, strict=True)
        )
        objects = any(measures.family == "objects" for measures in evaluation.measures)
        return Scores(images, folder, "ap_50_95" if objects else "dice")


@dataclass(frozen=True)
class Outcome:
    """One training, and its scores.

    failure: why the training was lost, and has no scores; empty where it was not. seconds, steps: what the training
    really took, validations included, reading and writing of files aside. step_seconds: the median of its steps.
    seconds_per_megapixel: of prediction.
    """

    entrant: str
    seed: int
    failure: str
    seconds: float
    steps: int
    step_seconds: float
    seconds_per_megapixel: float | None
    curve: tuple[Validated, ...]
    scores: Scores | None

    def mean(self, score: str) -> float:
        """Over the test images where it is defined; NaN where there is none, or a training was lost."""
        numbers = [image.scores.get(score, math.nan) for image in self.scores.images] if self.scores else []
        defined = [number for number in numbers if not math.isnan(number)]
        return sum(defined) / len(defined) if defined else math.nan

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what is undefined is None."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain

    def write(self, path: Path) -> None:
        """The file, complete or not there."""
        write_whole(path, json.dumps({"format": FORMAT, **self.to_dict()}, indent=1, allow_nan=False) + "\n")

    @staticmethod
    def read(path: Path) -> Outcome:
        """CheckpointError for a file that is none of ours, or damaged."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise ValueError(f"it is no {FORMAT}")
            scores = values.pop("scores")
            curve = tuple(Validated(**of) for of in values.pop("curve"))
            return Outcome(**values, curve=curve, scores=None if scores is None else _scores(scores))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path} is damaged: {error}. Delete it, and the same command trains that one again."
            ) from error


def _scores(values: Mapping[str, Any]) -> Scores:
    images = tuple(ImageScores(of["name"], of["group"], _with_nan(of["scores"])) for of in values["images"])
    return Scores(images, _with_nan(values["folder"]), values["primary"])


def _with_nan(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in scores.items()}


def _without_nan(value: Any) -> Any:  # Any: plain values, as asdict gives them
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
