"""Base, middle and apex of a ventricle, and what does not fit from slice to slice: it is told, never mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ushape.cardiac.ventricle import Ventricle

Level = Literal["base", "mid", "apex"]
LEVELS: tuple[Level, ...] = get_args(Level)

LARGEST_JUMP = 0.2
"""Of the largest area of a region: a slice that departs by more from both neighbours may stand apart from them."""

RULE = (
    "Base, mid and apex are the thirds of the slices from the first to the last that shows the manual ventricle, the "
    "end with the larger areas being the base; of a number that three does not divide, the base has the first one more."
)


def base_is_last(ventricle: Ventricle) -> bool:
    """Whether the slices run from apex to base: the areas in their latter half are the larger ones."""
    areas = ventricle.outer.sum(axis=(1, 2))[ventricle.present]
    half = len(areas) // 2
    return half > 0 and float(areas[-half:].mean()) > float(areas[:half].mean())


def seen_from_base(ventricle: Ventricle, along_stack: bool | None) -> bool | None:
    """Whether slices are seen from the base. along_stack: whether who looks at them looks the way that they go on."""
    return None if along_stack is None else along_stack != base_is_last(ventricle)


def levels(ventricle: Ventricle) -> list[Level | None]:
    """Of each slice, base first; None beyond the ventricle.

    >>> levels(Ventricle(np.ones((4, 1, 1), dtype=bool)))
    ['base', 'base', 'mid', 'apex']
    """
    shown = np.flatnonzero(ventricle.present)
    if not shown.size:
        return [None] * len(ventricle.present)
    first, count = int(shown[0]), int(shown[-1] - shown[0]) + 1
    return [
        LEVELS[3 * (number - first) // count] if 0 <= number - first < count else None
        for number in range(len(ventricle.present))
    ]


def inconsistencies(ventricle: Ventricle) -> list[str]:
    """What no heart looks like, a sentence each; slices are numbered from 1, as they stand in the stack."""
    found = [*_gaps(ventricle.endocardium, "cavity")]
    if ventricle.epicardium is not None:
        found += _gaps(ventricle.epicardium, "wall or cavity")
        bare = ventricle.endocardium.any(axis=(1, 2)) & ~(ventricle.epicardium & ~ventricle.endocardium).any(
            axis=(1, 2)
        )
        found += [f"Cavity without any wall in {_slices(np.flatnonzero(bare))}."] if bare.any() else []
    for name, mask in ventricle.regions().items():
        torn = [n for n, one in enumerate(mask) if ndimage.label(one)[1] > 1]
        found += [f"The {name} is in several pieces in {_slices(torn)}."] if torn else []
        found += [f"The {name} of slices {a + 1} and {b + 1} have no pixel in common." for a, b in _apart(mask)]
        found += _jumps(name, mask)
    return found


def reach(ours: Ventricle, theirs: Ventricle) -> list[str]:
    """Where the predicted cavity begins or ends in another slice than the manual one, as sentences.

    ours: the predicted; theirs: the manual.
    """
    ends = [np.flatnonzero(v.endocardium.any(axis=(1, 2))) for v in (ours, theirs)]
    if not all(end.size for end in ends):
        return [] if ends[0].size == ends[1].size else ["Only one of the two readers sees a cavity."]
    predicted, manual = ends
    told = []
    for name, more in (("base", int(manual[0] - predicted[0])), ("apex", int(predicted[-1] - manual[-1]))):
        if more:
            number = f"{abs(more)} slice{'s' * (abs(more) > 1)}"
            told.append(f"At the {name} the predicted cavity has {number} {'more' if more > 0 else 'fewer'}.")
    return told


def _gaps(mask: NDArray[np.bool_], what: str) -> Iterator[str]:
    shown = np.flatnonzero(mask.any(axis=(1, 2)))
    missing = [n for n in range(int(shown[0]), int(shown[-1])) if n not in shown] if shown.size else []
    if missing:
        yield f"No {what} in {_slices(missing)}, between slices that have it."


def _apart(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Neighbouring slices that both show the region, at places that have nothing in common."""
    for above, below in pairwise(range(len(mask))):
        if mask[above].any() and mask[below].any() and not (mask[above] & mask[below]).any():
            yield above, below


def _jumps(name: str, mask: NDArray[np.bool_]) -> Iterator[str]:
    """Slices whose area departs from both neighbours', and by more than these do from each other."""
    areas = mask.sum(axis=(1, 2)).tolist()
    for number, (before, area, after) in enumerate(zip(areas, areas[1:], areas[2:], strict=False), start=2):
        apart = abs(area - median((before, area, after)))
        if min(before, area, after) > 0 and apart > max(LARGEST_JUMP * max(areas), abs(before - after)):
            yield f"The {name} has {area} pixels in slice {number}, but {before} and {after} in its neighbours."


def _slices(numbers: Sequence[int] | NDArray[np.intp]) -> str:
    listed = ", ".join(str(int(number) + 1) for number in numbers)
    return f"slice{'s' * (len(numbers) > 1)} {listed}"
