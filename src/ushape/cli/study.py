"""`ushape study skips DATA --minutes M --out DIR`"""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from ushape.cli import COMMAND
from ushape.cli.bar import Bar, clock
from ushape.cli.interruption import Interruption
from ushape.cli.options import Data, Device, GroupBy, Ignore, Include, Json, Minutes, Overwrite, RecipeFile, Steps, Task
from ushape.cli.settings import tables
from ushape.cli.text import say, say_facts, say_json
from ushape.compare import CellBegun, CellEnded, ComparisonEvent, Terms
from ushape.compare.results import FIGURES, REPORT
from ushape.report.study import write_skip_study
from ushape.study.findings import findings, to_dict
from ushape.study.skips import DEFAULT_WIDTH, Analysing, SkipStudy
from ushape.train.loop import Stepped


class Subject(StrEnum):
    skips = "skips"


def study(
    ctx: typer.Context,
    subject: Annotated[Subject, typer.Argument(metavar="SUBJECT", help="skips: what skip connections are good for.")],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for all trainings and the page.")],
    minutes: Minutes = None,
    steps: Steps = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 3,
    width: Annotated[
        int, typer.Option(help="Channels of the first level, of networks of equal width.")
    ] = DEFAULT_WIDTH,
    test: Annotated[
        str, typer.Option(metavar="GLOB", help="Images to score on; a fifth, in whole groups, where left out.")
    ] = "",
    recipe: RecipeFile = None,
    task: Task = None,
    include: Include = None,
    group_by: GroupBy = None,
    ignore: Ignore = None,
    device: Device = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train networks that differ in one thing, look into them, and put all on one page. Ctrl-C, and it goes on.

    skips: U-Net with its copies, with sums in their place, without, and with ResNet's shortcuts.
    """
    assert subject is Subject.skips, subject
    said = tables(recipe, {"task": task, "include": include, "group_by": group_by, "ignore": ignore})
    terms = Terms(minutes, steps, seeds, test, said)
    course = SkipStudy(data, out, terms, width=width, device=device, overwrite=overwrite)
    _follow(course, ctx.meta[COMMAND])
    results = write_skip_study(course, ctx.meta[COMMAND])
    if json:
        say_json({"out": str(out), **to_dict(results)})
        return
    for question, answers in findings(results).items():
        say(question)
        for answer in answers:
            say(f"  {answer}")
    for limit in results.scored.limits():
        say(f"note: {limit}")
    say_facts([("page", str(out / REPORT)), ("figures", str(out / FIGURES))])


def _follow(course: SkipStudy, command: str) -> None:
    """Train and look into all that is left. When interrupted: save, say how to go on, leave with exit status 130."""
    say_facts([("division", course.comparison.division.rule), *_networks(course)], err=True)
    written = course.complete_seeds()
    events = cast("Generator[ComparisonEvent | Analysing]", course.events())
    with Interruption() as interruption, Bar("studying") as bar, closing(events):
        for event in events:
            _show(bar, event)
            if isinstance(event, CellBegun) and course.complete_seeds() != written:
                written = course.complete_seeds()  # fewer than before, where an earlier study is overwritten
                if written:
                    write_skip_study(course, command)  # an early end leaves a page
            if interruption.requested:
                events.close()
                again = shlex.join(word for word in shlex.split(command) if word != "--overwrite")
                bar.note(f"Interrupted after {event.progress:.0%} of the trainings; nothing is lost.")
                bar.note(f"Go on with: {again}")
                raise typer.Exit(130)


def _networks(course: SkipStudy) -> list[tuple[str, str]]:
    costs = course.comparison.costs
    return [(v.name, f"width {v.width}, {costs[v.name].parameters:,} parameters: {v.about}") for v in course.variants]


def _show(bar: Bar, event: ComparisonEvent | Analysing) -> None:
    if isinstance(event, CellEnded):
        of = event.outcome
        bar.note(f"{of.entrant} seed {of.seed}: {of.failure or 'trained'}  ({of.steps} steps in {clock(of.seconds)})")
        return
    doing = "reading"
    if isinstance(event, Analysing):
        doing = f"looking into it {event.share:.0%}"
    elif not isinstance(event, CellBegun):
        doing = f"step {event.event.step}" if isinstance(event.event, Stepped) else "scoring"
    bar.show(event.progress, f"{event.entrant} seed {event.seed}  {doing}")
