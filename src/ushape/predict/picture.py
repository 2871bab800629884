"""The overlay of an image of any size, collected from its tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ushape.images.source import ImageSource
from ushape.labels import Labels
from ushape.predict.overlay import overlay
from ushape.predict.tiled import Predicted

LARGEST_SIDE = 4096
"""Of a picture, in pixels: beyond, it shows every second, third, … pixel of the image."""


class Picture:
    """What is to be shown of an image and its classes, at full size or thinned to a bounded one."""

    def __init__(self, source: ImageSource) -> None:
        self._step = -(-max(source.shape) // LARGEST_SIDE)
        thinned = tuple(-(-n // self._step) for n in source.shape)
        self._classes = np.zeros(thinned, dtype=np.uint8)
        self._pixels = np.zeros((*thinned, source.channels), dtype=source.dtype)

    def add(self, tile: Predicted) -> None:
        first = [-(-start // self._step) for start in tile.window.start]
        offset = [n * self._step - start for n, start in zip(first, tile.window.start, strict=True)]
        every = tuple(slice(start, None, self._step) for start in offset)
        shown = tile.classes[every]
        place = tuple(slice(start, start + n) for start, n in zip(first, shown.shape, strict=True))
        self._classes[place], self._pixels[place] = shown, tile.pixels[every]

    def drawn(self, labels: Labels) -> NDArray[np.uint8]:
        """(H, W, 3), ready to be saved."""
        return overlay(self._pixels, self._classes, labels)
