"""The scores of a network in training, by the very code that predicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.images.source import ImageSource
from ushape.metrics.pixels import confusion
from ushape.metrics.table import Row, Table
from ushape.predict.tiled import Predictor


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


def scored(predictor: Predictor, truths: Sequence[Truth]) -> Iterator[Row]:
    """One row of scores per image, as they are made."""
    classes = predictor.trained.labels.classes
    for truth in truths:
        matrix = np.zeros((classes, classes), dtype=np.int64)
        for tile in predictor.tiles(truth.source):
            matrix += confusion(truth.classes[tile.window.slices], tile.classes, classes)
        yield Row(truth.name, truth.group, matrix)


def table(predictor: Predictor, truths: Sequence[Truth]) -> Table:
    """The table of all images."""
    return Table(tuple(scored(predictor, truths)), predictor.trained.labels.names)
