"""Regions in one piece through a whole volume: the answers for its slices, mended together, and what that changed.

The slices of a volume at one point in time, as the file's grid has them, are mended as one body (pieces.py): a piece in
one slice goes where it is connected to nothing in its neighbours, and stays where it is. Pages of files without a grid
are mended each by itself.

That takes all of these slices at once: of K classes and C channels of float32 4 · (K + C) + 2 bytes a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.images.grid import Grid
from ushape.images.source import Page, grid_of, open_image
from ushape.metrics.trust import ExpectedDice
from ushape.predict.answer import Answer
from ushape.predict.damage import Readable
from ushape.predict.pieces import Change, changes, in_one_piece
from ushape.predict.predicted import Predicted
from ushape.regions import Region


class VolumePieces:
    """The answers for the pages of one file, each region in one piece; called with the pages in their order.

    answer_for: the same with all pieces. told: what was changed so far, a sentence each.
    """

    def __init__(self, answer_for: Callable[[Page], Answer], file: Sequence[Page], regions: Sequence[Region]) -> None:
        self._answer_for, self._file, self._regions = answer_for, file, regions
        self._grid = grid_of(file[0].path)
        self._mended: dict[Page, Answer] = {}
        self.told: list[str] = []

    def __call__(self, page: Page) -> Answer:
        """Every page can be had once, as all that is held of it is let go of with it."""
        if page not in self._mended:
            self._mend([each for each in self._file if self._moment(each) == self._moment(page)])
        return self._mended.pop(page)

    def _moment(self, page: Page) -> int:
        """What pages share that are one body."""
        return page.index if self._grid is None else page.index // self._grid.shape[2]

    def _mend(self, pages: Sequence[Page]) -> None:
        answers = [self._answer_for(page) for page in pages]
        parts = [list(answer.parts(pixels=True)) for answer in answers]
        classes = np.zeros((len(pages), *answers[0].readable.source.shape), dtype=np.uint8)
        for one, of_page in zip(classes, parts, strict=True):
            for part in of_page:
                one[part.window.slices] = part.classes
        whole = in_one_piece(classes, self._regions)
        self.told += [self._in_words(change, pages) for change in changes(classes, whole, self._regions)]
        for page, answer, of_page, one in zip(pages, answers, parts, whole, strict=True):
            self._mended[page] = _Mended(answer.readable, of_page, one)

    def _in_words(self, change: Change, pages: Sequence[Page]) -> str:
        slices = ", ".join(pages[number].name for number in change.slices)
        return f"{change.in_words()}, in {slices}"


def require_memory(file: Sequence[Page], classes: int, free: int | None) -> None:
    """ImageError where the slices of a volume at one point in time take more than is free, in bytes; None: unknown."""
    grid = grid_of(file[0].path)
    if free is None or grid is None:
        return
    source = open_image(file[0].path, file[0].index)
    wanted = _voxels(grid) * (4 * classes + source.dtype.itemsize * source.channels + 2)
    if wanted > free:
        raise ImageError(
            f"{file[0].path} takes {wanted / 2**30:.1f} GiB to be mended as a whole, and {free / 2**30:.1f} GiB are "
            "free. Have its regions in one piece slice by slice: --pieces-in slices."
        )


def _voxels(grid: Grid) -> int:
    """At one point in time."""
    return math.prod(grid.shape[:3])


class _Mended:
    """The answer for a page, all of it in memory."""

    def __init__(self, readable: Readable, parts: Sequence[Predicted], classes: NDArray[np.uint8]) -> None:
        self.readable, self._parts, self._classes = readable, parts, classes
        sums = ExpectedDice.none(len(parts[0].probability))
        self.expected = sum((ExpectedDice.of(classes[p.window.slices], p.probability) for p in parts), sums)

    def parts(self, *, pixels: bool = False) -> Iterator[Predicted]:
        """All of it; pixels are always there."""
        for part in self._parts:
            yield self.readable.cleared(replace(part, classes=self._classes[part.window.slices]))
