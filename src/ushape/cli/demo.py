"""`ushape demo`: simulated micrographs, and then nothing but the commands that a user would type."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ushape.atomic import write_whole
from ushape.cli import COMMAND, loaded
from ushape.cli.text import say, say_facts
from ushape.errors import OutputError
from ushape.images.simulated import write_folder

_IMAGES = 24  # cells_000 … cells_019 to train on, cells_020 … cells_023 never seen in training
_SEED = 1
_RECIPE = """\
# What differs from the plan that ushape makes by itself: a small network and small patches, for a quick demonstration.
seed = 1

[model]
width = 16

[data]
include = "cells_00*,cells_01*"

[training]
minutes = 1.25
output_size = 128
validations = 5
"""


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for all of it.")] = Path("ushape-demo"),
    minutes: Annotated[float | None, typer.Option(help="Of training, in place of 1.25.")] = None,
    steps: Annotated[int | None, typer.Option(help="Of training, in place of minutes.")] = None,
) -> None:
    """Draw micrographs, train on some, segment the others, score the masks, write a report: about two minutes."""
    if out.exists():
        raise OutputError(
            f"{out} exists already, and the demo overwrites nothing. Delete it, or choose another folder with --out."
        )
    cells, run, masks, report, scores = (out / name for name in ("cells", "run", "masks", "report.html", "scores.json"))
    say(f"Drawing {_IMAGES} simulated micrographs, with the truth about them, into {cells}.", err=True)
    write_folder(cells, "cells", count=_IMAGES, seed=_SEED, instances=True)
    write_whole(out / "recipe.toml", _RECIPE)
    budget = [f"--{name}={value}" for name, value in (("minutes", minutes), ("steps", steps)) if value is not None]
    lines = [
        ["train", f"{cells}", "--recipe", f"{out / 'recipe.toml'}", *budget, "--out", f"{run}"],
        ["predict", f"{run}", f"{cells / 'images' / 'cells_02*'}", "--out", f"{masks}", "--overlay"],
        ["evaluate", f"{run}", f"{cells}", "--include", "cells_02*", "--json", f"{scores}", "--report", f"{report}"],
    ]
    for line in lines:
        _typed(ctx, line)
    scored = json.loads(scores.read_text(encoding="utf-8"))
    dice, objects = scored["summary"]["foreground"]["dice"]["mean"], scored["measures"][0]["figures"]
    say("\nWhat the demo typed, for you to repeat with your own images:")
    for line in lines:
        say(f"  {shlex.join(['ushape', *line])}")
    say()
    picture = masks / "cells_020_overlay.png"
    found = f"{objects['f1_50']['mean']:.3f} of cells told apart"
    score = f"Dice {dice:.3f}, F1 {found}, on 4 images never seen in training"
    say_facts([("score", score), ("picture", str(picture)), ("report", str(report))])


def _typed(ctx: typer.Context, line: list[str]) -> None:
    """What happens when a user types this after `ushape`."""
    ctx.meta[COMMAND] = shlex.join(["ushape", *line])
    say(f"\n$ {ctx.meta[COMMAND]}", err=True)
    command = loaded(line[0])
    with command.make_context(line[0], line[1:], parent=ctx) as context:
        command.invoke(context)
