"""Scores of regions, unions of classes: a family (families.py) of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ushape.errors import RecipeError
from ushape.labels import IGNORED
from ushape.metrics.boundary import SurfaceDistances
from ushape.metrics.judged import Judged
from ushape.regions import Region


class RegionScores:
    """Of each image Dice and distances, of the folder Dice of all pixels.

    The distances are those of `boundary.SurfaceDistances`, undefined where only one of truth and answer has the region;
    `one_sided` is 1 there. They are in millimetres where a pixel is a tenth of one or more, as in medical images
    (`hd_mm`), else in micrometres (`hd_um`), or in pixels where the image does not know its spacing (`hd_px`).
    """

    def __init__(self, regions: Sequence[Region]) -> None:
        if not regions:
            raise RecipeError(
                "No region is declared whose scores could be had. Declare them, in [regions] of the recipe or as "
                "--region epicardium=2,3, or leave regions out."
            )
        self._regions = regions
        self._images: list[dict[str, float]] = []
        self._overlaps = {region.name: np.zeros(2, dtype=np.int64) for region in regions}

    def add(self, image: Judged) -> None:
        scores: dict[str, float] = {}
        for region in self._regions:
            counted = image.truth != IGNORED
            truth, answer = region.of(image.truth), region.of(image.answer) & counted
            overlap = np.array([2 * np.count_nonzero(truth & answer), truth.sum() + answer.sum()])
            self._overlaps[region.name] += overlap
            found = {"dice": _ratio(overlap), **_region_distances(image, truth, answer)}
            scores |= {f"{key} {region.name}": value for key, value in found.items()}
        self._images.append(scores)

    def of_images(self) -> list[dict[str, float]]:
        return self._images

    def of_folder(self) -> dict[str, float]:
        return {f"dice {name}": _ratio(overlap) for name, overlap in self._overlaps.items()}


def _region_distances(image: Judged, truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> dict[str, float]:
    """HD, HD95 and ASSD by the names of their unit, NaN without two surfaces."""
    unit, spacing = image.lengths
    distances = SurfaceDistances.of(truth, answer, spacing, ignored=image.ignored)
    figures = {"hd": distances.hd(), "hd95": distances.hd95(), "assd": distances.assd()}
    one_sided = math.isinf(figures["hd"])
    named = {f"{key}_{unit}": math.nan if one_sided else value for key, value in figures.items()}
    return {**named, "one_sided": math.nan if math.isnan(figures["hd"]) else float(one_sided)}


def _ratio(overlap: NDArray[np.int64]) -> float:
    """Twice the shared pixels and those of both → Dice; NaN where neither has any."""
    return float(overlap[0] / overlap[1]) if overlap[1] else math.nan
