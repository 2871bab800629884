"""Two readers' contours, slice by slice and as surfaces: Dice, average perpendicular distance, good contours.

As in the left-ventricle challenge of MICCAI 2009 (Radau et al., The MIDAS Journal, hdl.handle.net/10380/3070): the
average perpendicular distance (APD) is that of the automatic contour from the manual one, over all of the automatic
contour; a contour is good where it is below 5 mm; and the share of good contours is of all that were drawn by hand, so
that one that the program did not find counts as not good. For APD a contour is the polygon half way between the pixels
inside a mask and those outside; HD, HD95 and ASSD are those of metrics/boundary.py, "deepmind". Between two circles
that are 1 to 8 pixels apart, drawn as masks, APD is .05 to .16 pixels less than the difference of their radii.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from ushape.cardiac.levels import Level
from ushape.cardiac.ventricle import Mask, Ventricle
from ushape.metrics.boundary import SurfaceDistances

_SHARES = (0.125, 0.375, 0.625, 0.875)  # of a polygon's side, where its distance is taken

GOOD_MM = 5.0
"""A contour whose APD is below is good."""

Drawn = Literal["both", "manual only", "predicted only"]


@dataclass(frozen=True)
class SliceScores:
    """The contour of one region in one slice; distances in mm, or in pixels where `in_mm` is False, NaN of one alone.

    slice: its number in the stack, from 1. level: None beyond the manual ventricle.
    """

    region: str
    slice: int
    level: Level | None
    drawn: Drawn
    in_mm: bool
    dice: float
    apd: float
    hd: float
    hd95: float
    assd: float

    @property
    def good(self) -> bool | None:
        """None where nothing was drawn by hand, or where millimetres are not known."""
        if self.drawn == "predicted only" or not self.in_mm:
            return None
        return self.drawn == "both" and self.apd < GOOD_MM


@dataclass(frozen=True)
class VolumeScores:
    """A region as a whole: Dice of all voxels; distances between the surfaces, NaN where voxels have no known size."""

    region: str
    dice: float
    hd_mm: float
    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True)
class ContourFigures:
    """Many contours together. drawn: by hand; missed: of these, not found; added: found, where none was drawn.

    good: share of those drawn by hand; NaN without millimetres. Means are over the slices in which both have one.
    """

    drawn: int
    missed: int
    added: int
    good: float
    dice: float
    apd: float
    hd: float
    hd95: float
    assd: float

    @staticmethod
    def of(slices: Sequence[SliceScores]) -> ContourFigures:
        both = [s for s in slices if s.drawn == "both"]
        judged = [s.good for s in slices if s.good is not None]
        means = {name: _mean([getattr(s, name) for s in both]) for name in ("dice", "apd", "hd", "hd95", "assd")}
        return ContourFigures(
            drawn=sum(s.drawn != "predicted only" for s in slices),
            missed=sum(s.drawn == "manual only" for s in slices),
            added=sum(s.drawn == "predicted only" for s in slices),
            good=_mean(judged),
            **means,
        )


def outlines(mask: Mask) -> list[NDArray[np.float64]]:
    """(H, W) → the polygons around its pieces and holes, (n, 2) places (y, x) each, the last that of the first.

    Pixels are at whole numbers; a piece ends half way to the pixels outside it, also at the end of the image.
    """
    return [line - 1 for line in find_contours(np.pad(mask, 1).astype(np.float64), 0.5)]


def average_perpendicular_distance(truth: Mask, answer: Mask, pixel: tuple[float, float]) -> float:
    """How far the answer's contour lies from the truth's, as a mean along the answer's, in the unit of `pixel`.

    Both masks must have a contour.
    """
    begins, along = (np.concatenate(part) for part in zip(*(_segments(o, pixel) for o in outlines(truth)), strict=True))
    total = length = 0.0
    for outline in outlines(answer):
        starts, steps = _segments(outline, pixel)
        sizes = np.linalg.norm(steps, axis=1)
        for share in _SHARES:
            total += float(sizes @ _to_segments(starts + share * steps, begins, along))
        length += float(sizes.sum()) * len(_SHARES)
    return total / length


def _segments(
    outline: NDArray[np.float64], pixel: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2) where the sides of a polygon begin, and how they go on from there."""
    places = outline * pixel
    return places[:-1], np.diff(places, axis=0)


def _to_segments(
    points: NDArray[np.float64], begins: NDArray[np.float64], along: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) distance of each point from the nearest of the segments."""
    away = points[:, None] - begins
    share = np.clip((away * along).sum(axis=-1) / (along**2).sum(axis=-1), 0, 1)
    distances: NDArray[np.float64] = np.linalg.norm(away - share[..., None] * along, axis=-1).min(axis=1)
    return distances


def slice_scores(manual: Ventricle, predicted: Ventricle, levels: Sequence[Level | None]) -> list[SliceScores]:
    """Every contour that one of the two has drawn; the slices of both stand in the order of `levels`."""
    found = []
    for region, masks in _both(manual, predicted).items():
        for number, (truth, answer) in enumerate(zip(*masks, strict=True)):
            if truth.any() or answer.any():
                found.append(_scored(region, number, levels[number], truth, answer, manual.pixel_mm))
    return found


def volume_scores(manual: Ventricle, predicted: Ventricle) -> list[VolumeScores]:
    """Each region in three dimensions."""
    found = []
    for region, (truth, answer) in _both(manual, predicted).items():
        hd = hd95 = assd = math.nan
        if manual.voxel_mm is not None and truth.any() and answer.any():
            distances = SurfaceDistances.of(truth, answer, manual.voxel_mm)
            hd, hd95, assd = distances.hd(), distances.hd95(), distances.assd()
        found.append(VolumeScores(region, _dice(truth, answer), hd, hd95, assd))
    return found


def _both(manual: Ventricle, predicted: Ventricle) -> dict[str, tuple[Mask, Mask]]:
    ours, theirs = predicted.regions(), manual.regions()
    return {name: (theirs[name], ours[name]) for name in theirs if name in ours}


def _scored(
    region: str, number: int, level: Level | None, truth: Mask, answer: Mask, pixel_mm: tuple[float, float] | None
) -> SliceScores:
    apd = hd = hd95 = assd = math.nan
    drawn: Drawn = "both" if truth.any() and answer.any() else "manual only" if truth.any() else "predicted only"
    if drawn == "both":
        distances = SurfaceDistances.of(truth, answer, pixel_mm or (1.0, 1.0))
        apd, hd = average_perpendicular_distance(truth, answer, pixel_mm or (1.0, 1.0)), distances.hd()
        hd95, assd = distances.hd95(), distances.assd()
    dice = _dice(truth, answer)
    return SliceScores(region, number + 1, level, drawn, pixel_mm is not None, dice, apd, hd, hd95, assd)


def _dice(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> float:
    both = np.count_nonzero(truth) + np.count_nonzero(answer)
    return 2 * np.count_nonzero(truth & answer) / both if both else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
