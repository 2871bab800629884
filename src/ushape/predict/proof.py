"""Shows on one's own image that the tile size never changes the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ushape.images.source import ImageSource
from ushape.predict.tiled import Predictor

LARGEST_DIFFERENCE = 1e-5
"""What float32 may differ by between tilings, in probability: rounding, summed in another order."""


@dataclass(frozen=True)
class Compared:
    """One tiling against the whole image in one pass."""

    keep_px: int
    tiles: int
    largest_difference: float
    flipped_labels: int

    @property
    def holds(self) -> bool:
        return self.largest_difference <= LARGEST_DIFFERENCE and self.flipped_labels == 0


def prove(predictor: Predictor, source: ImageSource) -> Iterator[Compared]:
    """The image in one pass, then in tiles of three sizes down to the smallest, each compared with the pass.

    The image and two answers must fit in memory.
    """
    multiple = predictor.trained.model.footprint.multiple
    longest = -(-max(source.shape) // multiple) * multiple
    classes, probability = _with_keep(predictor, longest).whole(source)
    for keep_px in sorted(
        {max(multiple, longest // parts // multiple * multiple) for parts in (2, 3, 7)}, reverse=True
    ):
        tiled = _with_keep(predictor, keep_px)
        difference, flipped, tiles = 0.0, 0, 0
        for tile in tiled.tiles(source):
            place = tile.window.slices
            difference = max(difference, float(np.abs(tile.probability - probability[:, *place]).max()))
            flipped += int(np.count_nonzero(tile.classes != classes[place]))
            tiles = tile.total
        yield Compared(keep_px, tiles, difference, flipped)


def _with_keep(predictor: Predictor, keep_px: int) -> Predictor:
    return Predictor(predictor.trained, flips=predictor.flips, precision=predictor.precision, keep_px=keep_px)
