"""Tiles that see a single colour, margin and all, have one answer, which is computed once: the empty ground of slides.

It is the very answer that the network gives for such a tile, so that not a bit of a mask changes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MOST_KEPT = 2
"""Answers, each as large as a tile's: mostly there is one, of the glass or of what was not scanned."""


class OneColour:
    """The answers for tiles of a single colour so far, by one network that does not change; the last are kept."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._answers: dict[tuple[bytes, tuple[int, ...]], NDArray[np.float32]] = {}

    def answer(self, pixels: NDArray[np.generic], compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """What `compute` gives for the (h, w, C) pixels of a tile; of one colour, what it gave before, to be read."""
        colour = pixels[0, 0]
        if not bool((pixels == colour).all()):
            return compute()
        key = colour.tobytes(), pixels.shape
        if key in self._answers:
            return self._answers[key]
        found = compute()
        if self._most:
            found.setflags(write=False)
            self._answers[key] = found
        while len(self._answers) > self._most:
            del self._answers[next(iter(self._answers))]
        return found
