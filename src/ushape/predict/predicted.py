"""One part of the answer for an image, and what stands for parts of which nothing was computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource


@dataclass(frozen=True)
class Predicted:
    """(K, h, w) float32 probabilities and (h, w) class numbers for a window of the image.

    pixels: the window's (h, w, C) own, as they are in the file. done, total: tiles, or rows, as `unit` says.
    """

    window: Window
    pixels: NDArray[np.generic]
    probability: NDArray[np.float32]
    classes: NDArray[np.uint8]
    done: int
    total: int
    unit: str = "tiles"


def background(classes: int, window: Window) -> NDArray[np.float32]:
    """(K, h, w) probabilities of what is background for certain."""
    probability = np.zeros((classes, *window.shape), dtype=np.float32)
    probability[0] = 1
    return probability


def no_pixels(source: ImageSource, window: Window) -> NDArray[np.generic]:
    """(h, w, C) zeros of the image's type, which take no memory."""
    return np.broadcast_to(np.zeros((), source.dtype), (*window.shape, source.channels))
