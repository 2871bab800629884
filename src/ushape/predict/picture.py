"""The overlay of an image of any size, collected from its tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ushape.data.borders import separated
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource
from ushape.labels import Labels
from ushape.predict.overlay import overlay
from ushape.predict.predicted import Predicted

LARGEST_SIDE = 4096
"""Of a picture, in pixels: beyond, it shows every second, third, … pixel of the image."""


class Picture:
    """What is to be shown of an image and its classes, at full size or thinned to a bounded one."""

    def __init__(self, source: ImageSource) -> None:
        self._step = -(-max(source.shape) // LARGEST_SIDE)
        thinned = tuple(-(-n // self._step) for n in source.shape)
        self._classes = np.zeros(thinned, dtype=np.uint8)
        self._pixels = np.zeros((*thinned, source.channels), dtype=source.dtype)
        self._objects: NDArray[np.uint32] | None = None

    def add(self, tile: Predicted) -> None:
        every, place = self._shown(tile.window)
        self._classes[place], self._pixels[place] = tile.classes[every], tile.pixels[every]

    def add_objects(self, window: Window, numbers: NDArray[np.unsignedinteger]) -> None:
        """Where objects are told apart: they are drawn in place of the classes, a line between those that touch."""
        if self._objects is None:
            self._objects = np.zeros(self._classes.shape, dtype=np.uint32)
        every, place = self._shown(window)
        self._objects[place] = numbers[every]

    def drawn(self, labels: Labels) -> NDArray[np.uint8]:
        """(H, W, 3), ready to be saved."""
        classes = self._classes if self._objects is None else (separated(self._objects) > 0).astype(np.uint8)
        return overlay(self._pixels, classes, labels)

    def _shown(self, window: Window) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Which pixels of a window are shown, and where."""
        first = [-(-start // self._step) for start in window.start]
        last = [-(-stop // self._step) for stop in window.stop]
        offset = [n * self._step - start for n, start in zip(first, window.start, strict=True)]
        every = tuple(slice(start, None, self._step) for start in offset)
        return every, tuple(slice(start, stop) for start, stop in zip(first, last, strict=True))
