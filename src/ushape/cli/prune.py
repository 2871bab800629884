"""`ushape prune RUN`, and `ushape prune RUN --level LEVEL --out FILE`"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ushape import checkpoint
from ushape.atomic import check_place
from ushape.checkpoint import Trained
from ushape.cli.bar import Bar
from ushape.cli.options import Device, Json, Overwrite, RunFolder
from ushape.cli.settings import must_stand_alone
from ushape.cli.tables import say_levels
from ushape.cli.text import say_facts, say_json
from ushape.device import choose_device
from ushape.errors import RecipeError
from ushape.prune import LevelComparison, Levels, pruned


def prune(
    run: RunFolder,
    level: Annotated[int | None, typer.Option(help="Cut the network to this level; 1 is the smallest.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Checkpoint for the network cut.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DATA", help="Where the images of the training are now, if they moved.")
    ] = None,
    device: Device = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Cut a UNet++ to one of its levels; without --level, show what each costs and scores, to choose by.

    The levels are scored on the images that the training was validated on.
    """
    file, place = run / "best.safetensors" if run.is_dir() else run, choose_device(device)
    if level is None:
        if out or overwrite:
            raise RecipeError("Which level is to be written? Give --level, or leave --out out to see them all.")
        _show(run, _compared(checkpoint.read(file, place), data), json=json)
        return
    must_stand_alone("--level", {"data": data}, "cuts the network without looking at images")
    if out is None:
        raise RecipeError("Where to? Give a file for the smaller network: --out FILE.")
    check_place(out, overwrite=overwrite)
    whole = checkpoint.read(file, place)
    cut = pruned(whole, level, str(file))
    checkpoint.write(out, cut)
    before, after = whole.model.parameter_count, cut.model.parameter_count
    if json:
        say_json({"run": str(run), "file": str(out), "level": level, "parameters": after})
        return
    objects = [("objects", "found by the rule that was chosen for the whole network")] if cut.object_rule else []
    say_facts([(str(out), f"level {level}: {after:,} of {before:,} parameters"), *objects])


def _compared(trained: Trained, data: Path | None) -> Levels:
    """All levels, while a bar shows how far we are."""
    course = LevelComparison(trained, data)
    with Bar("comparing levels") as bar:
        for event in course.events():
            bar.show(event.done / event.total, event.doing)
    return course.result()


def _show(run: Path, levels: Levels, *, json: bool) -> None:
    if json:
        say_json({"run": str(run), **levels.to_dict()})
        return
    say_levels(levels)
    if levels.recommended and levels.recommended.level:
        words = ["ushape", "prune", str(run), "--level", str(levels.recommended.level)]
        say_facts([("next", f"{shlex.join(words)} --out FILE")])
