"""Figures → what may be said of them, a question at a time; where images and seeds do not agree, that nothing may.

A sentence says that two networks differ only where the difference is distinguishable (compare/spread.py). Figures that
have no images to vary over, gradients and times, are told with what each training had, and no more is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ushape.compare.results import TITLES
from ushape.compare.spread import Spread
from ushape.data.pair import counted
from ushape.study.bands import BANDS, band_names
from ushape.study.cuts import Place
from ushape.study.results import Measure, OfSeeds, SkipResults
from ushape.study.variants import REFERENCE, WIDER

WORTH = "Is the long skip worth anything?"
WHERE = "Where in the image does it help?"
GRADIENT = "How much of the gradient reaches the first layers?"
SPEED = "Does it learn faster?"
USED = "Which of its long skips does a trained network use?"
RESIDUAL = "And ResNet's shortcuts?"

_SIDES = ("outside", "inside")
_KINDS = {"long": "the long skip", "down": "the shortcut on the way down", "up": "the shortcut on the way up"}


def findings(results: SkipResults) -> dict[str, list[str]]:
    """Each question, and what may be said of it."""
    return {
        WORTH: of_worth(results),
        WHERE: of_bands(results),
        GRADIENT: of_gradients(results),
        SPEED: [*of_convergence(results, "step"), *of_convergence(results, "seconds")],
        USED: of_cuts(results, ("long",)),
        RESIDUAL: [*of_residual(results), *of_cuts(results, ("down", "up"))],
    }


def to_dict(results: SkipResults) -> dict[str, Any]:
    """For JSON: what may be said, and all figures."""
    return {"findings": findings(results), **results.to_dict()}


def of_worth(results: SkipResults) -> list[str]:
    """Whether a long skip is worth anything, and whether it is what it carries or the parameters that come with it."""
    found = [
        _compared(results, REFERENCE, name)
        for name in ("none", f"none{WIDER}", "add", f"add{WIDER}")
        if name in results.names
    ]
    if f"none{WIDER}" not in results.names and "none" in results.names:
        found.append(_no_wider(results))
    return found


def of_residual(results: SkipResults) -> list[str]:
    """What ResNet's shortcuts do with and without the long skip, and whether they can stand in for it."""
    pairs = [("residual-copy", REFERENCE), ("residual-none", "none"), ("residual-none", REFERENCE)]
    pairs.append((f"residual-none{WIDER}", REFERENCE))
    return [_compared(results, *pair) for pair in pairs if set(pair) <= set(results.names)]


def of_bands(results: SkipResults) -> list[str]:
    """Where in the image each network errs more than the reference, or less."""
    others = [name for name in results.names if name != REFERENCE]
    told = {name: sentence for name in others if (sentence := _bands_of(results, name))}
    silent = [name for name in others if name not in told]
    found = list(told.values())
    if silent:
        found.append(f"In no band can {_joined(silent, last='or')} be told from {REFERENCE} on these images.")
    return found


def of_gradients(results: SkipResults) -> list[str]:
    """How strong a gradient arrives in the topmost level of the way down, beside that of a network without the skip."""
    found = []
    for name, other in ((REFERENCE, "none"), ("residual-none", "none"), ("residual-copy", REFERENCE)):
        if {name, other} <= set(results.names):
            before, after = (_times(results.gradient_ratio(name, other, when)) for when in ("before", "after"))
            found.append(
                f"Seed by seed, the gradient that arrives in the topmost level of {name} is {before} as strong as in "
                f"{other} before the training, and {after} after it."
            )
    return found


def of_convergence(results: SkipResults, by: Measure) -> list[str]:
    """How soon each network first scored what the reference had nearly reached in the end."""
    if math.isnan(results.milestone):
        return []
    form = "at step {:.0f}" if by == "step" else "after {:.0f} s"
    reached, never = [], []
    for name in results.names:
        times = results.reaching(name, by)
        each = f" ({_each(times.seeds, '.0f')})" if len(times.seeds) > 1 else ""
        part = f" in {len(times.seeds)} of {len(times.seeds) + times.missing} trainings" if times.missing else ""
        if times.seeds:
            reached.append(f"{name} {form.format(times.mean)}{each}{part}")
        else:
            never.append(name)
    by_whom = " by " + _joined(reached, "; ") if reached else ""
    not_by = f"{', and' * bool(reached)} by no training of {_joined(never, last='or')}" if never else ""
    return [f"A score of {results.milestone:.3f} in validation was reached{by_whom}{not_by}."]


def of_cuts(results: SkipResults, kinds: Sequence[str]) -> list[str]:
    """Which of its skips of these kinds each network leans on."""
    with_some = [name for name in results.names if any(place.kind in kinds for place in results.places(name))]
    told = {name: sentence for name in with_some if (sentence := _cuts_of(results, name, kinds))}
    silent = [name for name in with_some if name not in told]
    found = list(told.values())
    if silent:
        found.append(f"In {_joined(silent, last='or')} no single one can be told to matter on these images.")
    return found


def place_name(place: Place) -> str:
    """
    >>> place_name(Place("long", 0))
    'the long skip at level 1'
    """
    return f"{_KINDS[place.kind]} at level {place.level + 1}"


def _bands_of(results: SkipResults, name: str) -> str:
    """Empty where nothing can be told."""
    apart = {(side, band): results.band_difference(name, side, band) for side in (0, 1) for band in range(BANDS)}
    told = {at: of for at, of in apart.items() if of is not None and of.is_distinguishable}
    found = []
    for more, words in ((True, "more"), (False, "fewer")):
        here = [
            f"{band_names()[band]} {_SIDES[side]} ({signed(100 * of.mean, 1)} points)"
            for (side, band), of in told.items()
            if (of.mean > 0) == more
        ]
        if here:
            found.append(f"{words} {_joined(here)}")
    silent = sum(of is not None for of in apart.values()) - len(told)
    rest = f"; in the other {counted(silent, 'band')} no difference can be told" if silent else ""
    return f"Of {name}, beside {REFERENCE}, wrong pixels are {'; '.join(found)}{rest}." if found else ""


def _cuts_of(results: SkipResults, name: str, kinds: Sequence[str]) -> str:
    """Empty where nothing can be told."""
    drops = {place: results.drop(name, place) for place in results.places(name) if place.kind in kinds}
    told = [(place, of) for place, of in drops.items() if of is not None and of.is_distinguishable and of.mean > 0]
    words = [
        f"{place_name(place)}, {of.mean:.3f} ({of.low:.3f} to {of.high:.3f})"
        for place, of in sorted(told, key=lambda pair: -pair[1].mean)
    ]
    rest = len(drops) - len(told)
    silent = f"; of {counted(rest, 'other skip')} no loss can be told" if rest else ""
    return f"{name} loses Dice without {_joined(words, '; ')}{silent}." if words else ""


def _compared(results: SkipResults, name: str, other: str) -> str:
    """One network beside another, by the score of the comparison."""
    apart = results.score_difference(name, other)
    if apart is None:
        return f"{name} and {other} have no seed in common, and cannot be compared."
    scores = [results.scored.spread(results.standing(of), results.scored.primary).mean for of in (name, other)]
    sizes = [results.standing(of).cost.parameters for of in (name, other)]
    figures = (
        f"{scores[0]:.3f} against {scores[1]:.3f} ({TITLES[results.scored.primary]}; {sizes[0]:,} and {sizes[1]:,} "
        f"parameters), a difference of {spread_in_words(apart)}."
    )
    if not apart.is_distinguishable:
        return f"Whether {name} scores higher or lower than {other} cannot be told: {figures}"
    return f"{name} scores {'higher' if apart.mean > 0 else 'lower'} than {other}: {figures}"


def spread_in_words(apart: Spread) -> str:
    """A difference with its interval over images and what each seed had."""
    interval = "" if math.isnan(apart.low) else f"95 % interval {signed(apart.low)} to {signed(apart.high)}"
    each = f"with each seed {', '.join(signed(of) for of in apart.seeds)}" if len(apart.seeds) > 1 else ""
    aside = "; ".join(filter(None, [interval, each]))
    return f"{signed(apart.mean)} ({aside})" if aside else signed(apart.mean)


def _no_wider(results: SkipResults) -> str:
    sizes = {name: results.standing(name).cost.parameters for name in ("none", REFERENCE)}
    return (
        f"No whole width brings none nearer to the {sizes[REFERENCE]:,} parameters of {REFERENCE} than its "
        f"{sizes['none']:,}: what comes of the skip and what of {1 - sizes['none'] / sizes[REFERENCE]:.0%} fewer "
        "parameters cannot be told apart. A larger --width can."
    )


def _times(ratio: OfSeeds) -> str:
    """How many times; with a warning where the seeds disagree on which of the two is stronger."""
    if not ratio.seeds:
        return "beyond comparison"
    disagree = min(ratio.seeds) < 1 < max(ratio.seeds)
    times = _joined([f"{seed:.2g}" for seed in ratio.seeds])
    return f"{times} times{' (on which the seeds disagree)' * disagree}"


def _each(values: Sequence[float], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values)


def signed(number: float, decimals: int = 3) -> str:
    """
    >>> signed(-0.5), signed(12.34, 1)
    ('−0.500', '+12.3')
    """
    return f"{round(number, decimals) + 0.0:+.{decimals}f}".replace("-", "−")


def _joined(names: Sequence[str], comma: str = ", ", last: str = "and") -> str:
    """
    >>> _joined(["a", "b", "c"])
    'a, b and c'
    """
    return f" {last} ".join(filter(None, [comma.join(names[:-1]), names[-1]]))
