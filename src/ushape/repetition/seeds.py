"""One recipe with several seeds: each draws its own split, patches and first weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ushape.data.pair import counted
from ushape.data.split import split
from ushape.errors import RecipeError
from ushape.metrics.families import FamilyName
from ushape.repetition.beginning import Beginning, Tables
from ushape.repetition.member import Member
from ushape.repetition.repetition import Repetition
from ushape.train.plan import plan_for_images


def several_seeds(
    data: Path,
    out: Path,
    tables: Tables,
    *,
    number: int,
    families: Collection[FamilyName] | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> Repetition:
    """The trainings seed-0, seed-1, … into `out`, or from the seed of the tables on; an equal call goes on, and more
    seeds may join.

    Each is judged on the images that its own split holds back to choose the best network by. RecipeError for fewer
    than two; DataError and all else as for a cross-validation.
    """
    if number < 2:
        raise RecipeError(f"{counted(number, 'seed')} cannot be averaged; give --seeds 2 or more, or leave it out.")
    begin = Beginning.of(data, out, tables, device=device, overwrite=overwrite)
    pairs, counts = begin.found.pairs, begin.annotation.counts
    fraction = plan_for_images(begin.found, begin.annotation, tables).recipe.data.validation_fraction
    seeds = {f"seed-{seed}": seed for seed in range(begin.seed, begin.seed + number)}
    splits = {
        name: split(pairs, validation_fraction=fraction, seed=seed, counts=counts) for name, seed in seeds.items()
    }
    judged = {name: parts.validation for name, parts in splits.items()}
    plan, ledger = begin.planned("seeds", {name: tuple(p.name for p in of) for name, of in judged.items()})
    members = [Member(name, replace(plan.recipe, seed=seed), judged[name]) for name, seed in seeds.items()]
    rule = f"{number} seeds, each with a split of its own: {next(iter(splits.values())).rule}"
    held_back = all(parts.held_back for parts in splits.values())
    return Repetition(begin, plan, ledger, members, rule, families=families, held_back=held_back, overwrite=overwrite)
