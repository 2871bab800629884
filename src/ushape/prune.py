"""A UNet++ trained with deep supervision → the same network cut to one of its levels, and what each of them is worth.

pruned(trained, 2)               a network of its own, that answers what the head at level 2 answered
LevelComparison(trained)         each level on the validation images of the training: cost, time and score
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ushape.checkpoint import Trained
from ushape.data.pair import Pair, counted, listed
from ushape.errors import DataError, RecipeError
from ushape.evaluate import Evaluation, RunEvaluation, Scoring
from ushape.images.source import from_array
from ushape.models.anatomy import dissect
from ushape.models.segmenter import Segmenter
from ushape.models.unetpp import UNetPP
from ushape.predict.tiled import Predictor

_CLOSE = 0.005  # of a score: a level that is nearer to the best is as good
_TIMED_SIDE_PX = 512
_ENOUGH_SECONDS = 2.0  # of timing one network
_COUNTED_SIDE_PX = 1000  # a megapixel
_SCORES_OF_THE_WHOLE = ("validation_scores", "object_score", "object_images", "calibration", "flips")


@dataclass(frozen=True)
class Level:
    """What a network cut to `level` costs and scores; None: the whole network, which answers with all its heads.

    multiply_adds_per_megapixel: of an answer of 1000 x 1000 pixels, with the context that it takes.
    seconds_per_megapixel: of predicting an image of 512 x 512 pixels on this machine.
    """

    level: int | None
    parameters: int
    multiply_adds_per_megapixel: float
    seconds_per_megapixel: float
    score: float

    @property
    def name(self) -> str:
        return "whole" if self.level is None else f"level {self.level}"


@dataclass(frozen=True)
class Levels:
    """The levels from the smallest up, the whole network last. measure: what the score is."""

    rows: tuple[Level, ...]
    measure: str
    images: int

    @property
    def best(self) -> Level | None:
        """The row of the highest score; None where no image has anything to score."""
        defined = [row for row in self.rows if not math.isnan(row.score)]
        return max(defined, key=lambda row: row.score, default=None)

    @property
    def recommended(self) -> Level | None:
        """The smallest that scores as well as the best, to within .005."""
        best = self.best
        return next((row for row in self.rows if best and row.score >= best.score - _CLOSE), None)

    @property
    def reason(self) -> str:
        """The recommendation in words."""
        best, chosen, largest = self.best, self.recommended, self.rows[-1]
        if best is None or chosen is None:
            return "none: the validation images have nothing to score"
        score = f"its {self.measure} of {chosen.score:.4f} on {counted(self.images, 'validation image')}"
        near = "is the best" if chosen == best else f"is within {_CLOSE} of the best, {best.score:.4f} ({best.name})"
        share = chosen.parameters / largest.parameters
        faster = largest.seconds_per_megapixel / chosen.seconds_per_megapixel
        worth = "" if chosen == largest else f"; {share:.1%} of the parameters, {faster:.1f} times as fast"
        return f"{chosen.name}: {score} {near}{worth}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a score that nothing defines is None."""
        scores = {row.name: None if math.isnan(row.score) else row.score for row in self.rows}
        rows = [{"name": row.name, **asdict(row), "score": scores[row.name]} for row in self.rows]
        return {
            "measure": self.measure,
            "images": self.images,
            "levels": rows,
            "recommended": self.recommended.name if self.recommended else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Measured:
    """A step of the comparison done: a network timed, or one image scored by it. doing: which."""

    doing: str
    done: int
    total: int


def pruned(trained: Trained, level: int, source: str) -> Trained:
    """The network cut to a level, on the same device, with the labels, intensity and object rule of the whole.

    source: where the whole is from, for the provenance; its scores are left out, for they are of the whole. RecipeError
    for a network that has no such level.
    """
    whole = _whole(trained)
    smaller = whole.pruned(level)
    options = {name: value for name, value in trained.recipe.model.options.items() if name != "answer"}
    options |= {"depth": level, "deep_supervision": False}
    about = {name: value for name, value in trained.provenance.items() if name not in _SCORES_OF_THE_WHOLE}
    return replace(
        trained,
        model=smaller,
        recipe=replace(trained.recipe, model=replace(trained.recipe.model, options=options)),
        provenance={**about, "pruned": {"from": source, "level": level, "of": whole.depth}},
    )


class LevelComparison:
    """All levels of a network on the images it was validated on: iterate over `events()`, then take `result()`.

    data: the folder of these images, where it is no longer the one that the training says. RecipeError for a network
    without levels; DataError where the images cannot be found, or are not what they were.
    """

    def __init__(self, trained: Trained, data: Path | None = None) -> None:
        whole = _whole(trained)
        whole.require_level(1)
        networks: dict[int | None, Trained] = {n: pruned(trained, n, "") for n in range(1, whole.depth + 1)}
        if whole.answer == "accurate" and whole.depth > 1:  # else it is its last level
            networks[None] = trained
        self._predictors = {level: Predictor(network) for level, network in networks.items()}
        self._scorings = {level: Scoring(predictor) for level, predictor in self._predictors.items()}
        self._course, self._pairs = _validation(trained, data)
        self._seconds: dict[int | None, float] = {}

    def events(self) -> Iterator[Measured]:
        """Time every level, then score image after image."""
        done, total = 0, len(self._predictors) * (1 + len(self._pairs))
        for level, predictor in self._predictors.items():
            self._seconds[level] = seconds_per_megapixel(predictor)
            yield Measured("timing", done := done + 1, total)
        for pair in self._pairs:
            truth = self._course.truth(pair)
            for scoring in self._scorings.values():
                scoring.add(truth)
                yield Measured(pair.name, done := done + 1, total)

    def result(self) -> Levels:
        """The figures of all levels, after the last event."""
        evaluations = {level: scoring.result() for level, scoring in self._scorings.items()}
        rows = [
            Level(
                level,
                predictor.trained.model.parameter_count,
                _multiply_adds_per_megapixel(predictor.trained.model),
                self._seconds[level],
                _score(evaluations[level]),
            )
            for level, predictor in self._predictors.items()
        ]
        measure = "average precision of objects" if evaluations[1].measures else "Dice"
        return Levels(tuple(rows), measure, len(self._pairs))


def seconds_per_megapixel(predictor: Predictor) -> float:
    """What predicting an image of 512 x 512 pixels takes here, the first time aside, by its size."""
    shape = (_TIMED_SIDE_PX, _TIMED_SIDE_PX, predictor.trained.intensity.channels)
    image = from_array(np.zeros(shape, dtype=predictor.trained.intensity.dtype))
    predictor.whole(image)
    times: list[float] = []
    while sum(times) < _ENOUGH_SECONDS and len(times) < 3:
        begin = time.perf_counter()
        predictor.whole(image)
        times.append(time.perf_counter() - begin)
    return min(times) / (_TIMED_SIDE_PX**2 / 1e6)


def _whole(trained: Trained) -> UNetPP:
    if isinstance(trained.model, UNetPP):
        return trained.model
    raise RecipeError(
        f"Only UNet++ has levels that it can be pruned to; this network is {trained.recipe.model.name}. Train one with "
        "`ushape train DATA --out RUN --model unetpp`."
    )


def _validation(trained: Trained, data: Path | None) -> tuple[RunEvaluation, list[Pair]]:
    """The images that a network was validated on, as those of an evaluation."""
    about = trained.provenance
    if not about.get("validation") or (data is None and not about.get("data")):
        raise DataError(
            "This network does not say which images it was validated on, so that its levels cannot be scored. Choose a "
            "level with --level, and score the pruned network with `ushape evaluate`."
        )
    root, names = data or Path(about["data"]), set(about["validation"])
    if not root.is_dir():
        raise DataError(f"There is no folder {root}, where the network's images were. Say with --data where they are.")
    course = RunEvaluation(Predictor(trained), root, include=trained.recipe.data.include)
    pairs = [pair for pair in course.pairs if pair.name in names]
    if missing := names - {pair.name for pair in pairs}:
        raise DataError(
            f"{root} does not hold {listed(sorted(missing))}, which the network was validated on. Give the folder that "
            "it was trained on with --data."
        )
    return course, pairs


def _multiply_adds_per_megapixel(model: Segmenter) -> float:
    anatomy = dissect(model, model.footprint.input_for(_COUNTED_SIDE_PX))
    answered = model.footprint.exact_output(anatomy.input_size[0])
    return anatomy.multiply_adds / answered**2 * 1e6


def _score(evaluation: Evaluation) -> float:
    """Of objects where these are the answer, else of the foreground's pixels."""
    for measures in evaluation.measures:
        return measures.figures()["ap_50_95"].mean
    return evaluation.table.summary().foreground.dice.mean
