"""`ushape compare DATA --models unet,unet-same,… --minutes M --out DIR`"""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated, cast

import typer

from ushape.cli import COMMAND
from ushape.cli.bar import Bar, clock
from ushape.cli.interruption import Interruption
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
    Steps,
    Task,
    Width,
)
from ushape.cli.settings import tables
from ushape.cli.tables import say_standings
from ushape.cli.text import say, say_facts, say_json
from ushape.compare import CellBegun, CellEnded, Comparison, ComparisonEvent, InCell, Terms
from ushape.compare import entrants_by_own_recipes as by_own_recipes
from ushape.compare import entrants_named as named
from ushape.compare.results import FIGURES, IMAGES, REPORT, TITLES
from ushape.report.comparison import write_comparison
from ushape.train.loop import Stepped


def compare(
    ctx: typer.Context,
    data: Data,
    models: Annotated[str, typer.Option(metavar="NAMES", help="With commas; options after colons: unet:width=16.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for all trainings and the page.")],
    minutes: Minutes = None,
    steps: Steps = None,
    own_recipes: Annotated[
        bool, typer.Option("--own-recipes", help="Train each by its paper's recipe, or by those named.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="Trainings of each.")] = 3,
    test: Annotated[
        str, typer.Option(metavar="GLOB", help="Images to score on; a fifth, in whole groups, where left out.")
    ] = "",
    width: Width = None,
    recipe: RecipeFile = None,
    task: Task = None,
    include: Include = None,
    group_by: GroupBy = None,
    ignore: Ignore = None,
    device: Device = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train several networks alike, score them on the same images, and put all on one page. Ctrl-C, and it goes on."""
    entrants = (by_own_recipes if own_recipes else named)(models, width=width)
    said = tables(recipe, {"task": task, "include": include, "group_by": group_by, "ignore": ignore})
    terms = Terms(minutes, steps, seeds, test, said)
    comparison = Comparison(data, out, entrants, terms, device=device, overwrite=overwrite)
    _follow(comparison, ctx.meta[COMMAND])
    results = write_comparison(comparison, ctx.meta[COMMAND])
    if json:
        say_json({"out": str(out), **results.to_dict()})
        return
    say_standings(results)
    for sentence in results.findings():
        say(f"  {sentence}")
    say()
    say_facts([("page", str(out / REPORT)), ("figures", str(out / FIGURES)), ("images", str(out / IMAGES))])


def _follow(comparison: Comparison, command: str) -> None:
    """Train and score all that is left. When interrupted: save, say how to go on, and leave with exit status 130."""
    say_facts([("division", comparison.division.rule)], err=True)
    if all(cell.done for cell in comparison.cells):
        say("This comparison is complete already; more --seeds or --models extend it.", err=True)
    events = cast("Generator[ComparisonEvent]", comparison.events())
    with Interruption() as interruption, Bar("comparing") as bar, closing(events):
        for event in events:
            _show(bar, event)
            if isinstance(event, CellEnded) and event.complete and event.progress < 1:
                write_comparison(comparison, command)  # an early end leaves a page
            if interruption.requested and event.progress < 1:
                events.close()
                again = shlex.join(word for word in shlex.split(command) if word != "--overwrite")
                bar.note(f"Interrupted after {event.progress:.0%}; nothing is lost.")
                bar.note(f"Go on with: {again}")
                raise typer.Exit(130)


def _show(bar: Bar, event: ComparisonEvent) -> None:
    if isinstance(event, CellBegun):
        bar.show(event.progress, f"{event.entrant} seed {event.seed}  ({event.number} of {event.cells})  reading")
    elif isinstance(event, InCell):
        doing = f"step {event.event.step}" if isinstance(event.event, Stepped) else "scoring"
        bar.show(event.progress, f"{event.entrant} seed {event.seed}  {doing}")
    else:
        of = event.outcome
        reached = of.failure
        if of.scores is not None:
            reached = f"{TITLES[of.scores.primary]} {of.mean(of.scores.primary):.3f}"
        bar.note(f"{of.entrant} seed {of.seed}: {reached}  ({of.steps} steps in {clock(of.seconds)})")
