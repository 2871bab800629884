"""A folder in k folds → k trainings, each without a fold, on which its network is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from ushape.compare.division import Division, require_told_apart
from ushape.data.annotation import annotate
from ushape.data.folds import folds
from ushape.data.pair import Pair
from ushape.errors import DataError
from ushape.metrics.families import FamilyName
from ushape.repetition.beginning import Beginning, Tables
from ushape.repetition.member import Member
from ushape.repetition.repetition import Repetition

MOST_FOLDS = 5  # unless more are asked for


def cross_validation(
    data: Path,
    out: Path,
    tables: Tables,
    *,
    number: int | None = None,
    families: Collection[FamilyName] | None = None,
    masks: bool = False,
    device: str | None = None,
    overwrite: bool = False,
) -> Repetition:
    """The trainings fold-1, fold-2, … into `out`; an equal call goes on where one stopped.

    A training sees the images of all other folds: of these it holds some back itself, by its own split, to choose its
    best network by. number: of folds; where left out MOST_FOLDS, or of fewer groups as many, which leaves each out
    once. tables: a recipe's, with a budget. families, masks: as Repetition takes them.

    All is checked before anything is trained or written: what `folds` refuses, DataError for a fold without which the
    masks of the others mean something else, and what a Repetition refuses.
    """
    begin = Beginning.of(data, out, tables, device=device, overwrite=overwrite)
    found, annotation = begin.found, begin.annotation
    number = usual_number(found.pairs) if number is None else number
    parts = folds(found.pairs, number, counts=annotation.counts, class_names=annotation.labels.names, seed=begin.seed)
    held = {f"fold-{k}": part for k, part in enumerate(parts.parts, start=1)}
    divisions = {name: _division(found.pairs, part) for name, part in held.items()}
    check_meanings(begin, divisions)
    plan, ledger = begin.planned("cross-validation", {name: tuple(p.name for p in of) for name, of in held.items()})
    members = [
        Member(name, replace(plan.recipe, data=replace(plan.recipe.data, include=of.include)), of.test)
        for name, of in divisions.items()
    ]
    return Repetition(begin, plan, ledger, members, parts.rule, families=families, masks=masks, overwrite=overwrite)


def usual_number(pairs: Collection[Pair]) -> int:
    """Of folds, where nobody says how many: of one sequence its images are what can be held back, else whole groups."""
    groups = len({pair.group for pair in pairs})
    return max(2, min(MOST_FOLDS, groups if groups > 1 else len(pairs)))


def _division(pairs: Collection[Pair], held: Collection[Pair]) -> Division:
    division = Division(tuple(pair for pair in pairs if pair not in held), tuple(held), "")
    require_told_apart(division)
    return division


def check_meanings(begin: Beginning, divisions: Mapping[str, Division]) -> None:
    """DataError unless the masks of each part mean what all together mean, or its network would answer differently."""
    wanted, task = begin.annotation.labels, begin.annotation.task
    for name, division in divisions.items():
        found = replace(begin.found, pairs=division.training)
        labels = annotate(found, task=task, ignored_values=wanted.ignored_values).labels
        if labels != wanted:
            raise DataError(
                f"The images that {name} trains on show {', '.join(labels.names)}; all together show "
                f"{', '.join(wanted.names)}. Give fewer --folds, or annotate each class in more images."
            )
