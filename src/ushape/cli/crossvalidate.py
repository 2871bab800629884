"""`ushape crossvalidate DATA --out DIR`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ushape.cli import COMMAND
from ushape.cli.options import (
    Data,
    Device,
    GroupBy,
    Ignore,
    Include,
    Json,
    Minutes,
    Overwrite,
    RecipeFile,
    Seed,
    Steps,
    Task,
    Width,
)
from ushape.cli.repetition import repeat
from ushape.cli.settings import must_stand_alone, tables
from ushape.metrics.families import ABOUT, families_named
from ushape.repetition.crossvalidation import MOST_FOLDS, cross_validation
from ushape.repetition.learning_curve import learning_curve
from ushape.train.session import with_budget


def crossvalidate(
    ctx: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for all trainings and the page.")],
    folds: Annotated[
        int | None,
        typer.Option(help=f"Parts, each held back once; {MOST_FOLDS}, or of fewer groups each, where left out."),
    ] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Which network; `ushape inspect` shows it.")] = None,
    width: Width = None,
    recipe: RecipeFile = None,
    task: Task = None,
    include: Include = None,
    group_by: GroupBy = None,
    ignore: Ignore = None,
    seed: Seed = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help=f"Scores beside those of pixels: {', '.join(ABOUT)}; several with commas."),
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="Also DIR/out-of-fold: each image's mask by the network that never saw it.")
    ] = False,
    curve: Annotated[
        bool,
        typer.Option("--learning-curve", help="In place of folds, growing parts: what would more images bring?"),
    ] = False,
    device: Device = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a network without each part of the images, and score it on that part. Ctrl-C, and it goes on.

    Minutes or steps are those of each training. All networks together are an ensemble: `ushape predict DIR`.
    """
    flags = {"model": model, "width": width, "task": task, "include": include, "seed": seed}
    flags |= {"group_by": group_by, "ignore": ignore}
    budgeted = with_budget(tables(recipe, flags), minutes, steps)
    if curve:
        others = {"folds": folds, "metrics": metrics, "masks": masks}
        must_stand_alone("--learning-curve", others, "trains on growing parts, all judged on the same images")
        repeat(learning_curve(data, out, budgeted, device=device, overwrite=overwrite), ctx.meta[COMMAND], json=json)
        return
    repetition = cross_validation(
        data,
        out,
        budgeted,
        number=folds,
        families=None if metrics is None else families_named(metrics),
        masks=masks,
        device=device,
        overwrite=overwrite,
    )
    repeat(repetition, ctx.meta[COMMAND], json=json)
