"""How sure a class map is of a region, pixel by pixel → the region's contours between the pixels, as smooth polygons.

The contour is where the most probable class of the region and the most probable class outside it are equally probable:
of two classes, the level .5 of the probability. It is drawn by marching squares (Lorensen and Cline 1987, in two
dimensions) and holds the middles of exactly the pixels that the mask has in the region.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

SMOOTHING_PX = 0.5
"""Deviation of the Gaussian that margins are smoothed by, which takes the steps of pixels off the contours of a network
that is sure up to them. Of a circle with a radius of 4 pixels it takes 1.5 % of the area, of larger ones less."""

_LEAST_MARGIN = 0.02  # so that no contour runs within .01 pixels of the middle of one, and may be rounded to that


@dataclass(frozen=True, eq=False)
class SmoothPolygon:
    """One piece of a region: rings of (n, 2) places (y, x) in pixels, (0, 0) the upper left corner of the first one.

    The last place of a ring is followed by its first. `outer` runs clockwise on the screen and holes the other way, as
    those of an `outlines.Polygon`. No ring meets itself or another.
    """

    outer: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...] = ()

    @property
    def area_px(self) -> float:
        """In pixels; holes count off."""
        return sum(signed_area(ring) for ring in (self.outer, *self.holes))


def margin_of(probability: NDArray[np.floating], numbers: Sequence[int]) -> NDArray[np.float32]:
    """(K, h, w) probabilities → (h, w): by how much the most probable class among `numbers` leads the best other one.

    >>> margin_of(np.array([[[0.25]], [[0.5]], [[0.25]]]), (1, 2)).tolist()
    [[0.25]]
    """
    inside = np.isin(np.arange(len(probability)), numbers)
    lead: NDArray[np.float32] = (probability[inside].max(axis=0) - probability[~inside].max(axis=0)).astype(np.float32)
    return lead


def smooth_polygons(margin: NDArray[np.float32], inside: NDArray[np.bool_]) -> list[SmoothPolygon]:
    """(H, W) margins of a region, and the mask that was decided on → its pieces in reading order.

    Where the mask says otherwise than the margin (regions in one piece, holes filled), the mask is right, and the
    contour lies half way between pixels. Pieces touch along edges. At the end of the image a contour ends with it.
    """
    if not inside.any():
        return []
    rings = _rings(_signed(margin, inside))
    pieces, _ = ndimage.label(inside)
    outer: dict[int, NDArray[np.float64]] = {}
    holes: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for ring in rings:
        piece = int(pieces[_pixel_inside(ring[0], inside)])
        if signed_area(ring) > 0:
            outer[piece] = ring + 0.5
        else:
            holes[piece].append(ring + 0.5)
    return [SmoothPolygon(outer[piece], tuple(holes[piece])) for piece in sorted(outer)]


def signed_area(ring: NDArray[np.float64]) -> float:
    """By the shoelace formula; positive where the ring of (y, x) runs clockwise on the screen."""
    y, x = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _signed(margin: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The margin with the mask's sign, smoothed but where that would take away a pixel, or half of one."""
    sign = np.where(inside, 1.0, -1.0)
    agreeing = np.where(margin * sign > 0, margin, sign)
    smooth = ndimage.gaussian_filter(agreeing, SMOOTHING_PX, mode="nearest")
    kept = np.where(smooth * sign > np.abs(agreeing) / 2, smooth, agreeing)
    found: NDArray[np.float64] = sign * np.maximum(np.abs(kept), _LEAST_MARGIN)
    return found


def _rings(field: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Closed contours at 0 as (n, 2) places (y, x) without the first one repeated, whole numbers the middles of pixels.

    Outside the image the field is what it is at the border, negative: contours end half a pixel beyond the border.
    """
    framed = np.pad(field, 1, mode="edge")
    frame = np.ones_like(framed, dtype=bool)
    frame[1:-1, 1:-1] = False
    framed[frame] = -np.abs(framed[frame])
    found = [ring[:-1] - 1 for ring in find_contours(framed, 0.0, fully_connected="low")]
    return [ring if _has_region_on_the_right(ring, field) else ring[::-1] for ring in found]


def _has_region_on_the_right(ring: NDArray[np.float64], field: NDArray[np.float64]) -> bool:
    """Of one that walks the ring on the screen."""
    way = ring[1] - ring[0]
    towards = np.array(_pixel_inside(ring[0], field > 0)) - ring[0]
    return bool(way[1] * towards[0] - way[0] * towards[1] > 0)


def _pixel_inside(place: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Of the two pixels between whose middles a contour passes at `place`, the one in the region."""
    low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
    shape = np.array(inside.shape)
    for pixel in (low, high):
        if (pixel >= 0).all() and (pixel < shape).all() and inside[tuple(pixel)]:
            return int(pixel[0]), int(pixel[1])
    raise AssertionError(f"no pixel of the region beside {place}")
