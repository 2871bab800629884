"""What a file format gives: the header of an image, and the pixels of its windows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ushape.geometry.tiles import Window


class Pixels(Protocol):
    """An image of shape (H, W), or a volume of shape (D, H, W); spacing in micrometres along each axis, if known."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def channels(self) -> int: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...

    @property
    def spacing(self) -> tuple[float, ...] | None: ...

    def read(self, window: Window) -> NDArray[np.generic]:
        """(…, C) pixels of a window inside the image."""
