"""Windows of an image, and plans of tiles whose kept parts cover it exactly once (U-Net 2015, Fig. 2).

A network looks at more than it answers for: it reads a window and keeps the inner part. Kept parts are laid side by
side without gap or overlap, and every kept part starts on the network's pooling grid, so that a tile computes what the
whole image would.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ushape.errors import SizeError
from ushape.geometry.footprint import Footprint


@dataclass(frozen=True)
class Window:
    """The pixels start ≤ i < stop along every axis; may stick out of the image on any side.

    >>> Window((-2, 3), (4, 9)).shape
    (6, 6)
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.start) == len(self.stop), (self.start, self.stop)
        assert all(a <= b for a, b in zip(self.start, self.stop, strict=True)), (self.start, self.stop)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """For indexing an array whose first axes are the window's; the window must not stick out at the low side."""
        assert min(self.start, default=0) >= 0, f"{self} has negative starts, which NumPy would count from the end"
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def inside(self, shape: Sequence[int]) -> bool:
        """Whether every pixel lies within an image of this shape."""
        return all(a >= 0 and b <= n for a, b, n in zip(self.start, self.stop, shape, strict=True))

    @staticmethod
    def whole(shape: Sequence[int]) -> Window:
        """All of an image of this shape."""
        return Window((0,) * len(shape), tuple(shape))


@dataclass(frozen=True)
class Tile:
    """One pass of the network: what it reads (may stick out of the image) and what is kept of its answer.

    whole_answer: the network's exact output covers all that is read, in place of beginning at the first kept pixel.
    """

    read: Window
    keep: Window
    whole_answer: bool = False

    @property
    def kept_of_read(self) -> tuple[slice, ...]:
        """Where the kept part lies in what the tile reads."""
        starts = [keep - read for keep, read in zip(self.keep.start, self.read.start, strict=True)]
        return tuple(slice(start, start + size) for start, size in zip(starts, self.keep.shape, strict=True))

    @property
    def kept_of_output(self) -> tuple[slice, ...]:
        """Where the kept part lies in the network's exact output."""
        return self.kept_of_read if self.whole_answer else tuple(slice(0, n) for n in self.keep.shape)


def plan(
    shape: Sequence[int], footprints: Sequence[Footprint], keep: Sequence[int], within: Window | None = None
) -> Iterator[Tile]:
    """Tiles in reading order, whose kept parts partition an image of this shape, or the part of it `within`, which
    begins where a tile begins.

    `keep` is the wanted size of a kept part per axis; it is brought to the nearest size below that lies on the pooling
    grid. No tile is larger than the image needs. Raises SizeError for an image without pixels.
    """
    if min(shape) < 1:
        raise SizeError(f"An image of shape {tuple(shape)} has no pixels; every side must be at least 1.")
    part = within or Window.whole(shape)
    axes = [
        list(_along_axis(size, footprint, wanted, first, stop))
        for size, footprint, wanted, first, stop in zip(shape, footprints, keep, part.start, part.stop, strict=True)
    ]
    for parts in product(*axes):
        reads, keeps = zip(*parts, strict=True)
        yield Tile(
            read=Window(tuple(a for a, _ in reads), tuple(b for _, b in reads)),
            keep=Window(tuple(a for a, _ in keeps), tuple(b for _, b in keeps)),
            whole_answer=footprints[0].sees_edges,
        )


def mirrored(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices into an axis of `size` pixels that extend it by mirroring, the border pixel not repeated.

    >>> mirrored(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if size == 1:
        return np.zeros(stop - start, dtype=np.intp)
    period = 2 * (size - 1)
    phase = np.arange(start, stop, dtype=np.intp) % period
    return np.minimum(phase, period - phase)


def _along_axis(
    size: int, footprint: Footprint, wanted: int, begin: int, end: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    step = max(footprint.multiple, wanted // footprint.multiple * footprint.multiple)
    for first in range(begin, end, step):
        last = min(first + step, size)
        yield footprint.read_for(first, last, size), (first, last)


def keep_within(pixels: int, footprints: Sequence[Footprint]) -> tuple[int, ...]:
    """The largest equal kept size per axis whose read window has at most this many pixels (at least one grid step).

    >>> from ushape.geometry.footprint import Footprint
    >>> keep_within(572 * 572, [Footprint(margin=92, multiple=16, smallest_input=188)] * 2)
    (384, 384)
    """
    side = math.floor(pixels ** (1 / len(footprints)) + 1e-9)
    sizes = []
    for footprint in footprints:
        steps = 1
        while footprint.input_for((steps + 1) * footprint.multiple) <= side:
            steps += 1
        sizes.append(steps * footprint.multiple)
    return tuple(sizes)


def keep_within_image(pixels: int, footprints: Sequence[Footprint], shape: Sequence[int]) -> tuple[int, ...]:
    """The same for networks that see the edges of an image of this shape, whose tiles read no farther: its whole sides
    where these are few enough pixels.

    >>> from ushape.geometry.footprint import Footprint
    >>> sees_far = [Footprint(margin=640, multiple=32, smallest_input=32, padded=True, sees_edges=True)] * 2
    >>> keep_within_image(512 * 512, sees_far, (500, 300)), keep_within_image(700 * 700, sees_far, (2000, 100))
    ((512, 320), (2016, 128))
    """
    whole = [footprint.nearest_legal(size)[1] for size, footprint in zip(shape, footprints, strict=True)]

    def keep(steps: int) -> tuple[int, ...]:
        return tuple(min(steps * f.multiple, most) for f, most in zip(footprints, whole, strict=True))

    most_steps = max(-(-n // f.multiple) for n, f in zip(whole, footprints, strict=True))
    fitting = bisect_right(range(1, most_steps + 1), pixels, key=lambda n: largest_read(shape, footprints, keep(n)))
    return keep(max(1, fitting))


def largest_read(shape: Sequence[int], footprints: Sequence[Footprint], keep: Sequence[int]) -> int:
    """How many pixels the largest tile of such a plan reads.

    >>> from ushape.geometry.footprint import Footprint
    >>> largest_read((512,), [Footprint(margin=92, multiple=16, smallest_input=188)], (384,))
    572
    """
    windows = [
        [stop - start for (start, stop), _ in _along_axis(size, footprint, wanted, 0, size)]
        for size, footprint, wanted in zip(shape, footprints, keep, strict=True)
    ]
    return math.prod(max(sizes) for sizes in windows)
