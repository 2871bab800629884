"""`ushape check DATA`"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ushape.cli.facts import plan_facts
from ushape.cli.options import Data, Device, GroupBy, Ignore, Include, Json, Model, Overwrite, RecipeFile, Seed, Task
from ushape.cli.settings import flags_in_words, must_be_free, tables
from ushape.cli.text import say, say_facts, say_faults, say_json
from ushape.data.annotation import annotate
from ushape.data.folder import survey
from ushape.device import choose_device
from ushape.errors import RecipeError
from ushape.models import axes_of
from ushape.recipe import Recipe
from ushape.regions import region_facts, regions_of
from ushape.report.preview import write_augmented, write_weights
from ushape.train.plan import plan
from ushape.train.prepare import prepare, split_for
from ushape.train.session import wanted_axes, wanted_data, with_budget


def check(
    data: Data,
    model: Model = None,
    recipe: RecipeFile = None,
    task: Task = None,
    include: Include = None,
    group_by: GroupBy = None,
    ignore: Ignore = None,
    seed: Seed = None,
    device: Device = None,
    augment: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw what the network will see, as deformed.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw what the pixels of an image weigh in the loss.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Show what a folder holds, what its masks mean, what is wrong with it, and what would be trained and why.

    Exit status 0 where it can be trained on, 2 where not.
    """
    must_be_free([path for path in (augment, weights) if path], overwrite=overwrite)
    flags = {"model": model, "task": task, "include": include, "group_by": group_by, "ignore": ignore, "seed": seed}
    said = with_budget(tables(recipe, flags), None, None)
    wanted = wanted_data(said)
    axes = wanted_axes(said)
    found = survey(data, include=wanted.include, group_by=wanted.group_by or None, axes=axes)
    annotation = annotate(
        found, task=None if wanted.task == "auto" else wanted.task, ignored_values=wanted.ignored_values
    )
    trainable = all(fault.severity != "error" for fault in annotation.faults)
    facts = found.summary()
    about: dict[str, Any] = {"trainable": trainable, "layout": found.layout, "images": len(found.pairs)}
    if trainable:
        planned = plan(found, annotation, said, choose_device(device))
        parts = split_for(found, annotation, planned.recipe)
        regions = regions_of(planned.recipe.regions, annotation.labels)
        facts += [*annotation.summary(), *region_facts(regions, annotation.labels)]
        facts += [("split", parts.rule), *plan_facts(planned)]
        about |= {
            "labels": asdict(annotation.labels),
            "regions": {region.name: list(region.numbers) for region in regions},
            "training": [pair.name for pair in parts.training],
            "validation": [pair.name for pair in parts.validation],
            "recipe": planned.recipe.to_dict(),
            "reasons": dict(planned.reasons),
        }
        facts += _drawn(data, planned.recipe, augment, weights)
    if json:
        say_json({**about, "facts": facts, "faults": [asdict(fault) for fault in annotation.faults]})
    else:
        say_facts(facts)
        say_faults(annotation.faults)
        if trainable:
            words = flags_in_words({"recipe": recipe, **flags})
            say(f"Train on it with: {shlex.join(['ushape', 'train', str(data), *words])} --out RUN")
    if not trainable:
        raise typer.Exit(2)


def _drawn(data: Path, recipe: Recipe, augment: Path | None, weights: Path | None) -> list[tuple[str, str]]:
    """The pictures that were asked for."""
    if not augment and not weights:
        return []
    if axes_of(recipe.model.name) != 2:
        raise RecipeError(
            "Of volumes there is no picture of patches or weights yet. Leave --augment and --weights out."
        )
    prepared, facts = prepare(data, recipe), []
    if weights:  # first, as there may be none
        name = write_weights(weights, prepared, recipe)
        facts.append(("weights", f"{weights}, of {name}"))
    if augment:
        write_augmented(augment, prepared, recipe)
        facts.append(("augmentation", str(augment)))
    return facts
