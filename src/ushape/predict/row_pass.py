"""One band of an image, from the top down: its pixels are read ahead, and laid beside the answers that come later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource, read_mirrored
from ushape.predict.bands import Band

_ROWS_READ = 256  # at a time, about: files hold tiles of so many, and each would be unpacked for every few rows

Answer = Callable[[NDArray[np.generic]], NDArray[np.float32] | None]
"""(h, w, C) next rows of pixels → (K, h', w') next rows of the answer, None as long as there are none."""

Part = tuple[Window, NDArray[np.generic], NDArray[np.float32]]
"""A window of the image, its (h, w, C) pixels, and the (K, h, w) answer for it."""


def pass_band(source: ImageSource, band: Band, footprint: Footprint, rows: int, answer: Answer) -> Iterator[Part]:
    """The answer for the band's kept columns, whose windows follow each other from its first kept row to its last."""
    kept, bottom = slice(band.first - band.left, band.last - band.left), band.bottom or source.shape[0]
    top, answered, waiting = footprint.read_for(band.top, bottom, source.shape[0])[0], band.top, Waiting()
    for pixels in read_rows(source, band, footprint, rows):
        waiting.put(pixels[max(0, band.top - top) : max(0, bottom - top), kept])
        top += len(pixels)
        answers = answer(pixels)
        if answers is None:
            continue
        answers = answers[:, : bottom - answered, : band.last - band.first]
        window = Window((answered, band.first), (answered + answers.shape[1], band.last))
        yield window, waiting.taken(answers.shape[1]), answers
        answered = window.stop[0]
        if answered == bottom:
            return


def read_rows(source: ImageSource, band: Band, footprint: Footprint, rows: int) -> Iterator[NDArray[np.generic]]:
    """(h, w, C) pixels of all that the band reads, so many rows at a time; the next are read while these are used."""
    start, stop = footprint.read_for(band.top, band.bottom or source.shape[0], source.shape[0])
    at_once = -(-_ROWS_READ // rows) * rows
    tops = iter(range(start, stop, at_once))

    def read(top: int) -> NDArray[np.generic]:
        return read_mirrored(source, Window((top, band.left), (min(top + at_once, stop), band.right)))

    with ThreadPoolExecutor(1, thread_name_prefix="reading ahead") as reader:
        coming = deque([reader.submit(read, next(tops))])
        while coming:
            pixels = coming.popleft().result()
            coming.extend(reader.submit(read, top) for top in islice(tops, 1))
            for first in range(0, len(pixels), rows):
                yield pixels[first : first + rows]


class Waiting:
    """Rows of pixels whose answers are yet to come."""

    def __init__(self) -> None:
        self._rows: deque[NDArray[np.generic]] = deque()

    def put(self, rows: NDArray[np.generic]) -> None:
        """(h, w, C) pixels, below those that wait already."""
        self._rows.append(rows)

    def taken(self, number: int) -> NDArray[np.generic]:
        """The first so many rows, which wait no more."""
        parts, missing = [], number
        while missing:
            part = self._rows.popleft()
            if len(part) > missing:
                self._rows.appendleft(part[missing:])
            parts.append(part[:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)
