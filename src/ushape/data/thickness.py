"""How thick what is drawn is: by it a network may work on a coarser grid, or may not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.data.annotation import Annotation, read_classes, read_objects
from ushape.data.pair import Pair
from ushape.labels import IGNORED

_MOST_IMAGES = 8
_LENGTH = math.pi / 4  # of a border in any direction, for each side of a pixel that lies on it (Cauchy and Crofton)


@dataclass(frozen=True)
class Thickness:
    """Of the thinnest class, in pixels: of a line its width, of a disc half its diameter."""

    name: str
    pixels: float


def thinnest(pairs: Sequence[Pair], annotation: Annotation) -> Thickness | None:
    """The thinnest class, the background too, in a few of the images; None where no two classes meet in them.

    Thickness is twice the area over the length of the border. Objects that are told apart have one where they touch.
    """
    areas = np.zeros(annotation.labels.classes)
    sides = np.zeros(annotation.labels.classes)
    for pair in pairs[:: -(-len(pairs) // _MOST_IMAGES)]:
        classes = read_classes(pair, annotation)
        regions = read_objects(pair, annotation) if annotation.task == "instances" else classes
        areas += np.bincount(classes.ravel(), minlength=IGNORED + 1)[: len(areas)]
        sides += _sides(classes, regions)[: len(areas)]
    found = [
        Thickness(name, 2 * area / (_LENGTH * length))
        for name, area, length in zip(annotation.labels.names, areas.tolist(), sides.tolist(), strict=True)
        if length
    ]
    return min(found, key=lambda thickness: thickness.pixels, default=None)


def _sides(classes: NDArray[np.uint8], regions: NDArray[np.integer]) -> NDArray[np.float64]:
    """By class, how many sides of its pixels are borders of regions; what is ignored has none."""
    sides = np.zeros(IGNORED + 1)
    for axis in (0, 1):
        here, there = (np.take(classes, np.arange(k, classes.shape[axis] - 1 + k), axis) for k in (0, 1))
        border = np.diff(regions, axis=axis) != 0
        border &= (here != IGNORED) & (there != IGNORED)
        for side in (here, there):
            sides += np.bincount(side[border], minlength=IGNORED + 1)
    return sides
