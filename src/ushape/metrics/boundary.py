"""Two masks → how far their surfaces lie apart: Hausdorff distance, its 95th percentile, mean, surface Dice.

Programs differ in what the surface is and in how two directions become one number, and figures of different conventions
do not compare (HD95 of one fixture: 29.0, 29.1 and 27.8). Three are offered by the name of the program they agree with:

============ ================================================ ============================== ======================
convention   surface                                          hd(percentile)                 assd
============ ================================================ ============================== ======================
"deepmind"   corners of the pixel grid that touch both sides, larger of two directions, the  all pieces, weighted
             weighted by the contour length or surface area   distance that covers that      by area
             there (see surfels.py); 1 to 3 axes              share of the area
"monai"      pixels of the mask with a face neighbour outside larger of two directions,      all pixels, pooled
             of it                                            linear interpolation
"medpy"      as "monai"                                       both directions pooled, linear mean of two directions
                                                              interpolation
============ ================================================ ============================== ======================

"deepmind" is the default: its surface lies between the pixels, so that what is inside and what is outside share it; its
weights are lengths and areas, so that a slanted or a long voxel side counts for what it measures; and surface Dice was
defined with it (Nikolov et al. 2018). The other two count pixels; MedPy has no surface Dice, "medpy" gives that of
MONAI. In all three the image ends in background: a mask that reaches the border has a surface there.

The empty rule: without any surface in either mask all figures are NaN and means leave the image out. With a surface in
one alone, distances are infinite and surface Dice is 0. A mean over images is then infinite too, and says so: give the
median, or the mean over the finite ones together with how many were not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ushape.errors import ImageError, RecipeError, SizeError
from ushape.metrics import surfels

Convention = Literal["deepmind", "monai", "medpy"]

_ROUNDING = 1e-9  # 3 pixels of 0.1 mm are within 0.3 mm, though 3 × 0.1 > 0.3


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """How far each piece of one surface is from the nearest of the other, in the unit of the spacing.

    from_truth, from_predicted: (pieces,) distances, infinite where the other mask has no surface. truth_areas,
    predicted_areas: (pieces,) what each piece weighs.

    >>> truth, predicted = np.zeros((2, 9, 9), dtype=bool)
    >>> truth[2:5, 2:5] = predicted[2:5, 4:7] = True
    >>> SurfaceDistances.of(truth, predicted, spacing=(1, 0.5)).hd()
    1.0
    """

    from_truth: NDArray[np.float64]
    from_predicted: NDArray[np.float64]
    truth_areas: NDArray[np.float64]
    predicted_areas: NDArray[np.float64]
    convention: Convention

    @staticmethod
    def of(
        truth: NDArray[np.bool_],
        predicted: NDArray[np.bool_],
        spacing: Sequence[float],
        convention: Convention = "deepmind",
        *,
        ignored: NDArray[np.bool_] | None = None,
    ) -> SurfaceDistances:
        """The distances between two masks of one shape; `spacing` is the length of a pixel along each axis.

        `ignored` is True where the truth is not known: no surface is seen there, nor at the edge of it.
        """
        masks = [truth, predicted] if ignored is None else [truth, predicted, ignored]
        _check_masks(masks)
        _check_spacing(spacing, truth.ndim)
        _check_convention(convention, truth.ndim)
        box = _box(np.logical_or.reduce(masks))
        truth, predicted, *unknown = (mask[box] for mask in masks)
        surfaces = _corner_surface if convention == "deepmind" else _pixel_surface
        of_truth, truth_areas = surfaces(truth, unknown, spacing)
        of_predicted, predicted_areas = surfaces(predicted, unknown, spacing)
        return SurfaceDistances(
            from_truth=_nearest(of_truth, of_predicted, spacing),
            from_predicted=_nearest(of_predicted, of_truth, spacing),
            truth_areas=truth_areas,
            predicted_areas=predicted_areas,
            convention=convention,
        )

    def hd(self, percentile: float = 100.0) -> float:
        """Hausdorff distance, or a percentile of it in 0 to 100."""
        if not 0 <= percentile <= 100:
            raise RecipeError(f"The percentile is {percentile}; it takes 0 to 100, such as 95 for HD95.")
        if self._without_surface:
            return self._without_surface[0]
        if self.convention == "medpy":
            return float(np.percentile(np.concatenate([self.from_truth, self.from_predicted]), percentile))
        if self.convention == "monai":
            return max(float(np.percentile(way, percentile)) for way in (self.from_truth, self.from_predicted))
        return max(
            _covering(self.from_truth, self.truth_areas, percentile / 100),
            _covering(self.from_predicted, self.predicted_areas, percentile / 100),
        )

    def hd95(self) -> float:
        """The 95th percentile of the Hausdorff distance."""
        return self.hd(95)

    def assd(self) -> float:
        """Average symmetric surface distance."""
        if self._without_surface:
            return self._without_surface[0]
        if self.convention == "medpy":
            return sum(self.directed_means()) / 2
        total = self.from_truth @ self.truth_areas + self.from_predicted @ self.predicted_areas
        return float(total / (self.truth_areas.sum() + self.predicted_areas.sum()))

    def directed_means(self) -> tuple[float, float]:
        """The mean distance from the truth to the prediction, and back."""
        if self._without_surface:
            return self._without_surface
        return (
            float(np.average(self.from_truth, weights=self.truth_areas)),
            float(np.average(self.from_predicted, weights=self.predicted_areas)),
        )

    def nsd(self, tolerance: float) -> float:
        """Normalised surface Dice: the share of both surfaces that lies within `tolerance` of the other, 0 to 1."""
        both = self.truth_areas.sum() + self.predicted_areas.sum()
        return float(sum(self._area_within(tolerance)) / both) if both else np.nan

    def overlap(self, tolerance: float) -> tuple[float, float]:
        """The share of the truth's surface within `tolerance` of the other (recall), and of the prediction's
        (precision); NaN for a mask without surface."""
        wholes = (self.truth_areas.sum(), self.predicted_areas.sum())
        truth, predicted = (
            float(part / whole) if whole else np.nan
            for part, whole in zip(self._area_within(tolerance), wholes, strict=True)
        )
        return truth, predicted

    @property
    def _without_surface(self) -> tuple[float, float] | None:
        """What stands for the distances where a surface is missing, by the empty rule."""
        if self.from_truth.size and self.from_predicted.size:
            return None
        instead = np.inf if self.from_truth.size or self.from_predicted.size else np.nan
        return instead, instead

    def _area_within(self, tolerance: float) -> tuple[float, float]:
        if not tolerance >= 0:
            raise RecipeError(f"The tolerance is {tolerance}; it takes 0 or more, in the unit of the spacing.")
        reach = tolerance * (1 + _ROUNDING)
        return (
            float(self.truth_areas[self.from_truth <= reach].sum()),
            float(self.predicted_areas[self.from_predicted <= reach].sum()),
        )


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest window that holds all of it."""
    sides = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0))
    return tuple(sides)


def _pixel_surface(
    mask: NDArray[np.bool_], unknown: list[NDArray[np.bool_]], _: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Where pixels of the mask have a face neighbour outside, and a weight of 1 for each of them."""
    solid = np.logical_or.reduce([mask, *unknown])  # so that the edge of the unknown is no surface
    bounded, surface = np.pad(solid, 1), np.zeros_like(mask)
    for axis in range(mask.ndim):
        for first in (0, 2):
            neighbour = [slice(1, -1)] * mask.ndim
            neighbour[axis] = slice(first, first + mask.shape[axis])
            surface |= ~bounded[tuple(neighbour)]
    surface &= np.logical_and.reduce([solid, *(~part for part in unknown)])
    return surface, np.ones(np.count_nonzero(surface))


def _corner_surface(
    mask: NDArray[np.bool_], unknown: list[NDArray[np.bool_]], spacing: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Where corners of pixels have both sides of the mask around them, and the area of surface at each."""
    codes = surfels.corner_codes(np.logical_or.reduce([mask, *unknown]))
    surface = surfels.on_surface(codes)
    for part in unknown:
        surface &= surfels.corner_codes(part) == 0
    return surface, surfels.areas(spacing)[codes[surface]]


def _nearest(surface: NDArray[np.bool_], other: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """(pieces,) the distance from each piece of a surface, in C order, to the nearest of the other."""
    if not other.any():
        return np.full(np.count_nonzero(surface), np.inf)
    distances = np.zeros(np.count_nonzero(surface))
    apart = ~other[surface]
    if apart.any():
        # For objects in 512 x 512 pixels 7 to 40 times as fast as distance transforms (for noise a third as fast), and
        # a volume costs only its surface
        tree = KDTree(np.argwhere(other) * spacing, balanced_tree=False, compact_nodes=False)
        distances[apart] = tree.query(np.argwhere(surface)[apart] * spacing)[0]
    return distances


def _covering(distances: NDArray[np.float64], areas: NDArray[np.float64], share: float) -> float:
    """The smallest distance such that pieces no further make up at least this share of the area."""
    rank = np.argsort(distances)
    covered = np.cumsum(areas[rank])
    last = int(np.searchsorted(covered, share * covered[-1] * (1 - _ROUNDING)))
    return float(distances[rank[last]])


def _check_masks(masks: list[NDArray[np.bool_]]) -> None:
    for name, mask in zip(("truth", "prediction", "mask of ignored pixels"), masks, strict=False):
        if mask.dtype != np.bool_:
            raise ImageError(
                f"The {name} is {mask.dtype}; surfaces are those of boolean masks. Give `class_map == number` or "
                "`probability >= threshold`."
            )
        if mask.shape != masks[0].shape:
            raise SizeError(f"The truth is {masks[0].shape} and the {name} {mask.shape}; give both on the same pixels.")


def _check_spacing(spacing: Sequence[float], axes: int) -> None:
    given = f"({', '.join(f'{length:g}' for length in spacing)})"
    if len(spacing) != axes:
        raise SizeError(
            f"The spacing {given} has {len(spacing)} numbers and the masks have {axes} axes; give the length "
            "of a pixel along each axis, in their order, or 1 for each to measure in pixels."
        )
    if not all(0 < length < np.inf for length in spacing):
        raise SizeError(f"The spacing {given} is not of positive lengths; give those of a pixel, such as mm.")


def _check_convention(convention: str, axes: int) -> None:
    if convention not in get_args(Convention):
        raise RecipeError(f"The convention is {convention!r}; it takes {', '.join(get_args(Convention))}.")
    if convention == "deepmind" and axes > surfels.AXES:
        raise RecipeError(
            f"The masks have {axes} axes; the convention deepmind measures surfaces in at most {surfels.AXES}. "
            "Take monai or medpy, or measure the volumes one by one."
        )
