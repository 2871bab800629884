"""Truth and answer → how many pixels are wrong, by how far they lie from the true border, inside and outside.

The border runs between pixels: the two on either side of it lie half a pixel away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ushape.labels import IGNORED

EDGES_PX = (1, 2, 4, 8, 16)
"""Between one band and the next: 0 to 1 pixel from the border, 1 to 2, …, and all beyond."""

BANDS = len(EDGES_PX) + 1


@dataclass(frozen=True, eq=False)
class BandErrors:
    """(2, BANDS) numbers of pixels and of wrong ones: outside the objects, then inside, each from the border away."""

    pixels: NDArray[np.int64]
    errors: NDArray[np.int64]

    @property
    def rates(self) -> NDArray[np.float64]:
        """The share of wrong pixels, NaN where a band has none."""
        with np.errstate(invalid="ignore"):
            return self.errors / self.pixels

    def __add__(self, other: BandErrors) -> BandErrors:
        return BandErrors(self.pixels + other.pixels, self.errors + other.errors)


def band_errors(truth: NDArray[np.uint8], answer: NDArray[np.uint8]) -> BandErrors:
    """Of (H, W) class numbers: what is wrong in each band. Ignored pixels are in none.

    >>> truth, answer = np.zeros((2, 1, 8), dtype=np.uint8)
    >>> truth[:, 4:] = 1
    >>> answer[:, 5:] = 1
    >>> band_errors(truth, answer).errors[1].tolist(), band_errors(truth, answer).pixels[1].tolist()
    ([1, 0, 0, 0, 0, 0], [1, 1, 2, 0, 0, 0])
    """
    distance_px = border_distance(truth)
    band = np.searchsorted(EDGES_PX, distance_px, side="right")
    places = np.where(truth == 0, band, BANDS + band)
    counted, wrong = truth != IGNORED, (truth != IGNORED) & (truth != answer)
    pixels, errors = (np.bincount(places[chosen], minlength=2 * BANDS) for chosen in (counted, wrong))
    return BandErrors(pixels.reshape(2, BANDS), errors.reshape(2, BANDS))


def border_distance(truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W) class numbers → pixels from each pixel's centre to the nearest border, whatever lies beyond it.

    Infinite where there is no other class, and for ignored pixels, which are no border either.

    >>> border_distance(np.array([[0, 0, 0, 1]], dtype=np.uint8)).tolist()
    [[2.5, 1.5, 0.5, 0.5]]
    """
    distance_px = np.full(truth.shape, math.inf)
    for number in np.unique(truth[truth != IGNORED]):
        others = (truth != number) & (truth != IGNORED)
        if others.any():
            here = truth == number
            distance_px[here] = ndimage.distance_transform_edt(~others)[here] - 0.5
    return distance_px


def band_names() -> tuple[str, ...]:
    """What the bands are called, from the border away.

    >>> band_names()[0], band_names()[-1]
    ('0–1 px', 'over 16 px')
    """
    starts = (0, *EDGES_PX[:-1])
    return (*(f"{a}–{b} px" for a, b in zip(starts, EDGES_PX, strict=True)), f"over {EDGES_PX[-1]} px")
