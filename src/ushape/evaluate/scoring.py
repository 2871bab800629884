"""Truths, one after another → evaluation: a network answers each once, and all scores judge that answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ushape.errors import RecipeError
from ushape.evaluate.confidence import ConfidenceScores
from ushape.evaluate.evaluation import Evaluation
from ushape.labels import IGNORED, connected_regions
from ushape.metrics.families import FamilyName, family, measured
from ushape.metrics.judged import Judged
from ushape.metrics.pixels import ScoreHistogram, confusion
from ushape.metrics.table import Row, Table
from ushape.object_rule import ObjectRule
from ushape.predict.formats import Collected
from ushape.predict.objects import find_objects
from ushape.predict.tiled import Predictor
from ushape.train.validate import Truth

_OF_OBJECTS = {"objects", "partitions"}
_OF_VOLUMES: tuple[FamilyName, ...] = ("boundary", "regions", "calibration")


class Scoring:
    """A network's scores so far.

    Where it tells objects apart, its foreground is the pixels of the objects that its rule finds, as in the masks that
    it writes; figures over all thresholds are of the probability.

    families: scores beside those of pixels; for those of objects and partitions truths must know their objects. Left
    out, those of objects for a network that tells objects apart, and those of regions where there are any. Objects and
    families, calibration aside, need an image in memory whole.
    RecipeError for scores that the network's classes do not have, or volumes.
    """

    def __init__(self, predictor: Predictor, families: Sequence[FamilyName] | None = None) -> None:
        self.predictor = predictor
        labels, rule = predictor.trained.labels, predictor.trained.object_rule
        regions = predictor.trained.regions
        by_default: tuple[FamilyName, ...] = (*(("objects",) if rule else ()), *(("regions",) if regions else ()))
        self.families = tuple(by_default if families is None else families)
        if predictor.axes == 3:
            require_of_volumes(self.families)
        others = [name for name in self.families if name != "calibration"]
        self._judges = {name: family(name, labels.names, regions) for name in others}
        self._confidence = ConfidenceScores(labels, errors="calibration" in self.families)
        self._histogram = ScoreHistogram() if labels.classes == 2 else None
        self._rows: list[Row] = []

    def add(self, truth: Truth, by: Predictor | None = None) -> None:
        """Predict an image, and score it. by: another network of the same classes, in place of its own."""
        predictor = by or self.predictor
        classes, rule = predictor.trained.labels.classes, predictor.trained.object_rule
        matrix = np.zeros((classes, classes), dtype=np.int64)
        collected = Collected(truth.source.shape) if self._judges or rule else None
        self._confidence.begin_image(predictor.trained.labels)
        for tile in predictor.tiles(truth.source):
            wanted = truth.classes[tile.window.slices]
            if rule is None:
                matrix += confusion(wanted, tile.classes, classes)
            if self._histogram is not None:
                self._histogram.add(wanted == 1, tile.probability[1], wanted != IGNORED)
            self._confidence.add(wanted, tile)
            if collected is not None:
                collected.add(tile)
        if collected is not None:
            answer, objects = _answered(collected, rule)
            if rule is not None:
                matrix = confusion(truth.classes, answer, classes)
            self._judge(truth, answer, objects, collected.foreground)
        self._rows.append(Row(truth.name, truth.group, matrix, truth.ignored))

    def result(self, trained_on: Sequence[str] = ()) -> Evaluation:
        """The figures of the images so far, some of which may have been trained on; DataError where there is none."""
        table = Table(tuple(self._rows), self.predictor.trained.labels.names)
        images = [(row.name, row.group) for row in self._rows]
        measures = [measured(name, judge, images) for name, judge in self._judges.items()]
        if "calibration" in self.families:
            measures.append(self._confidence.measures(self._rows))
        found = Evaluation(
            table, trained_on=tuple(trained_on), measures=tuple(measures), confidence=self._confidence.confidence()
        )
        if self._histogram is None:
            return found
        roc_auc, average_precision = self._histogram.roc_auc(), self._histogram.average_precision()
        best_f1, threshold = self._histogram.best_f1()
        return replace(
            found, roc_auc=roc_auc, average_precision=average_precision, best_f1=best_f1, best_threshold=threshold
        )

    def _judge(
        self, truth: Truth, answer: NDArray[np.uint8], objects: NDArray[np.int32], foreground: NDArray[np.float32]
    ) -> None:
        if not self._judges:
            return
        assert truth.objects is not None or not _OF_OBJECTS & self._judges.keys(), truth.name
        true_objects = np.zeros_like(objects) if truth.objects is None else truth.objects
        image = Judged(truth.classes, answer, true_objects, objects, foreground, truth.source.spacing)
        for judge in self._judges.values():
            judge.add(image)


def require_of_volumes(families: Sequence[FamilyName]) -> None:
    """RecipeError for families whose scores are of images alone."""
    of_images = [name for name in families if name not in _OF_VOLUMES]
    if of_images:
        raise RecipeError(
            f"The scores of {', '.join(of_images)} are those of images. Of volumes there are {', '.join(_OF_VOLUMES)}."
        )


def _answered(collected: Collected, rule: ObjectRule | None) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """(H, W) class numbers, of a volume (D, H, W), and objects: those of the rule, or else the connected regions."""
    if rule is None:
        return collected.classes, connected_regions(collected.classes)
    objects = find_objects(collected.foreground, rule)
    return (objects > 0).astype(np.uint8), objects
