"""Several trainings under way, and what they scored: for `ushape crossvalidate` and `ushape train --seeds`."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import closing
from typing import cast

import typer

from ushape.cli.bar import Bar
from ushape.cli.facts import plan_facts
from ushape.cli.interruption import Interruption
from ushape.cli.tables import say_evaluation, say_members
from ushape.cli.text import say, say_facts, say_faults, say_json
from ushape.evaluate import Scored
from ushape.repetition import InMember, MemberBegun, MemberEnded, Repetition, RepetitionEvent
from ushape.repetition.repetition import MASKS
from ushape.repetition.results import REPORT, RESULTS, SCORES
from ushape.report.repetition import write_repetition
from ushape.train.loop import Stepped, Validated


def repeat(repetition: Repetition, command: str, *, json: bool) -> None:
    """Train, judge, write and show. When interrupted: save, say how to go on, and leave with exit status 130."""
    found, annotation = repetition.found, repetition.annotation
    division = [("division", repetition.rule), *plan_facts(repetition.plan)]
    say_facts([*found.summary(), *annotation.summary(), *division], err=True)
    say_faults(annotation.faults, err=True)
    _follow(repetition, command)
    results, out = write_repetition(repetition, command), repetition.out
    if json:
        say_json({"out": str(out), **results.to_dict()})
        return
    if results.kind != "learning-curve":  # where each image is judged several times
        say_evaluation(results.evaluation)
    say_members(results)
    for sentence in results.findings():
        say(f"  {sentence}")
    say()
    files = [
        ("page", REPORT),
        ("figures", RESULTS),
        ("images", SCORES),
        *([("masks", MASKS)] if repetition.masks else []),
    ]
    best = out / repetition.members[-1].name if results.kind == "learning-curve" else out
    together = f"{shlex.join(['ushape', 'predict', str(best)])} IMAGES --out MASKS"
    say_facts([*((name, str(out / file)) for name, file in files), ("next", together)])


def _follow(repetition: Repetition, command: str) -> None:
    if len(repetition.finished) == len(repetition.members):
        say("All are trained already; they are scored again.", err=True)
    events = cast("Generator[RepetitionEvent]", repetition.events(command))
    with Interruption() as interruption, Bar("training") as bar, closing(events):
        for event in events:
            _show(bar, event)
            if interruption.requested:
                events.close()
                again = shlex.join(word for word in shlex.split(command) if word != "--overwrite")
                bar.note("Interrupted; nothing is lost.")
                bar.note(f"Go on with: {again}")
                raise typer.Exit(130)


def _show(bar: Bar, event: RepetitionEvent) -> None:
    if isinstance(event, Scored):
        bar.show(event.done / event.total, f"scoring {event.name}")
    elif isinstance(event, MemberBegun):
        bar.note(f"{event.name}: {event.number} of {event.members}")
        bar.show(event.progress, f"{event.name}  reading")
    elif isinstance(event, MemberEnded):
        bar.show(event.progress, f"{event.name}  done")
    elif isinstance(event, InMember) and isinstance(event.event, Stepped):
        bar.show(event.progress, f"{event.name}  step {event.event.step}  loss {event.event.loss:.3f}")
    elif isinstance(event.event, Validated):
        bar.note(f"{event.name}  step {event.event.step}  validation {event.event.scores.score:.4f}")
