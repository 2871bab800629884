"""A network's answer for one page, part by part, with what is known of it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ushape.images.source import ImageSource
from ushape.metrics.trust import ExpectedDice
from ushape.predict.damage import Readable
from ushape.predict.tiled import Predicted, Predictor


class Answer(Protocol):
    """Where a page's answer comes from: computed on the way, or kept on the disk (unfinished.py).

    readable: the image, and what of it could not be read. expected: the Dice to be expected, once all parts are there.
    """

    readable: Readable
    expected: ExpectedDice

    def parts(self, *, pixels: bool = False) -> Iterator[Predicted]:
        """Parts that cover the page, for certain background where the image is damaged; pixels: whether they count."""
        ...


class Computed:
    """The answer of a predictor, computed as it is asked for."""

    def __init__(self, predictor: Predictor, source: ImageSource) -> None:
        self._predictor, self.readable = predictor, readable_by(predictor, source)
        self.expected = ExpectedDice.none(predictor.trained.labels.classes)

    def parts(self, *, pixels: bool = False) -> Iterator[Predicted]:
        """All of it; pixels are always there."""
        for part in self._predictor.tiles(self.readable.source):
            tile = self.readable.cleared(part)
            self.expected += ExpectedDice.of(tile.classes, tile.probability)
            yield tile


def readable_by(predictor: Predictor, source: ImageSource) -> Readable:
    """An image whose damage reaches as far as this network looks."""
    return Readable(source, [footprint.margin for footprint in predictor.footprints])
