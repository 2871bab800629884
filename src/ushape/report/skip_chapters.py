"""The questions of a study of skip connections, each as a chapter: answers, how they were found, charts, figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ushape.compare.results import TITLES
from ushape.compare.spread import Spread
from ushape.report.chapter import Chapter, Grid
from ushape.report.charts import Dot, Series, dot_chart, line_chart
from ushape.study.bands import BANDS, band_names
from ushape.study.findings import (
    GRADIENT,
    RESIDUAL,
    SPEED,
    USED,
    WHERE,
    WORTH,
    findings,
    place_name,
    signed,
    spread_in_words,
)
from ushape.study.results import MILESTONE, Measure, OfSeeds, SkipResults, When
from ushape.study.variants import REFERENCE, WIDER

_TWO_SKIPS = (
    "A skip lets a map go past layers. U-Net's is long: it carries the map of each level of the contracting path, with "
    "the detail that pooling is about to take from it, across to the expanding path, where maps are as large again. "
    "ResNet's is short: around the two convolutions of a block, it adds what the block was given to what it makes. The "
    "first brings the decoder what the way through the bottom has lost; the second lets deep networks learn."
)
_FEWEST_DRAWN = 100  # pixels of a band
_BANDS_IN_WORDS = f"outside < 0 < inside; ±1 is {band_names()[0]} from the border, … ±{BANDS} is {band_names()[-1]}"


def chapters(results: SkipResults) -> list[Chapter]:
    """What is compared; then all questions, in their order."""
    found = findings(results)
    return [
        _two_skips(results),
        _worth(results, found[WORTH]),
        _where(results, found[WHERE]),
        _gradients(results, found[GRADIENT]),
        _convergence(results, found[SPEED]),
        _used(results, found[USED]),
        _residual(results, found[RESIDUAL]),
    ]


def _two_skips(results: SkipResults) -> Chapter:
    rows = []
    for variant in results.variants:
        cost = results.standing(variant.name).cost
        operations = f"{cost.multiply_adds_per_megapixel / 1e9:.1f}"
        rows.append((variant.name, variant.about, str(variant.width), f"{cost.parameters:,}", operations))
    titles = ("network", "what it is", "width", "parameters", "G multiply-adds per megapixel")
    return Chapter(
        "What is compared?",
        [_TWO_SKIPS],
        "All are one U-Net, padded, with batch normalisation and without dropout, but for its skips. A map that is "
        "copied beside another doubles what the next convolution is given, so that a network without copies has fewer "
        "parameters at equal width; the wider ones come nearest to as many. ResNet's shortcuts have no parameters: "
        "channels that both ends have pass, new ones are 0, and of [copy, what comes up] it is the copy that passes.",
        grids=[Grid(titles, rows, worded=("what it is",))],
    )


def _worth(results: SkipResults, answers: Sequence[str]) -> Chapter:
    scored, title = results.scored, TITLES[results.scored.primary]
    spreads = {name: scored.spread(results.standing(name), scored.primary) for name in results.names}
    dots = [
        Dot(name, results.standing(name).cost.parameters, of.mean, of.low, of.high, of.seeds)
        for name, of in spreads.items()
    ]
    rows = [
        (name, f"{of.mean:.3f}", _interval(of), ", ".join(f"{seed:.3f}" for seed in of.seeds), _above(results, name))
        for name, of in spreads.items()
    ]
    return Chapter(
        WORTH,
        answers,
        f"{title} on the test images, of the network that scored best in validation. Copies, sums and no long skip at "
        "equal width; with as many parameters, the wider networks.",
        [(f"{title} by size", dot_chart(dots, x_label="parameters", y_label=title))],
        [Grid(("network", title, "95 % interval", "each seed", f"above {REFERENCE}"), rows)],
    )


def _where(results: SkipResults, answers: Sequence[str]) -> Chapter:
    places, pixels = [float(n) for n in range(-BANDS, BANDS + 1)], results.band_pixels()
    lines, grids = [], []
    for name in _of_equal_width(results):
        rates = np.where(pixels < _FEWEST_DRAWN, math.nan, results.band_rates(name))
        lines.append(Series(name, places, [100 * rate for rate in (*reversed(rates[0]), math.nan, *rates[1])]))
    for side, words in enumerate(("outside", "inside")):
        rows = [
            (name, *(_percent(results.band_rates(name)[side, b], _apart(results, name, side, b)) for b in range(BANDS)))
            for name in results.names
        ]
        sizes = ("pixels in the band", *(f"{count:,}" for count in pixels[side]))
        grids.append(Grid((f"wrong pixels {words}", *band_names()), [sizes, *rows]))
    return Chapter(
        WHERE,
        answers,
        "The share of wrong pixels by their distance from the true border, of all test images; touching objects are "
        f"set apart as in training. After it, by how much it is above that of {REFERENCE}, as a mean over images, "
        f"with its interval; * marks what is distinguishable. Not drawn: bands of fewer than {_FEWEST_DRAWN} pixels.",
        [("Wrong pixels", line_chart(lines, x_label=f"band: {_BANDS_IN_WORDS}", y_label="%"))],
        grids,
    )


def _gradients(results: SkipResults, answers: Sequence[str]) -> Chapter:
    moments: tuple[When, ...] = ("before", "after")
    charts = []
    for when in moments:
        lines = [
            Series(name, [float(n + 1) for n in range(len(norms))], [of.mean for of in norms])
            for name in _of_equal_width(results)
            for norms in [results.gradients(name, when)]
        ]
        chart = line_chart(lines, x_label="level of the contracting path", y_label="norm of the gradient", log_y=True)
        charts.append((f"{when.capitalize()} the training", chart))
    rows = [
        (f"{name}, {when}", *(_seeds(of, ".2g") for of in results.gradients(name, when)))
        for name in results.names
        for when in moments
    ]
    levels = max(len(row) for row in rows) - 1
    return Chapter(
        GRADIENT,
        answers,
        "The Euclidean norm of the loss's gradient by all weights of a level, as a mean over the same batches for all "
        "networks, normalised as in training. In brackets each seed. Norms of layers of other widths, or further in "
        "training, are not the same yardstick: they say how hard weights are pulled at, not how well that is.",
        charts,
        [Grid(("network", *(f"level {n + 1}" for n in range(levels))), rows)],
    )


def _convergence(results: SkipResults, answers: Sequence[str]) -> Chapter:
    measures: tuple[Measure, ...] = ("step", "seconds")
    charts = []
    for by in measures:
        curves = [(name, results.curve(name, by)) for name in _of_equal_width(results)]
        lines = [Series(name, [x for x, _ in curve], [score for _, score in curve]) for name, curve in curves]
        charts.append((f"Validation by {by}", line_chart(lines, x_label=by, y_label="score in validation")))
    rows = [
        (name, _reached(results.reaching(name, "step")), _reached(results.reaching(name, "seconds")))
        for name in results.names
    ]
    return Chapter(
        SPEED,
        answers,
        "The score in validation, a mean over seeds, of the running mean of the weights; read between validations as "
        f"straight lines. The milestone is {MILESTONE:.0%} of what {REFERENCE} scored last. Trainings are few and the "
        "validation images are not those of the test: a small difference here is none.",
        charts,
        [Grid(("network", "steps to the milestone", "seconds to the milestone"), rows)],
    )


def _used(results: SkipResults, answers: Sequence[str]) -> Chapter:
    names = [name for name in results.names if any(place.kind == "long" for place in results.places(name))]
    charts, grids = _of_cuts(results, names, ("long",), "the long skip at level")
    return Chapter(
        USED,
        answers,
        _HOW_CUT + " Level 1 is as large as the image.",
        charts,
        grids,
    )


def _residual(results: SkipResults, answers: Sequence[str]) -> Chapter:
    names = [name for name in results.names if any(place.kind != "long" for place in results.places(name))]
    charts, grids = _of_cuts(results, names, ("down", "up"), "block, from the first to the last")
    return Chapter(
        RESIDUAL,
        answers,
        _HOW_CUT + " Shortcuts are cut one block at a time, from the first on the way down to the last on the way up.",
        charts,
        grids,
    )


_HOW_CUT = (
    "By how much the Dice of a trained network falls when one skip is cut as it predicts: each channel of what it "
    "carries is replaced by its own mean, so that the next layer is told how strong it is, but nothing of where. The "
    "network was not trained without it: what it loses tells what it leans on, not what it would have learned instead. "
    "In the table the mean, its interval over images and seeds, each seed; * marks what is distinguishable from 0."
)


def _of_cuts(
    results: SkipResults, names: Sequence[str], kinds: Sequence[str], x_label: str
) -> tuple[list[tuple[str, str]], list[Grid]]:
    """A line, and a column, for each network."""
    if not names:
        return [], []
    places = [place for place in results.places(names[0]) if place.kind in kinds]
    drops = {name: [results.drop(name, place) for place in places] for name in names}
    lines = [
        Series(name, [n + 1.0 for n in range(len(places))], [math.nan if of is None else of.mean for of in drops[name]])
        for name in _of_equal_width(results)
        if name in names
    ]
    rows = [(place_name(place), *(_lost(drops[name][n]) for name in names)) for n, place in enumerate(places)]
    charts = [("Dice lost without one skip", line_chart(lines, x_label=x_label, y_label="Dice lost"))]
    return charts, [Grid(("Dice lost without", *names), rows)]


def _lost(drop: Spread | None) -> str:
    if drop is None:
        return "–"
    seeds = f"; {', '.join(signed(seed) for seed in drop.seeds)}" if len(drop.seeds) > 1 else ""
    interval = "" if math.isnan(drop.low) else f" ({signed(drop.low)} to {signed(drop.high)})"
    return f"{signed(drop.mean)}{interval}{seeds}{' *' * drop.is_distinguishable}"


def _of_equal_width(results: SkipResults) -> list[str]:
    return [name for name in results.names if not name.endswith(WIDER)]


def _apart(results: SkipResults, name: str, side: int, band: int) -> Spread | None:
    return None if name == REFERENCE else results.band_difference(name, side, band)


def _above(results: SkipResults, name: str) -> str:
    apart = None if name == REFERENCE else results.score_difference(name, REFERENCE)
    return "" if apart is None else spread_in_words(apart) + " *" * apart.is_distinguishable


def _percent(rate: float, apart: Spread | None) -> str:
    if math.isnan(rate):
        return "–"
    if apart is None:
        return f"{rate:.1%}"
    mean, low, high = (signed(100 * share, 1) for share in (apart.mean, apart.low, apart.high))
    interval = "" if math.isnan(apart.low) else f" ({low} to {high})"
    return f"{rate:.1%}; {mean}{interval}{' *' * apart.is_distinguishable}"


def _interval(spread: Spread) -> str:
    return "–" if math.isnan(spread.low) else f"{spread.low:.3f} to {spread.high:.3f}"


def _seeds(of: OfSeeds, form: str) -> str:
    each = ", ".join(f"{seed:{form}}" for seed in of.seeds)
    return f"{of.mean:{form}} ({each})" if len(of.seeds) > 1 else f"{of.mean:{form}}"


def _reached(of: OfSeeds) -> str:
    if not of.seeds:
        return "never"
    return _seeds(of, ".0f") + (f", never in {of.missing}" if of.missing else "")
