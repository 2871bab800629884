"""Foreground probabilities and true objects of validation images → the `ObjectRule` that finds them best.

Best is the highest mean over images of the average precision TP / (TP + FP + FN), averaged over IoU 0.5, 0.55 … 0.9.
The search goes from simple rules to elaborate ones and from coarse steps to fine ones, one or two values at a time;
nothing is drawn at random. Of equal rules the simplest is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ushape.errors import DataError, SizeError
from ushape.metrics.instances import Matching
from ushape.object_rule import ObjectRule
from ushape.predict.objects import as_probability, grown, objects_within

IOU_THRESHOLDS = tuple(twentieths / 20 for twentieths in range(10, 19))
"""0.5, 0.55 … 0.9: at 0.95 a single pixel along the border decides."""

_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_THRESHOLDS_OF_DIVIDED = (0.2, 0.35, 0.5, 0.65)  # seeds part what touches: there is no need to cut deep
_FINE_STEP = 0.05
_SEED_THRESHOLDS = (0.7, 0.8, 0.9, 0.95, 0.98)
_SEED_DEPTHS_PX = (1.0, 2.0, 4.0)
_GROWTHS_PX = (0, 1)
_SMALLEST_OF_MEDIAN = (0.0, 1 / 16, 1 / 8, 1 / 4, 3 / 8)  # of the size of the true objects
_START_OF_MEDIAN = 1 / 16
_HOPELESS = 0.85  # of the best score: a way to divide regions that begins below is not pursued


@dataclass(frozen=True)
class Tried:
    """A rule and its score."""

    rule: ObjectRule
    score: float


@dataclass(frozen=True)
class Fitted:
    """The best rule, its score, and all that were tried, in their order."""

    rule: ObjectRule
    score: float
    tried: tuple[Tried, ...]


@dataclass(frozen=True, eq=False)
class _Image:
    probability: NDArray[np.float32]
    truth: NDArray[np.integer]
    ignored: NDArray[np.bool_] | None


def fit_rule(
    probabilities: Sequence[NDArray[np.floating]],
    truths: Sequence[NDArray[np.integer]],
    ignored: Sequence[NDArray[np.bool_] | None] | None = None,
) -> Fitted:
    """(H, W) foreground probabilities and (H, W) true objects per image, 0 between them → the best rule.

    ignored: True where the truth counts nowhere. Images may differ in shape. Raises DataError where no truth holds an
    object. Takes about two seconds per 512 x 512 image.
    """
    images = _checked(probabilities, truths, ignored)
    search = _Search(images, _median_size_px(images))
    divide = replace(search.connected(), method="watershed", threshold=0.5)
    search.divided([replace(divide, seed_threshold=t) for t in _SEED_THRESHOLDS])
    search.divided([replace(divide, seeds="distance", seed_depth_px=px) for px in _SEED_DEPTHS_PX])
    best = search.best(list(search.scores))
    return Fitted(best, search.scores[best], tuple(Tried(rule, score) for rule, score in search.scores.items()))


def mean_precision(matching: Matching) -> float:
    """The average precision of one image, averaged over IOU_THRESHOLDS; NaN where neither map has an object."""
    return sum(matching.average_precision(iou) for iou in IOU_THRESHOLDS) / len(IOU_THRESHOLDS)


class _Search:
    """Every rule tried, with its score."""

    def __init__(self, images: list[_Image], median_size_px: float) -> None:
        self.scores: dict[ObjectRule, float] = {}
        self._images, self._median_size_px = images, median_size_px
        self._last_ungrown: tuple[ObjectRule, list[NDArray[np.int32]]] | None = None

    def best(self, rules: Iterable[ObjectRule]) -> ObjectRule:
        """The rule of the highest score; of equals the simplest."""
        return max(rules, key=lambda rule: (self._score(rule), *_simplicity(rule)))

    def connected(self) -> ObjectRule:
        """The best rule that takes connected regions for objects."""
        rule = ObjectRule(smallest_px=self._part_of_median_px(_START_OF_MEDIAN))
        rule = self._refined(self.best(self._thresholds(rule, _THRESHOLDS)))
        return self.best([rule, replace(rule, fill_holes=False)])

    def divided(self, starts: list[ObjectRule]) -> None:
        """Looks for a rule that divides regions, from the best of some that differ in their seeds."""
        found = self.best(list(self.scores))
        rule = self.best(starts)
        if self._score(rule) < _HOPELESS * self._score(found):
            return
        rule = self.best([rule, *self._thresholds(rule, _THRESHOLDS_OF_DIVIDED)])
        possible = [start for start in starts if start.seed_threshold >= rule.threshold]
        others = [replace(rule, seed_threshold=s.seed_threshold, seed_depth_px=s.seed_depth_px) for s in possible]
        self._refined(self.best([rule, *others]))

    def _refined(self, rule: ObjectRule) -> ObjectRule:
        """By one value after the other."""
        sizes = sorted({self._part_of_median_px(part) for part in _SMALLEST_OF_MEDIAN})
        rule = self.best([rule, *(replace(rule, smallest_px=size) for size in sizes)])
        nearby = [round(rule.threshold + step, 3) for step in (-_FINE_STEP, _FINE_STEP)]
        return self.best([rule, *self._thresholds(rule, nearby)])

    def _thresholds(self, rule: ObjectRule, thresholds: Iterable[float]) -> list[ObjectRule]:
        """With each threshold that can be, and each growth."""
        possible = [t for t in thresholds if not rule.by_probability or t <= rule.seed_threshold]
        return [replace(rule, threshold=t, grow_px=px) for t in possible for px in _GROWTHS_PX]

    def _part_of_median_px(self, part: float) -> int:
        return max(1, round(part * self._median_size_px))

    def _score(self, rule: ObjectRule) -> float:
        """Mean over the images in which the truth or the rule has objects; 0 where there is none."""
        if rule not in self.scores:
            scores = [
                mean_precision(Matching.of(image.truth, grown(objects, rule.grow_px), ignored=image.ignored))
                for image, objects in zip(self._images, self._ungrown(replace(rule, grow_px=0)), strict=True)
            ]
            defined = [score for score in scores if not math.isnan(score)]
            self.scores[rule] = sum(defined) / len(defined) if defined else 0.0
        return self.scores[rule]

    def _ungrown(self, rule: ObjectRule) -> list[NDArray[np.int32]]:
        """Objects in each image; kept for the next rule, which may differ in growth alone."""
        if self._last_ungrown is None or self._last_ungrown[0] != rule:
            self._last_ungrown = rule, [_objects(image.probability, rule) for image in self._images]
        return self._last_ungrown[1]


def _objects(probability: NDArray[np.float32], rule: ObjectRule) -> NDArray[np.int32]:
    inside = probability >= np.float32(rule.threshold)
    return objects_within(probability, inside, np.zeros_like(inside), rule)


def _simplicity(rule: ObjectRule) -> tuple[float, ...]:
    """Greater for the simpler rule: fewer steps, less growth, a threshold nearer to one half."""
    distance, growth = rule.seeds == "distance", -rule.grow_px
    return rule.method == "components", not distance, rule.fill_holes, growth, -abs(rule.threshold - 0.5)


def _median_size_px(images: list[_Image]) -> float:
    """Of the true objects; DataError where there is none."""
    counted = [im.truth if im.ignored is None else np.where(im.ignored, 0, im.truth) for im in images]
    sizes = np.concatenate([np.unique(truth[truth > 0], return_counts=True)[1] for truth in counted])
    if not len(sizes):
        raise DataError(
            f"None of the {len(images)} true object maps holds an object, so that no rule can be judged. "
            "Choose the rule on images that have objects."
        )
    return float(np.median(sizes))


def _checked(
    probabilities: Sequence[NDArray[np.floating]],
    truths: Sequence[NDArray[np.integer]],
    ignored: Sequence[NDArray[np.bool_] | None] | None,
) -> list[_Image]:
    ignored = [None] * len(truths) if ignored is None else ignored
    if not len(probabilities) == len(truths) == len(ignored) or not truths:
        raise DataError(
            f"Got {len(probabilities)} foreground probabilities, {len(truths)} true object maps and {len(ignored)} "
            "maps of ignored pixels; give one of each for every image, and at least one image."
        )
    images = []
    for number, (probability, truth, hidden) in enumerate(zip(probabilities, truths, ignored, strict=True)):
        checked = as_probability(probability, f"The foreground probability of image {number}")
        if truth.shape != checked.shape or (hidden is not None and hidden.shape != checked.shape):
            raise SizeError(
                f"The foreground probability of image {number} has shape {checked.shape}, its true objects "
                f"{truth.shape}{'' if hidden is None else f', its ignored pixels {hidden.shape}'}. Give equal ones."
            )
        images.append(_Image(checked, truth, hidden))
    return images
