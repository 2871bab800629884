"""A folder, and growing parts of it → what more annotated images would bring.

A fifth of the images, in whole groups, judges; a quarter, a half and all of the others train, each within the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ushape.compare.division import Division, require_told_apart
from ushape.data.pair import Pair, counted, listed
from ushape.data.split import split
from ushape.errors import DataError
from ushape.repetition.beginning import Beginning, Tables
from ushape.repetition.crossvalidation import check_meanings
from ushape.repetition.member import Member
from ushape.repetition.repetition import Repetition

_PARTS = (1 / 4, 1 / 2, 1.0)


def learning_curve(
    data: Path, out: Path, tables: Tables, *, device: str | None = None, overwrite: bool = False
) -> Repetition:
    """The trainings images-4, images-8, … into `out`, named after how many they learn from; an equal call goes on.

    DataError where there are too few images, or groups of them, for two parts that differ, and for what a
    cross-validation refuses.
    """
    begin = Beginning.of(data, out, tables, device=device, overwrite=overwrite)
    pairs, counts = begin.found.pairs, begin.annotation.counts
    whole = split(pairs, seed=begin.seed, counts=counts)
    parts = _parts(whole.training, begin.seed) if whole.held_back else []
    if len(parts) < 2:
        raise DataError(
            f"{counted(len(pairs), 'annotated image')} in {counted(len({pair.group for pair in pairs}), 'group')} make "
            "no learning curve: it takes parts of two sizes to train on, and others to score on. Annotate more."
        )
    divisions = {f"images-{len(part)}": Division(part, whole.validation, "") for part in parts}
    for division in divisions.values():
        require_told_apart(division)
    check_meanings(begin, divisions)
    judged = tuple(pair.name for pair in whole.validation)
    plan, ledger = begin.planned("learning-curve", dict.fromkeys(divisions, judged))
    members = [
        Member(name, replace(plan.recipe, data=replace(plan.recipe.data, include=of.include)), of.test)
        for name, of in divisions.items()
    ]
    sizes = listed([str(len(part)) for part in parts])
    rule = f"{sizes} images to train on, each part within the next, and {counted(len(judged), 'other')} to score on"
    return Repetition(begin, plan, ledger, members, rule, overwrite=overwrite)


def _parts(pairs: Sequence[Pair], seed: int) -> list[tuple[Pair, ...]]:
    """Whole groups, drawn once, as many as come nearest to each part; of a single sequence its first images."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.group, []).append(pair)
    names = list(groups)
    order = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
    steps = [groups[name] for name in order] if len(names) > 1 else [[pair] for pair in pairs]
    ends = np.cumsum([len(step) for step in steps])
    nearest = sorted({int(np.argmin(np.abs(ends - part * len(pairs)))) + 1 for part in _PARTS})
    chosen = [{pair.name for step in steps[:end] for pair in step} for end in nearest]
    return [tuple(pair for pair in pairs if pair.name in names) for names in chosen]
