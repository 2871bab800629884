"""Ellipses that compete for pixels, and the smooth noise that bends them: the ground plan of a simulated micrograph.

Places are in pixels on a warped grid (`warped_grid`), so that straight borders there are bent ones in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float64]
Owners = NDArray[np.intp]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class Seeds:
    """Ellipses, each the centre of a territory; every field has one number per ellipse."""

    y: Field
    x: Field
    radius_px: Field
    slenderness: Field  # long axis / short axis; the area is that of a circle of radius_px
    angle: Field  # of the long axis, in radians

    @property
    def count(self) -> int:
        return len(self.y)

    def local(self, k: int | Owners, y: Field, x: Field) -> tuple[Field, Field]:
        """Places in units of ellipse k's half axes, along the long one and along the short one."""
        cos, sin, stretch = np.cos(self.angle[k]), np.sin(self.angle[k]), np.sqrt(self.slenderness[k])
        dy, dx = (y - self.y[k]) / self.radius_px[k], (x - self.x[k]) / self.radius_px[k]
        return (cos * dx + sin * dy) / stretch, (cos * dy - sin * dx) * stretch

    def chosen(self, which: Sequence[int] | Owners | Truths | slice) -> Seeds:
        return Seeds(self.y[which], self.x[which], self.radius_px[which], self.slenderness[which], self.angle[which])

    def apart(self, spacing: float) -> Seeds:
        """In the same order, without those nearer to an earlier one than `spacing` times the sum of the two radii."""
        kept: list[int] = []
        for k in range(self.count):
            gap_px = np.hypot(self.y[kept] - self.y[k], self.x[kept] - self.x[k])
            if np.all(gap_px > spacing * (self.radius_px[kept] + self.radius_px[k])):
                kept.append(k)
        return self.chosen(kept)


def territories(seeds: Seeds, y: Field, x: Field, *, reach: float) -> tuple[Owners, Field]:
    """The ellipse nearest to each place, or -1 beyond the reach of all; how near: 0 at its centre, 1 on its outline."""
    owner = np.full(y.shape, -1, dtype=np.intp)
    nearest = np.full(y.shape, reach)
    rows, columns = np.arange(y.shape[0])[:, None], np.arange(y.shape[1])
    bent_px = np.abs(y - rows).max(), np.abs(x - columns).max()
    for k in range(seeds.count):
        half_px = reach * seeds.radius_px[k] * np.sqrt(seeds.slenderness[k])
        box = tuple(
            slice(max(0, int(centre - half_px - bent)), max(0, int(centre + half_px + bent) + 2))
            for centre, bent in zip((seeds.y[k], seeds.x[k]), bent_px, strict=True)
        )
        distance = np.hypot(*seeds.local(k, y[box], x[box]))
        closer = distance < nearest[box]
        nearest[box][closer] = distance[closer]
        owner[box][closer] = k
    return owner, nearest


def largest_pieces(owner: Owners, *, smallest_area_px: float) -> NDArray[np.uint16]:
    """Instances 1, 2, … without gaps: the largest connected piece of every territory, where it is large enough."""
    instances = np.zeros(owner.shape, dtype=np.uint16)
    found = 0
    for k, box in enumerate(ndimage.find_objects(owner + 1)):
        if box is None:
            continue
        pieces, _ = ndimage.label(owner[box] == k)
        areas_px = np.bincount(pieces.ravel())[1:]
        if areas_px.max() >= smallest_area_px:
            found += 1
            instances[box][pieces == 1 + areas_px.argmax()] = found
    return instances


def depth_px(owner: Owners) -> Field:
    """Pixels from each place to the nearest border of its territory; 0.5 beside it."""
    beside = np.zeros(owner.shape, dtype=bool)
    across, down = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= down
    beside[:-1] |= down
    if not beside.any():
        return np.full(owner.shape, float(max(owner.shape)))
    depth: Field = ndimage.distance_transform_edt(~beside) + 0.5
    return depth


def sealed(inside: Truths) -> Truths:
    """Less of `inside`, so that no two pixels touch by a corner alone: its pieces are the same at 4 and 8 neighbours.

    >>> sealed(np.array([[True, False], [False, True]])).tolist()
    [[False, False], [False, True]]
    """
    inside = inside.copy()
    a, b, c, d = inside[:-1, :-1], inside[:-1, 1:], inside[1:, :-1], inside[1:, 1:]
    while True:
        falling, rising = a & d & ~b & ~c, b & c & ~a & ~d
        if not (falling | rising).any():
            return inside
        a[falling] = False
        b[rising] = False


def without_specks(inside: Truths, *, smallest_area_px: int) -> Truths:
    """Less of `inside`: only pieces of 4-neighbours that have at least this many pixels."""
    pieces, _ = ndimage.label(inside)
    large = np.bincount(pieces.ravel()) >= smallest_area_px
    large[0] = False
    kept: Truths = large[pieces]
    return kept


def smooth_noise(rng: np.random.Generator, height_width: tuple[int, int], scale_px: float) -> Field:
    """Mean 0, deviation about 1, smooth: a cubic B-spline through random numbers on a grid of scale_px."""
    splines = []
    for size in height_width:
        place = rng.random() + np.arange(size) / scale_px
        knot = place.astype(int)[:, None] + np.arange(4)
        away = np.abs(knot - 1 - place[:, None])
        weight = np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6)
        spline = np.zeros((size, int(knot.max()) + 1))
        np.put_along_axis(spline, knot, weight, axis=1)
        splines.append(spline)
    rows, columns = splines
    variance = 151 / 315  # of one axis: the squared weights of a cubic B-spline, summed and averaged over places
    noise: Field = rows @ rng.normal(0, 1, (rows.shape[1], columns.shape[1])) @ columns.T / variance
    return noise


def warped_grid(
    rng: np.random.Generator, height_width: tuple[int, int], waves_px: Sequence[tuple[float, float]]
) -> tuple[Field, Field]:
    """y and x of every pixel, displaced by smooth noise of the given (length, amplitude) pairs."""
    y, x = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in height_width), indexing="ij")
    for length_px, amplitude_px in waves_px:
        y = y + amplitude_px * smooth_noise(rng, height_width, length_px)
        x = x + amplitude_px * smooth_noise(rng, height_width, length_px)
    return y, x
