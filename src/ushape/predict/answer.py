"""A network's answer for one page, part by part, with what is known of it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from ushape.images.source import ImageSource
from ushape.metrics.trust import ExpectedDice
from ushape.predict.damage import Readable
from ushape.predict.predicted import Predicted
from ushape.predict.tiled import Predictor
from ushape.predict.where import Where


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

    def __init__(self, predictor: Predictor, source: ImageSource, where: Where | None = None) -> None:
        self._predictor, self.readable = predictor, readable_by(predictor, source, where)
        self.expected = ExpectedDice.none(predictor.trained.labels.classes)

    def parts(self, *, pixels: bool = False) -> Iterator[Predicted]:
        """All of it; pixels are there where anything is computed, and elsewhere if they count."""
        readable = self.readable
        computed = self._predictor.parts(readable.source, readable.where)
        for part in self._predictor.mended(map(readable.cleared, computed), readable.source.shape):
            tile = readable.cleared(part)
            if pixels and readable.where and not readable.where.any(tile.window):
                tile = replace(tile, pixels=readable.source.read(tile.window))
            self.expected += ExpectedDice.of(tile.classes, tile.probability)
            yield tile


def readable_by(predictor: Predictor, source: ImageSource, where: Where | None = None) -> Readable:
    """An image whose damage reaches as far as this network looks; where: what of it is to be predicted."""
    return Readable(source, [footprint.margin for footprint in predictor.footprints], where)
