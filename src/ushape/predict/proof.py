"""Shows on one's own image that the tile size never changes the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import SizeError
from ushape.images.source import ImageSource
from ushape.predict.tile_memory import bytes_per_pixel, pass_bytes
from ushape.predict.tiled import Predictor

LARGEST_DIFFERENCE = 1e-5
"""What float32 may differ by between tilings, in probability: rounding, summed in another order."""

_PARTS = (2, 3, 7)  # into which the longer side of the image is cut


@dataclass(frozen=True)
class Compared:
    """One tiling against the whole image in one pass. keep_px: of its tiles; 0 of bands that pass row by row.

    ties: pixels whose two most probable classes are equally so but for rounding, and were decided otherwise.
    """

    keep_px: int
    tiles: int
    largest_difference: float
    flipped_labels: int
    ties: int = 0

    @property
    def holds(self) -> bool:
        return self.largest_difference <= LARGEST_DIFFERENCE and self.flipped_labels == 0


def prove(predictor: Predictor, source: ImageSource) -> Iterator[Compared]:
    """The image in one pass, then in tiles of up to three sizes, and row by row where it would be predicted so, each
    compared with the pass.

    Raises SizeError where the pass would take more than the predictor's memory. bfloat16 promises no such agreement.
    """
    _require_memory(predictor, source)
    multiple = max(footprint.multiple for footprint in predictor.footprints)
    longest = -(-max(source.shape) // multiple) * multiple
    whole = predictor.with_keep(longest).whole(source)
    for keep_px in sorted({max(multiple, longest // parts // multiple * multiple) for parts in _PARTS}, reverse=True):
        yield _compared(predictor.with_keep(keep_px), source, whole, keep_px)
    if predictor.goes_by_rows(source):
        yield _compared(predictor.with_keep(None), source, whole, 0)


def _compared(
    predictor: Predictor, source: ImageSource, whole: tuple[NDArray[np.uint8], NDArray[np.float32]], keep_px: int
) -> Compared:
    classes, probability = whole
    difference, flipped, ties, windows = 0.0, 0, 0, set[tuple[int, ...]]()
    for part in predictor.tiles(source):
        place = part.window.slices
        difference = max(difference, float(np.abs(part.probability - probability[:, *place]).max()))
        other = part.classes != classes[place]
        if other.any():
            second, first = np.sort(probability[:, *place][:, other], axis=0)[-2:]
            tied = int(np.count_nonzero(first - second <= 2 * LARGEST_DIFFERENCE))
            flipped, ties = flipped + int(np.count_nonzero(other)) - tied, ties + tied
        windows.add(part.window.start if keep_px else part.window.start[1:])
    return Compared(keep_px, len(windows), difference, flipped, ties)


def _require_memory(predictor: Predictor, source: ImageSource) -> None:
    model = predictor.trained.model
    sides = [footprint.input_for(n) for footprint, n in zip(model.footprints, source.shape, strict=True)]
    needed = math.prod(sides) * bytes_per_pixel(model) if len(sides) == 2 else pass_bytes(model, sides)
    if needed > predictor.memory_bytes:
        raise SizeError(
            f"{source.page} has {' x '.join(map(str, source.shape))} pixels; the proof takes one pass over all of "
            f"them, about {needed / 2**30:.1f} GiB of memory, and {predictor.memory_bytes / 2**30:.1f} GiB are "
            "allowed. "
            "Allow more with --memory, or cut a part out of the image: the proof is as good on that."
        )
