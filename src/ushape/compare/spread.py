"""Scores of several trainings on the same images → a mean, how sure it is over images, and how it spreads over seeds.

(seeds, images) arrays throughout, NaN where a score is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.metrics.table import RESAMPLES, figure_of

PAIRED_RULE = (
    "A difference is taken image by image and seed by seed, between trainings that saw the same split. Its "
    "interval is the 95 % percentile bootstrap of the mean, resampling whole groups of images and seeds at once, "
    "so that it speaks of other images and of other trainings; with one seed, of other images only. It counts as "
    "distinguishable where there are at least six groups (fewer agree by chance too often), the interval leaves "
    "out 0, and every seed has its sign. Each interval stands for itself: of twenty pairs of true equals, one may "
    "seem to differ."
)
FEWEST_GROUPS = 6
"""All of them have one sign by chance once in 2⁵ times; of five once in 2⁴, which is more often than 5 %."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A mean over images and seeds, its 95 % interval (NaN where nothing tells), and the mean of each seed.

    groups: of images, over which the interval is; of a single group, its images.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]
    groups: int

    @property
    def is_distinguishable(self) -> bool:
        """Of a difference: whether images and seeds agree on which of the two is higher."""
        one_sign = min(self.seeds) > 0 or max(self.seeds) < 0
        return self.groups >= FEWEST_GROUPS and one_sign and (self.low > 0 or self.high < 0)


def spread(values: Values, groups: Sequence[str]) -> Spread:
    """Of one entrant: the interval is over images, by the rule of every score table, of their means over seeds."""
    of_images = _mean(values, axis=0)
    figure = figure_of(of_images.tolist(), groups, math.nan)
    resampled = _by_group(values, groups)[0].shape[1]
    return Spread(figure.mean, figure.low, figure.high, tuple(_mean(values, axis=1).tolist()), resampled)


def difference(values: Values, others: Values, groups: Sequence[str]) -> Spread:
    """Of two entrants with the same seeds, by PAIRED_RULE; above 0 where the first is higher.

    >>> difference(np.full((1, 6), 0.9), np.full((1, 6), 0.8), list("abcdef")).is_distinguishable
    True
    """
    apart = values - others
    sums, counts = _by_group(apart, groups)
    low, high = _interval(sums, counts)
    of_images = _mean(apart, axis=0)
    of_seeds = tuple(_mean(apart, axis=1).tolist())
    return Spread(float(_mean(of_images[None], axis=1)[0]), low, high, of_seeds, sums.shape[1])


def _interval(sums: Values, counts: Values) -> tuple[float, float]:
    """Of the mean, resampling both axes of (seeds, groups) sums and the numbers of what was summed."""
    seeds, groups = sums.shape
    if groups < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    drawn_groups = rng.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES)
    drawn_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    totals, numbers = (np.einsum("rs,sg,rg->r", drawn_seeds, of, drawn_groups) for of in (sums, counts))
    low, high = np.percentile(totals[numbers > 0] / numbers[numbers > 0], (2.5, 97.5))
    return float(low), float(high)


def _by_group(values: Values, groups: Sequence[str]) -> tuple[Values, Values]:
    """(seeds, groups) sums over the images of each group in which the score is defined, and how many these are.

    Of a single group its images, as every score table does.
    """
    defined = ~np.isnan(values)
    counts = defined.any(axis=0)
    names = np.array(groups)[counts]
    of_group = np.unique(names, return_inverse=True)[1]
    if not of_group.any():
        of_group = np.arange(len(names))
    membership = np.eye(int(of_group.max(initial=-1)) + 1)[of_group]
    return np.where(defined, values, 0)[:, counts] @ membership, defined[:, counts].astype(np.float64) @ membership


def _mean(values: Values, axis: int) -> Values:
    """Over what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: Values = np.where(defined, values, 0).sum(axis=axis) / defined.sum(axis=axis)
    return means
