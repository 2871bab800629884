"""An image some tiles or chunks of which cannot be decoded: the rest is predicted, and what is not known is told.

readable = Readable(source, margin)
for tile in predictor.tiles(readable.source):
    readable.cleared(tile)              → the tile, background where nothing is known
    readable.unknown(tile.window)       → where that is, or None
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ushape.geometry.tiles import Window
from ushape.images.damage import DamagedPiece
from ushape.images.source import ImageSource
from ushape.predict.predicted import Predicted
from ushape.predict.where import Where

Value = TypeVar("Value", bound=np.generic)


class Readable:
    """`source` reads 0 where the image is damaged. margin: how far, along each axis, the network looks around.
    where: of what is to be predicted, if that is not all: outside it is background for certain.

    Not known is every pixel whose answer may depend on one that is damaged. That does not depend on the tiles: each
    reads all that its answer depends on, and so comes upon the damage itself.
    """

    def __init__(self, source: ImageSource, margin: Sequence[int], where: Where | None = None) -> None:
        self._pixels, self._margin, self.where = _PatchedPixels(source), margin, where
        self.source = ImageSource(source.page, self._pixels)

    @property
    def pieces(self) -> tuple[DamagedPiece, ...]:
        """All that could not be read so far."""
        return tuple(self._pixels.damaged)

    def know(self, piece: DamagedPiece) -> None:
        """Note what another reader of the same image came upon."""
        if all(piece.window != known.window for known in self._pixels.damaged):
            self._pixels.damaged.append(piece)

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be read so far, one message each."""
        return tuple(str(piece) for piece in self._pixels.damaged)

    def unknown(self, window: Window) -> NDArray[np.bool_] | None:
        """(h, w): where the answer for a window that has been read is not known; None where all of it is."""
        near = [self._around(piece.window, window) for piece in self._pixels.damaged]
        if not any(near):
            return None
        unknown = np.zeros(window.shape, dtype=np.bool_)
        for place in near:
            if place is not None:
                unknown[place] = True
        return unknown

    def cleared(self, tile: Predicted) -> Predicted:
        """The tile, for certain background where nothing is known, or nothing to be predicted."""
        unknown, outside = self.unknown(tile.window), self.where.outside(tile.window) if self.where else None
        if unknown is None and outside is None:
            return tile
        background = np.zeros(tile.window.shape, dtype=np.bool_)
        for pixels in (unknown, outside):
            if pixels is not None:
                background |= pixels
        probability, classes = tile.probability.copy(), tile.classes.copy()
        probability[:, background], classes[background] = 0, 0
        probability[0][background] = 1
        return replace(tile, probability=probability, classes=classes)

    def marked(self, window: Window, values: NDArray[Value], value: ArrayLike) -> NDArray[Value]:
        """(h, w) or (h, w, C) values of a window, with `value` where nothing is known."""
        unknown = self.unknown(window)
        if unknown is None:
            return values
        marked = values.copy()
        marked[unknown] = value
        return marked

    def _around(self, piece: Window, window: Window) -> tuple[slice, ...] | None:
        """Where a damaged piece and the margin around it lie in a window."""
        first = [max(a - m, start) for a, m, start in zip(piece.start, self._margin, window.start, strict=True)]
        last = [min(b + m, stop) for b, m, stop in zip(piece.stop, self._margin, window.stop, strict=True)]
        if any(a >= b for a, b in zip(first, last, strict=True)):
            return None
        return tuple(slice(a - s, b - s) for a, b, s in zip(first, last, window.start, strict=True))


class _PatchedPixels:
    """The pixels of a source, 0 in the pieces that it cannot decode."""

    def __init__(self, source: ImageSource) -> None:
        self._source, self.damaged = source, list[DamagedPiece]()
        self.shape, self.channels, self.dtype, self.spacing = (
            source.shape,
            source.channels,
            source.dtype,
            source.spacing,
        )

    def read(self, window: Window) -> NDArray[np.generic]:
        known = next((piece for piece in self.damaged if _meet(piece.window, window)), None)
        if known is None:
            try:
                return self._source.read_stored(window)
            except DamagedPiece as damage:
                self.damaged.append(damage)
                known = damage
        pixels = np.zeros((*window.shape, self.channels), dtype=self.dtype)
        for part in _beside(known.window, window):
            place = Window(*(tuple(np.subtract(corner, window.start).tolist()) for corner in (part.start, part.stop)))
            pixels[place.slices] = self.read(part)
        return pixels


def _meet(one: Window, other: Window) -> bool:
    return all(max(a, c) < min(b, d) for a, b, c, d in zip(one.start, one.stop, other.start, other.stop, strict=True))


def _beside(piece: Window, window: Window) -> Iterator[Window]:
    """The parts of a window above, below, left and right of a piece."""
    (top, left), (bottom, right) = window.start, window.stop
    upper, lower = max(piece.start[0], top), min(piece.stop[0], bottom)
    parts = [
        (top, left, upper, right),
        (lower, left, bottom, right),
        (upper, left, lower, piece.start[1]),
        (upper, piece.stop[1], lower, right),
    ]
    for y, x, last_y, last_x in parts:
        if y < last_y and x < last_x:
            yield Window((y, x), (last_y, last_x))
