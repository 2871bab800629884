"""The blocks of an image: windows that are computed one by one, in any order, by whoever has time.

A block is a band's next 4096 rows or so, or some tiles that lie together. Blocks are chosen by the image, the network
and the memory alone, never by who computes them, so that an answer has the same bytes whether one process computes it
at a stretch, goes on after an interruption, or shares it with others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Tile, Window, plan
from ushape.predict.bands import Band, Bands

CHUNK_ROWS = 512
"""Bands are kept on the disk so many rows at a time, while a block is under way; blocks begin with a chunk."""

_LEAST_ROWS = 4096  # of a block in bands, which computes its margin above and below anew: 1.5 % more of a U-Net, 4.5 %
# where it is padded (docs/results.md)
_LEAST_MARGINS = 40  # and as many rows as that times the margin, so that no network computes much more twice
_LEAST_SIDE = 1024  # of a block of tiles, so that small ones do not each become a task


@dataclass(frozen=True)
class Blocks:
    """All blocks of an image, in reading order; each but the last ones of a row or column is a `step` large.

    bands: of an image that passes row by row, else None. keep: the kept size of tiles.
    """

    shape: tuple[int, int]
    step: tuple[int, int]
    footprints: Sequence[Footprint]
    keep: tuple[int, int]
    bands: Bands | None = None

    def __len__(self) -> int:
        down, across = self._counts
        return down * across

    def window(self, number: int) -> Window:
        """The pixels of one block."""
        start = tuple(n * size for n, size in zip(divmod(number, self._counts[1]), self.step, strict=True))
        return Window(start, tuple(min(a + n, size) for a, n, size in zip(start, self.step, self.shape, strict=True)))

    def band(self, number: int) -> Band:
        """The rows of a band that are one block, of an image that passes row by row."""
        assert self.bands is not None, "an image in tiles has no bands"
        (top, _), (bottom, _) = self.window(number).start, self.window(number).stop
        return self.bands.bands[number % self._counts[1]]._replace(top=top, bottom=bottom)

    def tiles(self, number: int) -> Iterator[Tile]:
        """The tiles that are one block."""
        return plan(self.shape, self.footprints, self.keep, within=self.window(number))

    @property
    def chunk(self) -> tuple[int, int]:
        """The size in which answers are kept on the disk: each chunk belongs to one block alone."""
        return (min(CHUNK_ROWS, self.step[0]), self.step[1]) if self.bands is not None else self.step

    @property
    def total(self) -> int:
        """All tiles; of an image that passes row by row, the rows of all its bands."""
        if self.bands is not None:
            return self.shape[0] * len(self.bands.bands)
        return math.prod(-(-size // keep) for size, keep in zip(self.shape, self.keep, strict=True))

    def progress(self, window: Window) -> int:
        """How many of `total` a part of the answer, or a whole block, is."""
        if self.bands is not None:
            return window.shape[0]
        return math.prod(-(-size // keep) for size, keep in zip(window.shape, self.keep, strict=True))

    @property
    def unit(self) -> str:
        """What `total` counts."""
        return "tiles" if self.bands is None else "rows"

    @property
    def _counts(self) -> tuple[int, int]:
        down, across = (-(-size // step) for size, step in zip(self.shape, self.step, strict=True))
        return down, across


def blocks_of_bands(shape: tuple[int, int], footprint: Footprint, bands: Bands) -> Blocks:
    """Each band, cut where that costs little: as many rows at a time as make it worth their margin."""
    least = max(_LEAST_ROWS, _LEAST_MARGINS * footprint.margin)
    grid = math.lcm(CHUNK_ROWS, footprint.multiple)
    rows = -(-least // grid) * grid
    kept = bands.bands[0].last - bands.bands[0].first
    return Blocks(shape, (min(rows, shape[0]), kept), (footprint, footprint), shape, bands)


def blocks_of_tiles(shape: tuple[int, int], footprints: Sequence[Footprint], keep: Sequence[int]) -> Blocks:
    """Tiles with this kept size (brought to the pooling grid), as many together as make a block worth a task."""
    down, across = (max(f.multiple, n // f.multiple * f.multiple) for f, n in zip(footprints, keep, strict=True))
    step = (_together(down, shape[0]), _together(across, shape[1]))
    return Blocks(shape, step, footprints, (down, across))


def _together(keep: int, size: int) -> int:
    return min(keep * -(-_LEAST_SIDE // keep), -(-size // keep) * keep)
