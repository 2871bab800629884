"""Truths, one after another → evaluation: a network answers each once, and all scores judge that answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ushape.evaluate.evaluation import Evaluation
from ushape.labels import IGNORED, connected_regions
from ushape.metrics.families import FamilyName, Judged, family, measured
from ushape.metrics.pixels import ScoreHistogram, confusion
from ushape.metrics.table import Row, Table
from ushape.predict.formats import Collected
from ushape.predict.objects import find_objects
from ushape.predict.tiled import Predictor
from ushape.train.validate import Truth


class Scoring:
    """A network's scores so far.

    families: scores beside those of pixels; for them an image is held in memory whole, and truths must know their
    objects. Left out, those of objects for a network that tells objects apart, and none for others. RecipeError for
    scores that the network's classes do not have.
    """

    def __init__(self, predictor: Predictor, families: Sequence[FamilyName] | None = None) -> None:
        self.predictor = predictor
        labels, rule = predictor.trained.labels, predictor.trained.object_rule
        by_default: tuple[FamilyName, ...] = ("objects",) if rule else ()
        self.families = by_default if families is None else tuple(families)
        self._judges = {name: family(name, labels.names) for name in self.families}
        self._histogram = ScoreHistogram() if labels.classes == 2 else None
        self._rows: list[Row] = []

    def add(self, truth: Truth) -> None:
        """Predict an image, and score it."""
        classes = self.predictor.trained.labels.classes
        matrix = np.zeros((classes, classes), dtype=np.int64)
        collected = Collected(truth.source.shape) if self.families else None
        for tile in self.predictor.tiles(truth.source):
            wanted = truth.classes[tile.window.slices]
            matrix += confusion(wanted, tile.classes, classes)
            if self._histogram is not None:
                self._histogram.add(wanted == 1, tile.probability[1], wanted != IGNORED)
            if collected is not None:
                collected.add(tile)
        if collected is not None:
            self._judge(truth, collected)
        self._rows.append(Row(truth.name, truth.group, matrix))

    def result(self, trained_on: Sequence[str] = ()) -> Evaluation:
        """The figures of the images so far, some of which may have been trained on; DataError where there is none."""
        table = Table(tuple(self._rows), self.predictor.trained.labels.names)
        images = [(row.name, row.group) for row in self._rows]
        measures = tuple(measured(name, judge, images) for name, judge in self._judges.items())
        if self._histogram is None:
            return Evaluation(table, trained_on=tuple(trained_on), measures=measures)
        roc_auc, average_precision = self._histogram.roc_auc(), self._histogram.average_precision()
        best_f1, threshold = self._histogram.best_f1()
        return Evaluation(table, roc_auc, average_precision, best_f1, threshold, tuple(trained_on), measures)

    def _judge(self, truth: Truth, answer: Collected) -> None:
        assert truth.objects is not None, truth.name
        rule = self.predictor.trained.object_rule
        found = connected_regions(answer.classes) if rule is None else find_objects(answer.foreground, rule)
        image = Judged(truth.classes, answer.classes, truth.objects, found, answer.foreground, truth.source.spacing)
        for judge in self._judges.values():
            judge.add(image)
