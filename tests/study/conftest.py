"""Results of a study that nobody trained: every figure given, so that what is made of it can be known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from ushape.compare.cost import Cost
from ushape.compare.outcome import ImageScores, Outcome, Scores, Validated
from ushape.compare.results import Results
from ushape.models.unet import UNet
from ushape.recipe import Recipe
from ushape.study.analysis import Analysis
from ushape.study.bands import BANDS, BandErrors
from ushape.study.cuts import Place, skips_of
from ushape.study.results import SkipResults
from ushape.study.variants import Variant, variants

IMAGES = 8
PIXELS = 1000  # of each band

MadeResults = Callable[..., SkipResults]

_variants = functools.cache(variants)


def _outcome(variant: Variant, seed: int, scores: Sequence[float], last: float) -> Outcome:
    images = tuple(ImageScores(f"image{n}", f"image{n}", {"dice": score}) for n, score in enumerate(scores))
    curve = (Validated(10, 2.0, 0.0), Validated(20, 4.0, last))
    return Outcome(variant.name, seed, "", 4.0, 20, 0.2, 1.0, curve, Scores(images, {}, "dice"))


def _analysis(
    variant: Variant, errors: Sequence[int], drops: Mapping[Place, float], dice: Sequence[float], gradient: float
) -> Analysis:
    places = _places(variant)
    pixels = np.full((2, BANDS), PIXELS)
    wrong = np.broadcast_to(errors, (2, BANDS)).copy()
    judged = tuple(range(IMAGES))
    return Analysis(
        bands=tuple(BandErrors(pixels, wrong + 2 * n) for n in range(IMAGES)),
        dice=tuple(dice),
        judged=judged,
        cuts={at: tuple(d - drops.get(at, 0.0) for d in dice) for at in places},
        gradients_before=(gradient, *[1.0] * 4),
        gradients_after=(1.0,) * 5,
    )


@functools.cache
def _places(variant: Variant) -> list[Place]:
    return skips_of(UNet(**{**variant.options, "width": 1}))


@pytest.fixture(scope="session")
def made_results() -> MadeResults:
    """made_results(scores={"none": (0.5, 0.6)}, …): per variant a score with each of two seeds, .8 where not said.

    errors: wrong pixels in each band. drops: what cutting a skip costs. gradients: in the topmost level at the start,
    with each seed. last: the last score in validation. width: of all; lost: variants without a training.
    """

    def make(
        *,
        scores: Mapping[str, tuple[float, ...]] | None = None,
        errors: Mapping[str, Sequence[int]] | None = None,
        drops: Mapping[str, Mapping[Place, float]] | None = None,
        gradients: Mapping[str, tuple[float, ...]] | None = None,
        last: Mapping[str, float] | None = None,
        width: int = 4,
        lost: Sequence[str] = (),
    ) -> SkipResults:
        every = _variants(width)
        outcomes, analyses = [], {}
        for variant in every:
            name = variant.name
            if name in lost:
                continue
            analyses[name] = {}
            for seed, score in enumerate((scores or {}).get(name, (0.8, 0.8))):
                of_images = [score + 0.01 * n / IMAGES for n in range(IMAGES)]
                outcomes.append(_outcome(variant, seed, of_images, (last or {}).get(name, 0.8)))
                analyses[name][seed] = _analysis(
                    variant,
                    (errors or {}).get(name, [50] * BANDS),
                    (drops or {}).get(name, {}),
                    of_images,
                    (gradients or {}).get(name, (1.0, 1.0))[seed],
                )
        cost = {v.name: Cost(1000 * v.width, 1e9, 1, (64, 64), 1) for v in every}
        recipes = {v.name: Recipe().changed(training={"steps": 20}) for v in every}
        scored = Results.of([v.entrant for v in every], recipes, cost, outcomes)
        return SkipResults(tuple(v for v in every if v.name in analyses), scored, analyses)

    return make
