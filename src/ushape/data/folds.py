"""folds(pairs, number) → disjoint parts of a folder, as alike as whole groups can be; each is held back once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ushape.data.names import natural
from ushape.data.pair import Pair, counted, listed
from ushape.errors import DataError, RecipeError

_TRIES = 64
"""Orders of the groups that are tried for the parts that are most alike."""

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Folds:
    """The parts, each of pairs in the order of counting; rule: how they were chosen, in words."""

    parts: tuple[tuple[Pair, ...], ...]
    rule: str


def folds(
    pairs: Sequence[Pair],
    number: int,
    *,
    counts: Mapping[str, Sequence[int]],
    class_names: Sequence[str],
    seed: int = 0,
) -> Folds:
    """The same parts for the same seed, whatever the order of the pairs.

    Whole groups, the largest first, go to the part with the fewest images, of equal ones to the one whose classes they
    even out; of many orders of the groups, that is kept whose parts are most alike. A single group is an ordered
    sequence, which is cut into blocks. counts: pixels per class by pair name.

    RecipeError for fewer parts than two. DataError where there are fewer groups (or images of the one group) than
    parts, and where all of a class lies in one part, so that nobody could learn it without.
    """
    if number < 2:
        raise RecipeError(f"A cross-validation of {number} folds holds nothing back; give --folds 2 or more.")
    ordered = sorted(pairs, key=_by_name)
    groups: dict[str, list[Pair]] = {}
    for pair in ordered:
        groups.setdefault(pair.group, []).append(pair)
    _check_number(number, ordered, len(groups))
    if len(groups) == 1:
        cuts = np.linspace(0, len(ordered), number + 1).round().astype(int)
        parts = [ordered[first:last] for first, last in pairwise(cuts.tolist())]
    else:
        parts = _of_groups(list(groups.values()), number, counts, seed)
    _check_classes(parts, counts, class_names)
    return Folds(tuple(map(tuple, parts)), _rule(parts, len(groups)))


def _of_groups(
    groups: Sequence[Sequence[Pair]], number: int, counts: Mapping[str, Sequence[int]], seed: int
) -> list[list[Pair]]:
    sizes = np.array([len(group) for group in groups])
    pixels = np.array([np.sum([counts[pair.name] for pair in group], axis=0) for group in groups], dtype=np.float64)
    shares = pixels / np.maximum(pixels.sum(axis=0), 1)
    rng = np.random.default_rng(seed)
    draws = [_dealt(sizes, shares, number, rng.permutation(len(groups))) for _ in range(_TRIES)]
    best = min(draws, key=lambda draw: _unlikeness(sizes, shares, number, draw))
    parts = [[pair for k in np.flatnonzero(best == part).tolist() for pair in groups[k]] for part in range(number)]
    return [sorted(part, key=_by_name) for part in parts]


def _by_name(pair: Pair) -> tuple[Sequence[object], str]:
    return natural(pair.name), pair.name


def _dealt(sizes: NDArray[np.intp], shares: Shares, number: int, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The part of each group, dealt in this order, the largest first."""
    part_of = np.zeros(len(sizes), dtype=np.intp)
    images, held = np.zeros(number, dtype=np.intp), np.zeros((number, shares.shape[1]))
    for group in sorted(order, key=lambda k: -sizes[k]):
        fewest = np.flatnonzero(images == images.min())
        part = fewest[np.argmin(held[fewest] @ shares[group])]  # what it has already of what the group would bring
        part_of[group] = part
        images[part] += sizes[group]
        held[part] += shares[group]
    return part_of


def _unlikeness(
    sizes: NDArray[np.intp], shares: Shares, number: int, part_of: NDArray[np.intp]
) -> tuple[int, int, float]:
    """Classes that some part has for itself; how uneven the numbers of images are, and the shares of classes."""
    member = part_of == np.arange(number)[:, None]
    held = member @ shares
    alone = int(np.count_nonzero(held > 1 - 1e-9))
    return alone, int(((member @ sizes) ** 2).sum()), float((held**2).sum())


def _check_number(number: int, pairs: Sequence[Pair], groups: int) -> None:
    if groups == 1 and number > len(pairs):
        raise DataError(
            f"{number} folds cannot be made of {counted(len(pairs), 'image')} of one sequence. Give --folds "
            f"{max(2, len(pairs))} or fewer{', or annotate a second image' if len(pairs) == 1 else ''}."
        )
    if 1 < groups < number:
        raise DataError(
            f"{number} folds cannot be made of {counted(groups, 'group')}, which stay whole: images that belong "
            f"together are alike, and would flatter the scores. Give --folds {groups} or fewer, or say with --group-by "
            "what belongs together."
        )


def _check_classes(
    parts: Sequence[Sequence[Pair]], counts: Mapping[str, Sequence[int]], class_names: Sequence[str]
) -> None:
    """Every class must be left to learn from, whichever part is held back."""
    pixels = np.array([np.sum([counts[pair.name] for pair in part], axis=0) for part in parts])
    faults = []
    for number, name in enumerate(class_names):
        has = np.flatnonzero(pixels[:, number])
        if len(has) == 1:
            images = [pair for pair in parts[has[0]] if counts[pair.name][number]]
            of = listed(dict.fromkeys(pair.group for pair in images), most=4)
            faults.append(f"{name} is only in {listed([p.name for p in images], most=4)} (group {of})")
    if faults:
        raise DataError(
            f"Some fold would leave nothing of a class to learn from: {'; '.join(faults)}. Annotate it in images of "
            "another group, or leave those images out with --include."
        )


def _rule(parts: Sequence[Sequence[Pair]], groups: int) -> str:
    sizes = sorted({len(part) for part in parts})
    of = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    images = sum(len(part) for part in parts)
    each = f"{len(parts)} folds of {of} image{'s' * (sizes[-1] > 1)}"
    if groups == 1:
        return f"{each}: blocks of one sequence, since neighbours are alike"
    if groups == images:
        return f"{each}, drawn so that their classes are alike" + (": one image each" if groups == len(parts) else "")
    alone = ": one group each" if groups == len(parts) else ", drawn so that their sizes and classes are alike"
    return f"{each}: whole groups, {groups} in all{alone}"
