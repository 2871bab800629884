"""One training of a comparison, and its scores: an entrant with a seed, in a folder of its own.

CELL/recipe.toml, best.safetensors, log.csv   those of a run (docs/formats.md): `ushape predict CELL IMAGES` takes it
CELL/result.json                              what it took and what it scored; a cell is done when it is there
"""

from __future__ import annotations

import math
import shlex
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ushape.atomic import output_error
from ushape.compare.division import Division
from ushape.compare.entrant import Entrant
from ushape.compare.outcome import Outcome, Scores, Validated
from ushape.data.annotation import Annotation
from ushape.errors import TrainingError
from ushape.evaluate import Scored, Scoring
from ushape.images.source import from_array, open_image
from ushape.predict.tiled import Predictor, load
from ushape.recipe import Recipe
from ushape.train.continuation import TrainingEvent, train_on
from ushape.train.diary import read as read_log
from ushape.train.prepare import truths_of
from ushape.train.run_folder import FILES, STAGES
from ushape.train.stages import stage_folder

RESULT = "result.json"
_KEPT = ("recipe.toml", "best.safetensors", "log.csv")
_TIMES, _TIMED_SECONDS = 5, 10.0  # predictions that are timed, and after how long there is no other

CellEvent = TrainingEvent | Scored


@dataclass(frozen=True)
class Cell:
    """An entrant with a seed; iterate over `events` until it is done, whenever it was interrupted.

    recipe: all that defines its training, the seed included.
    """

    entrant: Entrant
    seed: int
    folder: Path
    recipe: Recipe

    @property
    def done(self) -> bool:
        return (self.folder / RESULT).exists()

    def outcome(self) -> Outcome:
        """What it took and scored, once it is done; CheckpointError where its file is damaged."""
        return Outcome.read(self.folder / RESULT)

    def events(
        self, data: Path, division: Division, annotation: Annotation, *, device: torch.device
    ) -> Iterator[tuple[float, CellEvent]]:
        """Train, score, and write the result; each event with the share of the training that is done, 0 … 1.

        A training that is lost (TrainingError) is a result, too: an outcome that says so, without scores.
        """
        failure = ""
        try:
            yield from train_on(data, self.folder, self.recipe, device=device, command=self._alone)
        except TrainingError as error:
            failure = str(error)
        scores, seconds_per_megapixel = None, None
        if not failure:
            predictor = load(self.folder, device=str(device))
            scoring = Scoring(predictor)
            for done, pair in enumerate(division.test, start=1):
                scoring.add(truths_of([pair], annotation)[0])
                yield 1.0, Scored(pair.name, done, len(division.test))
            scores = Scores.of(scoring.result())
            seconds_per_megapixel = prediction_seconds(predictor, division)
        self._finish(failure, scores, seconds_per_megapixel)

    @property
    def _alone(self) -> str:
        """The command that trains it outside a comparison."""
        return shlex.join(["ushape", "train", "DATA", "--recipe", str(self.folder / "recipe.toml"), "--out", "RUN"])

    def _finish(self, failure: str, scores: Scores | None, seconds_per_megapixel: float | None) -> None:
        rows = read_log(self.folder / "log.csv") if (self.folder / "log.csv").exists() else []
        outcome = Outcome(
            entrant=self.entrant.name,
            seed=self.seed,
            failure=failure,
            seconds=float(rows[-1]["seconds"]) if rows else 0.0,
            steps=int(rows[-1]["step"]) if rows else 0,
            step_seconds=median_step_seconds(rows),
            seconds_per_megapixel=seconds_per_megapixel,
            curve=_curve(rows),
            scores=scores,
        )
        outcome.write(self.folder / RESULT)
        self._tidy()

    def _tidy(self) -> None:
        """Leave the network, its recipe and its log; what a training goes on from is of no more use."""
        stages = [stage_folder(self.folder, n, stage.model) for n, stage in enumerate(self.recipe.stages)]
        try:
            for name in {*FILES, STAGES} - set(_KEPT):
                (self.folder / name).unlink(missing_ok=True)
            for folder in stages:
                for name in FILES:
                    (folder / name).unlink(missing_ok=True)
                if folder.is_dir():
                    folder.rmdir()
        except OSError as error:
            raise output_error(self.folder, error) from error


def median_step_seconds(rows: Sequence[dict[str, str]]) -> float:
    """Of a training's log: how long a step takes, half of them less; 0 where there is none."""
    ends = [float(row["seconds"]) for row in rows]
    steps = [end - begin for row, begin, end in zip(rows, [0.0, *ends], ends, strict=False) if row["loss"]]
    return statistics.median(steps) if steps else 0.0


def prediction_seconds(predictor: Predictor, division: Division) -> float:
    """Seconds per megapixel of the largest test image, in memory: the median of a few predictions."""
    sources = (open_image(pair.image.path, pair.image.index) for pair in division.test)
    largest = max(sources, key=lambda source: math.prod(source.shape))
    image = from_array(largest.read(), str(largest.page))
    times: list[float] = []
    while not times or (len(times) < _TIMES and sum(times) < _TIMED_SECONDS):
        begin = time.perf_counter()
        for _ in predictor.tiles(image):
            pass
        times.append(time.perf_counter() - begin)
    return statistics.median(times) / (math.prod(image.shape) / 1e6)


def _curve(rows: Sequence[dict[str, str]]) -> tuple[Validated, ...]:
    """Every validation: of objects where these are the answer, else the Dice."""
    return tuple(
        Validated(int(row["step"]), float(row["seconds"]), float(row["validation_objects"] or row["validation_dice"]))
        for row in rows
        if row["validation_objects"] or row["validation_dice"]
    )
