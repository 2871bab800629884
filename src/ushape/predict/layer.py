"""Windows of a volume → its mask: a layer of tiles is gathered, and its slices are written one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ushape.geometry.tiles import Window


class SliceSink(Protocol):
    """Where the windows of one slice go."""

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None: ...


class LayerSink:
    """The sink of a whole volume, in which tiles come in reading order; a context manager.

    open_slice: from the number of a slice to the sink of it, called in ascending order. Of a kind of mask that holds a
    slice in memory until it is complete, as many slices are held as a tile keeps.
    """

    def __init__(
        self, open_slice: Callable[[int], AbstractContextManager[SliceSink]], plane_shape: tuple[int, int]
    ) -> None:
        self._open_slice, self._pixels = open_slice, math.prod(plane_shape)
        self._open: dict[int, tuple[AbstractContextManager[SliceSink], SliceSink]] = {}
        self._missing: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        """(d, h, w) or (d, h, w, C) values of the mask's own type where the window lies."""
        plane = Window(window.start[1:], window.stop[1:])
        for number, values in zip(range(window.start[0], window.stop[0]), pixels, strict=True):
            if number not in self._open:
                held = self._open_slice(number)
                self._open[number] = held, held.__enter__()
                self._missing[number] = self._pixels
            self._open[number][1].write(plane, values)
            self._missing[number] -= math.prod(plane.shape)
        for number in [n for n in self._open if self._missing[n] == 0]:
            self._open.pop(number)[0].__exit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for held, _ in self._open.values():
            held.__exit__(kind, error, trace)
