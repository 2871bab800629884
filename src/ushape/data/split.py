"""split(pairs) → training and validation, whole groups on either side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ushape.data.names import natural
from ushape.data.pair import Pair, counted, listed
from ushape.errors import DataError, RecipeError

_TRIES = 64
"""Orders of the groups that are tried for one that leaves every class on both sides."""
WATCHED = 0.2
"""Share of the images that is scored where all are trained on."""


@dataclass(frozen=True)
class Split:
    """Pairs to learn from and pairs to score on, in the order of counting; rule: how they were chosen, in words."""

    training: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    rule: str

    @property
    def held_back(self) -> bool:
        """Whether the pairs to score on are not learned from; else their scores say nothing of other images."""
        return not {pair.name for pair in self.training} & {pair.name for pair in self.validation}


def split(
    pairs: Sequence[Pair],
    *,
    validation_fraction: float = 0.2,
    seed: int = 0,
    counts: Mapping[str, Sequence[int]] | None = None,
) -> Split:
    """The same split for the same seed, whatever the order of the pairs.

    Whole groups are drawn at random, as many as fit into the fraction. A single group is an ordered sequence, of which
    a block is held back: the last one for seed 0, the one before for seed 1, and so on. At least one image is held
    back; a single image is trained on and scored on. counts: annotated pixels per class by pair name, the background
    first; then the first draw is taken that leaves every class in training, and best in validation too, and images
    without any such pixel are on neither side. With a fraction of 0 all are trained on, and a fifth of them, drawn by
    the same rule, is scored on as well.
    """
    if not pairs:
        raise DataError("There are no annotated images to split. See what 'ushape check' says of the folder.")
    if not 0 <= validation_fraction < 1:
        raise RecipeError(
            f"validation_fraction is {validation_fraction}; it is a share from 0 up and below 1, such as 0.2."
        )
    every = sorted(pairs, key=lambda pair: (natural(pair.name), pair.name))
    ordered = tuple(pair for pair in every if counts is None or any(counts.get(pair.name, (1,))))
    left_out = [pair.name for pair in every if pair not in ordered]
    if not ordered:
        raise DataError(f"Not one pixel is annotated in {listed(left_out)}; annotate some, of every class.")
    unseen = f"; nothing is annotated in {listed(left_out, most=6)}" if left_out else ""
    if len(ordered) == 1:
        only = ordered[0].name
        rule = f"{only} is trained on and validated on: the score says nothing of other images{unseen}"
        return Split(ordered, ordered, rule)
    wanted = min(max(1, round((validation_fraction or WATCHED) * len(ordered))), len(ordered) - 1)
    groups = _by_group(ordered)
    draws = _blocks(ordered, wanted, seed) if len(groups) == 1 else _draws(groups, wanted, seed)
    held = min(draws, key=lambda names: _classes_missing(ordered, names, counts))
    validation = tuple(pair for pair in ordered if pair.name in held)
    if not validation_fraction:
        scored = listed([pair.name for pair in validation], most=6)
        rule = f"all {len(ordered)} images are trained on; the scores, of {scored}, say nothing of other images{unseen}"
        return Split(ordered, validation, rule)
    training = tuple(pair for pair in ordered if pair.name not in held)
    return Split(training, validation, _rule(validation, len(groups), training) + unseen)


def _by_group(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        groups[pair.group].append(pair.name)
    return dict(sorted(groups.items(), key=lambda item: (natural(item[0]), item[0])))


def _draws(groups: Mapping[str, list[str]], wanted: int, seed: int) -> Iterator[frozenset[str]]:
    """Sets of names of whole groups: at most `wanted` images, or else one group of the fewest images."""
    rng = np.random.default_rng(seed)
    members = list(groups.values())
    for _ in range(_TRIES):
        held: list[str] = []
        order = [members[k] for k in rng.permutation(len(members))]
        for names in order:
            if len(held) + len(names) <= wanted:
                held += names
        yield frozenset(held or sorted(order, key=len)[0])


def _blocks(pairs: Sequence[Pair], wanted: int, seed: int) -> Iterator[frozenset[str]]:
    """Sets of neighbouring names, beginning with the block that the seed counts back to from the end."""
    names = [pair.name for pair in pairs]
    starts = list(range(len(names) - wanted, -1, -wanted))
    for k in range(len(starts)):
        start = starts[(seed + k) % len(starts)]
        yield frozenset(names[start : start + wanted])


def _classes_missing(
    pairs: Sequence[Pair], held: frozenset[str], counts: Mapping[str, Sequence[int]] | None
) -> tuple[int, int]:
    """How many of the classes there are training lacks, and how many validation lacks."""
    if counts is None:
        return 0, 0
    present = [
        {k for pair in pairs if (pair.name in held) is side for k, n in enumerate(counts.get(pair.name, ())) if n}
        for side in (False, True)
    ]
    every = present[0] | present[1]
    return len(every - present[0]), len(every - present[1])


def _rule(validation: Sequence[Pair], groups: int, training: Sequence[Pair]) -> str:
    sizes = f"{counted(len(training), 'image')} to train on, {len(validation)} to validate on"
    if groups == 1:
        span = validation[0].name if len(validation) == 1 else f"{validation[0].name} to {validation[-1].name}"
        return f"{sizes}: the block {span} of one sequence, since neighbours are alike"
    if groups == len(training) + len(validation):
        return f"{sizes}, drawn at random"
    held = list(dict.fromkeys(pair.group for pair in validation))
    return f"{sizes}: {counted(len(held), 'whole group')} of {groups} ({listed(held, most=6)}), drawn at random"
