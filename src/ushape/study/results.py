"""What was scored and found → the figures of each question: means, intervals over images, what the seeds say.

All that a report shows is asked of SkipResults.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ushape.compare.results import Results
from ushape.compare.spread import Spread, difference
from ushape.compare.standing import Standing
from ushape.metrics.table import without_nan
from ushape.study.analysis import Analysis
from ushape.study.bands import BANDS
from ushape.study.convergence import first_reaching, mean_curve
from ushape.study.cuts import Place
from ushape.study.variants import REFERENCE, Variant

When = Literal["before", "after"]
Measure = Literal["step", "seconds"]

MILESTONE = 0.95
"""Share of the reference's last score in validation: how soon a network gets that far is how fast it learns."""


@dataclass(frozen=True)
class OfSeeds:
    """A figure of each training that has one, in the order of the seeds; missing: trainings that have none."""

    seeds: tuple[float, ...]
    missing: int = 0

    @property
    def mean(self) -> float:
        return sum(self.seeds) / len(self.seeds) if self.seeds else math.nan


@dataclass(frozen=True, eq=False)
class SkipResults:
    """Of all complete seeds: outcomes as a comparison has them, and by variant and seed what was found in the network.

    variants: those with a training that was not lost, the reference first.
    """

    variants: tuple[Variant, ...]
    scored: Results
    analyses: Mapping[str, Mapping[int, Analysis]]

    @property
    def names(self) -> list[str]:
        return [variant.name for variant in self.variants]

    def standing(self, name: str) -> Standing:
        """Of a variant, its scores and costs."""
        return next(standing for standing in self.scored.standings if standing.name == name)

    def score_difference(self, name: str, other: str) -> Spread | None:
        """By how much the first scores higher on the test images; None without a seed that both have."""
        return self.scored.difference(self.standing(name), self.standing(other), self.scored.primary)

    def band_rates(self, name: str) -> NDArray[np.float64]:
        """(2, BANDS) shares of wrong pixels, outside and inside, of all test images at once: the mean over seeds."""
        rates = [sum(of.bands[1:], of.bands[0]).rates for of in self.analyses[name].values()]
        mean: NDArray[np.float64] = np.mean(rates, axis=0)
        return mean

    def band_pixels(self) -> NDArray[np.int64]:
        """(2, BANDS) numbers of pixels, outside and inside, of all test images."""
        of_images = next(iter(self.analyses[REFERENCE].values())).bands
        return sum(of_images[1:], of_images[0]).pixels

    def band_difference(self, name: str, side: int, band: int) -> Spread | None:
        """By how much the share of wrong pixels in a band, image by image, is above the reference's.

        None without a seed or an image that both have.
        """
        seeds = self._common(name, REFERENCE)
        ours, theirs = (self._rates(of, seeds, side, band) for of in (name, REFERENCE))
        return _difference(ours, theirs, self.scored.groups)

    def gradients(self, name: str, when: When) -> list[OfSeeds]:
        """The norm in each level of the contracting path, from the top down."""
        found = [getattr(of, f"gradients_{when}") for of in self.analyses[name].values()]
        return [OfSeeds(tuple(of_level)) for of_level in zip(*found, strict=True)]

    def gradient_ratio(self, name: str, other: str, when: When) -> OfSeeds:
        """How many times as strong the topmost level's gradient is in the first network as in the other."""
        seeds = self._common(name, other)
        tops = [[getattr(self.analyses[of][s], f"gradients_{when}")[0] for s in seeds] for of in (name, other)]
        return OfSeeds(tuple(ours / theirs for ours, theirs in zip(*tops, strict=True) if theirs))

    def curve(self, name: str, by: Measure) -> list[tuple[float, float]]:
        """The score in validation, as a mean over seeds."""
        return mean_curve([self._validations(name, by, n) for n in range(len(self.standing(name).outcomes))])

    @cached_property
    def milestone(self) -> float:
        """The score in validation that is asked for when networks are compared in how fast they learn."""
        last = [outcome.curve[-1].score for outcome in self.standing(REFERENCE).outcomes if outcome.curve]
        return MILESTONE * sum(last) / len(last) if last else math.nan

    def reaching(self, name: str, by: Measure) -> OfSeeds:
        """When each training first scored as high as the milestone."""
        trainings = range(len(self.standing(name).outcomes))
        times = [first_reaching(self._validations(name, by, n), self.milestone) for n in trainings]
        reached = tuple(time for time in times if not math.isnan(time))
        return OfSeeds(reached, missing=len(times) - len(reached))

    def places(self, name: str) -> list[Place]:
        """The skips of a variant that were cut."""
        return list(next(iter(self.analyses[name].values())).cuts)

    def drop(self, name: str, place: Place) -> Spread | None:
        """By how much the Dice falls without that skip, on the images judged; None where it is undefined in all."""
        of_seeds = self.analyses[name].values()
        whole = np.array([[of.dice[image] for image in of.judged] for of in of_seeds])
        without = np.array([of.cuts[place] for of in of_seeds])
        judged = next(iter(of_seeds)).judged
        return _difference(whole, without, [self.scored.groups[image] for image in judged])

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is undefined is None."""
        figures = {
            "reference": REFERENCE,
            "milestone": self.milestone,
            "variants": [self._variant(name) for name in self.names],
            "comparison": self.scored.to_dict(),
        }
        return {key: without_nan(value) for key, value in figures.items()}

    def _variant(self, name: str) -> dict[str, Any]:
        apart = [[self.band_difference(name, side, band) for band in range(BANDS)] for side in (0, 1)]
        return {
            "name": name,
            "parameters": self.standing(name).cost.parameters,
            "score_above_reference": _plain(self.score_difference(name, REFERENCE)),
            "wrong_outside": self.band_rates(name)[0].tolist(),
            "wrong_inside": self.band_rates(name)[1].tolist(),
            "wrong_outside_above_reference": [_plain(of) for of in apart[0]],
            "wrong_inside_above_reference": [_plain(of) for of in apart[1]],
            "gradients_before": [of.seeds for of in self.gradients(name, "before")],
            "gradients_after": [of.seeds for of in self.gradients(name, "after")],
            "steps_to_milestone": asdict(self.reaching(name, "step")),
            "seconds_to_milestone": asdict(self.reaching(name, "seconds")),
            "cuts": [{**asdict(at), "drop_of_dice": _plain(self.drop(name, at))} for at in self.places(name)],
        }

    def _common(self, name: str, other: str) -> list[int]:
        return [seed for seed in self.analyses[name] if seed in self.analyses[other]]

    def _rates(self, name: str, seeds: Sequence[int], side: int, band: int) -> NDArray[np.float64]:
        """(seeds, images)"""
        return np.array([[of.rates[side, band] for of in self.analyses[name][seed].bands] for seed in seeds])

    def _validations(self, name: str, by: Measure, number: int) -> list[tuple[float, float]]:
        return [(float(getattr(of, by)), of.score) for of in self.standing(name).outcomes[number].curve]


def _difference(ours: NDArray[np.float64], theirs: NDArray[np.float64], groups: Sequence[str]) -> Spread | None:
    return None if np.isnan(ours - theirs).all() else difference(ours, theirs, groups)


def _plain(spread: Spread | None) -> dict[str, Any] | None:
    return None if spread is None else {**asdict(spread), "distinguishable": spread.is_distinguishable}
