"""The scores of a network in training, by the very code that predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.images.source import ImageSource
from ushape.labels import IGNORED
from ushape.metrics.instances import Matching
from ushape.metrics.pixels import confusion
from ushape.metrics.table import Row, Table
from ushape.predict.formats import Collected
from ushape.predict.object_fit import mean_precision
from ushape.predict.objects import find_objects
from ushape.predict.tiled import Predictor
from ushape.train.temperature import PixelSample


@dataclass(frozen=True)
class Truth:
    """An annotated image to score against: (H, W) class numbers, and the group it belongs to.

    objects: (H, W) numbers of its objects, where they are to be told apart.
    """

    name: str
    group: str
    source: ImageSource
    classes: NDArray[np.uint8]
    objects: NDArray[np.integer] | None = None

    @property
    def ignored(self) -> int:
        """How many pixels count nowhere."""
        return int(np.count_nonzero(self.classes == IGNORED))


@dataclass(frozen=True)
class Validation:
    """The scores of a network in training.

    table: of pixels; where objects are told apart, the foreground is the pixels of those that the network's object rule
    finds, as in an evaluation. The rule is that of a network in training: the one chosen in the end may find others.
    objects: where they are told apart, the mean over images of the average precision at IoU 0.5 … 0.9; NaN where no
    image has an object, None where classes are the answer.
    """

    table: Table
    objects: float | None = None

    @property
    def dice(self) -> float:
        """The mean foreground Dice, 0 where it is undefined."""
        dice = self.table.summary().foreground.dice.mean
        return 0.0 if math.isnan(dice) else dice

    @property
    def score(self) -> float:
        """By which one network is better than another: of objects where these are the answer, else the Dice.

        The gaps that a network is taught between touching objects cost Dice, but they are what parts the objects.
        """
        return self.dice if self.objects is None or math.isnan(self.objects) else self.objects


def validated(predictor: Predictor, truths: Sequence[Truth], sample: PixelSample | None = None) -> Validation:
    """All images predicted and scored; sample: takes their probabilities, too."""
    rule, labels = predictor.trained.object_rule, predictor.trained.labels
    rows, precisions = [], []
    for truth in truths:
        matrix = np.zeros((labels.classes, labels.classes), dtype=np.int64)
        collected = Collected(truth.source.shape) if rule else None
        for tile in predictor.tiles(truth.source):
            if sample is not None:
                sample.add(truth.classes[tile.window.slices], tile.probability)
            if collected is None:
                matrix += confusion(truth.classes[tile.window.slices], tile.classes, labels.classes)
            else:
                collected.add(tile)
        if collected is not None and rule is not None:
            found = find_objects(collected.foreground, rule)
            matrix = confusion(truth.classes, (found > 0).astype(np.uint8), labels.classes)
            if truth.objects is not None:
                matching = Matching.of(truth.objects, found, ignored=truth.classes == IGNORED)
                precisions.append(mean_precision(matching))
        rows.append(Row(truth.name, truth.group, matrix, truth.ignored))
    return Validation(Table(tuple(rows), labels.names), _mean(precisions) if rule is not None else None)


def _mean(scores: Sequence[float]) -> float:
    defined = [score for score in scores if not math.isnan(score)]
    return sum(defined) / len(defined) if defined else math.nan
