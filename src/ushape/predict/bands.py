"""How an image passes through a network row by row: in bands of columns, as wide as the memory allows.

Only at the sides of a band is anything computed twice; an image as narrow as one band is computed once, whatever its
height. Memory depends on the width of a band and on the rows that are pushed at a time, not on the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ushape.errors import RecipeError
from ushape.models.segmenter import Segmenter
from ushape.predict.row_layers import NotByRows
from ushape.predict.row_stream import MeasuredStream, RowStream

_LEAST_ROWS = 32  # at a time: fewer, and layers spend their time on being called
_GOOD_STEPS = 4  # of the grid, at a time: then the lowest level too makes whole tiles of minimal filtering
_GOOD_PIXELS = 3 << 16  # at a time, where the band is narrow: filters of the lowest level are read less often
_BYTES = 4  # of a float32


class Band(NamedTuple):
    """The kept columns first ≤ x < last of an image, and the columns that are read for them.

    top, bottom: the kept rows, where not all are.
    """

    first: int
    last: int
    left: int
    right: int
    top: int = 0
    bottom: int | None = None


@dataclass(frozen=True)
class Bands:
    """All bands of an image. rows: pushed at a time. bytes: about what a pass takes of memory, beyond the weights."""

    bands: tuple[Band, ...]
    rows: int
    bytes: int


class BandPlanner:
    """Plans for one network; what it takes is measured once, on maps without values."""

    def __init__(self, model: Segmenter) -> None:
        self._model, self._footprint = model, model.footprint

    @staticmethod
    def of(model: Segmenter) -> BandPlanner:
        """The planner of this network, kept as long as the network."""
        if model not in _PLANNERS:
            _PLANNERS[model] = BandPlanner(model)
        return _PLANNERS[model]

    @cached_property
    def possible(self) -> bool:
        """Whether the network can be passed row by row, and does not see the edges of the image."""
        if self._footprint.sees_edges:
            return False
        try:
            RowStream(self._model, self._footprint.smallest_input, outline=True)
        except NotByRows:
            return False
        return True

    @cached_property
    def least_bytes(self) -> int:
        """What the narrowest band takes."""
        return self._bytes(self._footprint.input_for(self._footprint.multiple), self._least_rows)

    def plan(self, shape: tuple[int, int], memory_bytes: int) -> Bands:
        """The bands of an image of this shape: as few as fit into the memory, as wide as each other.

        RecipeError where the memory is too little for the narrowest.
        """
        self.require(memory_bytes)
        height, width = shape
        kept = self._even(width, self._widest(width, memory_bytes))
        while self._bytes(self._read(kept, width), self._least_rows) > memory_bytes:  # the measure is not quite a line
            kept = self._even(width, kept - self._footprint.multiple)
        bands = [self._band(first, min(first + kept, width), width) for first in range(0, width, kept)]
        read = self._read(kept, width)
        for rows in (self._good_rows(read, height), self._least_rows):
            taken = self._bytes(read, rows)
            if taken <= memory_bytes:
                break
        return Bands(tuple(bands), rows, taken)

    def require(self, memory_bytes: int) -> None:
        """RecipeError where the memory is too little for the narrowest band."""
        if memory_bytes < self.least_bytes:
            raise RecipeError(
                f"{memory_bytes / 2**20:.0f} MiB are too little for this network: the narrowest band, "
                f"{self._footprint.input_for(self._footprint.multiple)} pixels wide, takes about "
                f"{math.ceil(self.least_bytes / 2**20)} MiB. Allow at least that."
            )

    def _band(self, first: int, last: int, width: int) -> Band:
        return Band(first, last, *self._footprint.read_for(first, last, width))

    def _read(self, kept: int, width: int) -> int:
        """How many columns the first band reads, which reads the most."""
        band = self._band(0, min(kept, width), width)
        return band.right - band.left

    def _even(self, width: int, most: int) -> int:
        """How many columns bands keep, no more than `most`, so that all are about as wide."""
        grid = self._footprint.multiple
        return -(-width // (-(-width // max(grid, most)) * grid)) * grid

    def _good_rows(self, read: int, height: int) -> int:
        """More than the least, and the more the narrower a band is, though no more than the image has."""
        step = max(self._least_rows, _GOOD_STEPS * self._footprint.multiple)
        most = -(-self._footprint.input_for(height) // step)
        return min(max(1, _GOOD_PIXELS // (read * step)), most) * step

    def _widest(self, width: int, memory_bytes: int) -> int:
        """The most columns that a band may keep: whole steps of the grid, no more than an image this wide asks for."""
        grid, narrowest = self._footprint.multiple, self._footprint.input_for(self._footprint.multiple)
        base, per_pixel = self._line
        steps = 1 + int((memory_bytes - base) / per_pixel - narrowest) // grid
        return max(1, min(steps, -(-width // grid))) * grid

    @cached_property
    def _line(self) -> tuple[float, float]:
        """The bytes of a band of read width w are base + per_pixel · w: maps are as wide as the image, and a little."""
        narrow = self._footprint.input_for(self._footprint.multiple)
        wide = narrow + 64 * self._footprint.multiple
        few, many = (self._bytes(width, self._least_rows) for width in (narrow, wide))
        per_pixel = (many - few) / (wide - narrow)
        return few - per_pixel * narrow, per_pixel

    @property
    def _least_rows(self) -> int:
        return -(-_LEAST_ROWS // self._footprint.multiple) * self._footprint.multiple

    def _bytes(self, width: int, rows: int) -> int:
        """Of one band that reads this many columns, when all layers have begun to answer."""
        stream = MeasuredStream(self._model, width)
        pushed, answered = 0, 0
        while answered < 2 and pushed < 2 * self._footprint.smallest_input + 2 * rows:
            answered += stream.push_rows(rows) > 0
            pushed += rows
        ends = self._model.in_channels + self._model.classes  # the image, and the answer with what becomes of it
        return _BYTES * (stream.most_elements + 4 * ends * rows * width)


_PLANNERS: WeakKeyDictionary[Segmenter, BandPlanner] = WeakKeyDictionary()
