"""The thickness of the wall in the 17 segments of the American Heart Association (Cerqueira et al. 2002, Circulation
105:539).

In each slice that shows cavity and wall, rays run from the middle of the cavity; the thickness along a ray is the
length of wall that it crosses. A segment's is the mean over its rays and over the slices of its level; NaN where fewer
than half of the rays meet a wall. Segment 17, the cap beyond the cavity, cannot be measured in short-axis slices and is
NaN.

Directions: the right ventricle says where the septum is. The anterior wall follows the septum clockwise in images that
are seen from the apex, as usual, and counter-clockwise from the base; masks cannot show it, a volume's geometry can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ushape.cardiac.levels import Level
from ushape.cardiac.ventricle import Mask, Ventricle

SEGMENTS = 17

_RAYS = 360
_STEPS_PER_PIXEL = 4
_LEAST_SHARE = 0.5  # of a segment's rays that must meet a wall
_NEAR_PX = 3  # a right ventricle so near borders on the wall
_DEFAULT_SEPTUM = 180.0  # degrees: at the left of the image

# First segment of a level, how many it has, and where the first one's middle lies: the anterior wall, at 90 degrees
_RINGS: dict[Level, tuple[int, int]] = {"base": (1, 6), "mid": (7, 6), "apex": (13, 4)}
ANTERIOR = 90.0


def septum_degrees(ventricle: Ventricle) -> float | None:
    """Where the middle of the septum lies, seen from the middle of the cavity; None without a right ventricle.

    Degrees run counter-clockwise on the screen from its right. In each slice the septum is where the right ventricle
    borders on the wall, and its middle is half way between the two insertions; the mean over slices is taken.
    """
    if ventricle.right_ventricle is None:
        return None
    middles = []
    for endo, outer, right in zip(ventricle.endocardium, ventricle.outer, ventricle.right_ventricle, strict=True):
        near = right & ndimage.binary_dilation(outer, iterations=_NEAR_PX)
        if endo.any() and near.any():
            y, x = np.nonzero(near)
            middles.append(_middle_of_arc(_degrees(y, x, *_middle(endo), ventricle.pixel_mm or (1.0, 1.0))))
    return _circular_mean(middles) if middles else None


def thickness(
    ventricle: Ventricle, levels: Sequence[Level | None], septum: float | None, *, from_base: bool = False
) -> list[float]:
    """(17,) mean thickness of each segment, the first one first: mm, or pixels where their size is not known.

    septum: of `septum_degrees`; where None, segments are numbered as if it were at the left. from_base: whether who
    looks at the slices looks from the base to the apex.
    """
    found = [math.nan] * SEGMENTS
    if ventricle.epicardium is None:
        return found
    as_usual = np.arange(_RAYS) * 360 / _RAYS  # seen from the apex, the septum at the left
    from_septum = as_usual - _DEFAULT_SEPTUM
    turned = (_DEFAULT_SEPTUM if septum is None else septum) + (-from_septum if from_base else from_septum)
    for level, (first, count) in _RINGS.items():
        slices = [n for n, of in enumerate(levels) if of == level and ventricle.endocardium[n].any()]
        if not slices:
            continue
        crossed = np.array([_along_rays(ventricle, number, turned) for number in slices])
        # Segments follow each other counter-clockwise, the middle of the first at the anterior wall
        of_ray = np.floor(((as_usual - ANTERIOR) * count / 360 + 0.5) % count).astype(int)
        for segment in range(count):
            rays = crossed[:, of_ray == segment]
            if np.mean(rays > 0) >= _LEAST_SHARE:
                found[first - 1 + segment] = float(rays[rays > 0].mean())
    return found


def _along_rays(ventricle: Ventricle, number: int, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rays,) the length of wall along each ray of a slice."""
    assert ventricle.epicardium is not None
    endo, pixel = ventricle.endocardium[number], ventricle.pixel_mm or (1.0, 1.0)
    wall = ventricle.epicardium[number] & ~endo
    middle, step = _middle(endo), min(pixel) / _STEPS_PER_PIXEL
    longest = math.hypot(*(n * side for n, side in zip(wall.shape, pixel, strict=True)))
    along = (np.arange(int(longest / step)) + 0.5) * step
    angle = np.radians(degrees)[:, None]
    y = np.round(middle[0] - along * np.sin(angle) / pixel[0]).astype(int)
    x = np.round(middle[1] + along * np.cos(angle) / pixel[1]).astype(int)
    inside = (y >= 0) & (y < wall.shape[0]) & (x >= 0) & (x < wall.shape[1])
    met = inside & wall[np.where(inside, y, 0), np.where(inside, x, 0)]
    lengths: NDArray[np.float64] = met.sum(axis=1) * step
    return lengths


def _middle(mask: Mask) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    return float(y.mean()), float(x.mean())


def _degrees(
    y: NDArray[np.intp], x: NDArray[np.intp], from_y: float, from_x: float, pixel: tuple[float, float]
) -> NDArray[np.float64]:
    """Directions on the screen, where y points down."""
    found: NDArray[np.float64] = np.degrees(np.arctan2(-(y - from_y) * pixel[0], (x - from_x) * pixel[1])) % 360
    return found


def _middle_of_arc(degrees: NDArray[np.float64]) -> float:
    """Half way between the ends of the smallest arc that holds all of them."""
    ordered = np.sort(degrees)
    gaps = np.diff([*ordered, ordered[0] + 360])
    widest = int(gaps.argmax())
    begin, length = ordered[(widest + 1) % len(ordered)], 360 - gaps[widest]
    return float(begin + length / 2) % 360


def _circular_mean(degrees: Sequence[float]) -> float:
    angles = np.radians(degrees)
    return float(np.degrees(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean()))) % 360
