"""Masks of which little is annotated: whether they may be scribbles, and what can be wrong with them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from ushape.data.drawn import Drawn
from ushape.data.mask_values import Tally, together
from ushape.data.pair import Fault, error, listed, warning
from ushape.images.source import UNANNOTATED
from ushape.labels import Labels
from ushape.metrics.scope import is_sparse, stated_share

_MOSTLY = 0.8  # of the pixels: what is not annotated beside scribbles
_MOST_STROKES = 8  # values; nobody scribbles with more pens
_THIN = 0.4  # of a value's pixels that lie inside it: a third of strokes of 3 px, 0.44 of squares of 6, 0.8 of 20


def ignored_faults(drawn: Sequence[Drawn], ignored_values: Sequence[int]) -> list[Fault]:
    """Values to be ignored that no mask has."""
    there = {int(value) for d in drawn for tally in d.tallies for value in tally.values} - {UNANNOTATED}
    missing = [value for value in ignored_values if value not in there]
    if not missing:
        return []
    found = listed(map(str, sorted(there)), most=6)
    return [warning(f"No mask holds the ignored value {listed(map(str, missing), most=6)}; there are {found}.")]


def scribble_faults(drawn: Sequence[Drawn]) -> list[Fault]:
    """Masks that look scribbled, whose remainder would be taken for a class."""
    every = together(tally for d in drawn for tally in d.tallies)
    if not 3 <= len(every.values) <= 1 + _MOST_STROKES:
        return []
    rest = int(every.pixels.argmax())
    share, value = every.pixels[rest] / every.pixels.sum(), _named(int(every.values[rest]), drawn)
    if share < _MOSTLY or not _are_thin(every, rest):
        return []
    quoted = shlex.quote(value)  # a shell takes what follows a # for a comment
    strokes = listed((_named(int(v), drawn) for v in np.delete(every.values, rest)), most=_MOST_STROKES)
    return [
        warning(
            f"Value {value} covers {share:.1%} of the pixels, and {strokes} are thin strokes. If these are scribbles, "
            f"and {value} is what nobody annotated, say so with --ignore {quoted}, or [data] ignored_values in the "
            f"recipe; as it is, all of {value} is learned as a class."
        )
    ]


def sparse_faults(
    drawn: Sequence[Drawn], counts: Mapping[str, Sequence[int]], labels: Labels, *, told_apart: bool
) -> list[Fault]:
    """What ignored pixels leave too little of. `counts`: annotated pixels per class, by pair name."""
    faults = []
    blank = [d for d in drawn if not any(counts[d.pair.name])]
    if 0 < len(blank) < len(drawn):
        names = listed(d.pair.name for d in blank)
        faults.append(
            warning(f"Not one pixel is annotated in {names}; left out.", [path for d in blank for path in d.files])
        )
    pixels = [sum(count[k] for count in counts.values()) for k in range(labels.classes)]
    if labels.ignored_values and sum(pixels) and not pixels[0]:
        faults.append(
            error(
                f"Beside what is ignored, no pixel of the {labels.names[0]} is annotated, so there is nothing to tell "
                f"the {labels.names[1]} from. Draw some background, and give what is not annotated another value."
            )
        )
    annotated = sum(pixels) / sum(d.pixels for d in drawn)
    if told_apart and is_sparse(annotated):
        faults.append(
            warning(
                f"Objects are to be told apart, but only {stated_share(annotated)} of the pixels are annotated. An "
                "object that is drawn in part teaches what it is made of, not where it ends: objects found, border "
                "weights and scores follow what is drawn. Draw some objects whole, with the background around them, or "
                "train for the task 'semantic'."
            )
        )
    return faults


def _are_thin(every: Tally, rest: int) -> bool:
    """Whether all values but one have hardly a pixel whose neighbours are all their own."""
    inside = np.delete(every.inner, rest) / np.delete(every.pixels, rest)
    return bool((inside < _THIN).all())


def _named(value: int, drawn: Sequence[Drawn]) -> str:
    return f"#{value:06x}" if any(d.coloured for d in drawn) else str(value)
