"""`ushape train DATA --out RUN`"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ushape.cli import COMMAND
from ushape.cli.course import follow, planned, results, with_a_budget
from ushape.cli.options import (
    Data,
    Device,
    Flips,
    GroupBy,
    Ignore,
    Include,
    Json,
    Minutes,
    Model,
    Overwrite,
    RecipeFile,
    Seed,
    Steps,
    Task,
    Width,
)
from ushape.cli.repetition import repeat
from ushape.cli.settings import must_stand_alone, tables
from ushape.cli.tables import say_measures, say_scores
from ushape.cli.text import say, say_facts, say_json
from ushape.cli.together import require_one_process, together
from ushape.evaluate import Evaluation
from ushape.predict.tiled import load
from ushape.repetition import several_seeds
from ushape.report.training import write_training_report
from ushape.train.assistance import assist
from ushape.train.run_folder import check_run_folder
from ushape.train.session import resumed
from ushape.train.stages import training


def train(
    ctx: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the results.")],
    minutes: Minutes = None,
    steps: Steps = None,
    until_flat: Annotated[
        bool, typer.Option("--until-flat", help="End once validation gains no more; the budget is the longest.")
    ] = False,
    model: Model = None,
    width: Width = None,
    padding: Annotated[str | None, typer.Option(help="valid, as published, or same.")] = None,
    recipe: RecipeFile = None,
    task: Task = None,
    include: Include = None,
    group_by: GroupBy = None,
    ignore: Ignore = None,
    flips: Flips = None,
    seed: Seed = None,
    device: Device = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where RUN stopped; a budget is the new total.")
    ] = False,
    overwrite: Overwrite = False,
    all_images: Annotated[
        bool, typer.Option("--all-images", help="Hold none back: no honest score, and nothing left unlearned.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Train so many, into RUN/seed-0 …; together they are an ensemble.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write RUN/tensorboard.")] = False,
    json: Json = False,
) -> None:
    """Train a network on a folder of images and masks. Ctrl-C keeps what is done; --resume goes on."""
    flags = {"model": model, "width": width, "padding": padding, "task": task, "include": include}
    flags |= {"group_by": group_by, "ignore": ignore, "flips": flips, "seed": seed}
    flags |= {"until_flat": until_flat or None, "all_images": all_images or None}
    command = ctx.meta[COMMAND]
    if seeds is not None:
        alone = {"resume": resume, "tensorboard": tensorboard}
        must_stand_alone("--seeds", alone, "goes on by itself and logs each training in its folder")
        require_one_process("--seeds trains one network after another")
        budgeted = with_a_budget(tables(recipe, flags), minutes, steps)
        repetition = several_seeds(data, out, budgeted, number=seeds, device=device, overwrite=overwrite)
        repeat(repetition, command, json=json)
        return
    with together(device) as (processes, place):
        if not processes.leads:
            assist(processes, place)
            return
        if resume:
            given = {**flags, "recipe": recipe, "overwrite": overwrite}
            must_stand_alone("--resume", given, f"goes on with {out / 'recipe.toml'}")
            settled = resumed(out, minutes=minutes, steps=steps)
        else:
            budgeted = with_a_budget(tables(recipe, flags), minutes, steps)
            check_run_folder(out, resume=False, overwrite=overwrite)  # now: to read a large folder takes its time
            settled = planned(data, budgeted, place, processes.size)
        run = training(
            data,
            out,
            settled,
            device=place,
            resume=resume,
            overwrite=overwrite,
            tensorboard=tensorboard,
            command=command,
            processes=processes,
        )
        follow(run, shlex.join(["ushape", "train", str(data), "--out", str(out), "--resume"]))
    evaluation = write_training_report(out, load(out, device=str(place)), run.prepared.truths)
    _say_results(out, evaluation, held_back=run.prepared.split.held_back, json=json)


def _say_results(out: Path, evaluation: Evaluation, *, held_back: bool, json: bool) -> None:
    if json:
        scores = evaluation.to_dict()
        say_json({"run": str(out), **{name: str(path) for name, path in results(out)}, "scores": scores})
        return
    what = "The best network on the validation images" if held_back else "The network, on images that it was trained on"
    say(f"\n{what}:")
    say_scores(evaluation.table.to_dict())
    for measures in evaluation.measures:
        say_measures(measures)
    say_facts([*results(out), ("next", f"{shlex.join(['ushape', 'predict', str(out)])} IMAGES --out MASKS")])
