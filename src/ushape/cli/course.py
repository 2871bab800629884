"""A training under way: a bar with loss, score and time left; Ctrl-C leaves it whole."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import torch
import typer

from ushape.cli.bar import Bar, clock
from ushape.cli.facts import plan_facts
from ushape.cli.interruption import Interruption
from ushape.cli.text import say, say_facts, say_faults
from ushape.recipe import Recipe
from ushape.regions import region_facts, regions_of
from ushape.train.choose import ObjectsChosen
from ushape.train.loop import Event, Stepped
from ushape.train.plan import plan as chosen
from ushape.train.prepare import look, split_for
from ushape.train.run import Run
from ushape.train.session import wanted_axes, wanted_data, with_budget
from ushape.train.settle import Settled
from ushape.train.stages import StageBegun, StagedRun
from ushape.train.state import WentBack
from ushape.train.temperature import Calibrated
from ushape.train.turned import FlipsChosen

_SMOOTHING = 0.95  # of the loss that is shown
_TOPICS = {FlipsChosen: "flips", Calibrated: "calibration", ObjectsChosen: "objects"}


def planned(data: Path, said: Mapping[str, Any], device: torch.device, processes: int = 1) -> Recipe:
    """The recipe for this folder, machine and number of processes, each choice told with its reason."""
    found, annotation = look(data, wanted_data(said), wanted_axes(said))
    plan = chosen(found, annotation, said, device, processes=processes)
    parts = split_for(found, annotation, plan.recipe)
    regions = region_facts(regions_of(plan.recipe.regions, annotation.labels), annotation.labels)
    facts = [*found.summary(), *annotation.summary(), *regions, ("split", parts.rule), *plan_facts(plan)]
    say_facts(facts, err=True)
    say_faults(annotation.faults, err=True)
    return plan.recipe


def with_a_budget(said: Mapping[str, Any], minutes: float | None, steps: int | None) -> dict[str, Any]:
    """The tables with this budget; where there is none anywhere, with one that is told."""
    budgeted = with_budget(said, minutes, steps)
    training = budgeted["training"]
    if minutes is None and steps is None and training != said.get("training"):
        most = "at most " if training.get("schedule") == "until-flat" else ""
        say(f"No budget given: {most}{training['minutes']:g} minutes. Choose with --minutes or --steps.", err=True)
    return budgeted


def follow(run: Run | StagedRun, resume: str) -> None:
    """Train to the end. When interrupted: save, say how to `resume`, and leave with exit status 130."""
    if run.progress >= 1:
        say("This training is complete already; a larger --minutes or --steps extends it.", err=True)
    events = cast("Generator[Event | Settled | StageBegun | WentBack]", run.events())
    with Interruption() as interruption, Bar("training") as bar, closing(events):
        course = _Course(bar, run)
        for event in events:
            course.show(event)
            if interruption.requested and run.progress < 1:
                events.close()
                bar.note(f"Interrupted at {run.position}; nothing is lost.")
                bar.note(f"Go on with: {resume}")
                raise typer.Exit(130)


def results(out: Path) -> list[tuple[str, str]]:
    """What a finished training leaves, by what it is."""
    files = {"checkpoint": "best.safetensors", "recipe": "recipe.toml", "log": "log.csv", "report": "report.html"}
    return [(name, str(out / file)) for name, file in files.items()]


class _Course:
    """What is worth showing of the events so far."""

    def __init__(self, bar: Bar, run: Run | StagedRun) -> None:
        self._bar, self._run = bar, run
        self._loss: float | None = None
        self._parts = 1
        self._score = ""

    def show(self, event: Event | Settled | StageBegun | WentBack) -> None:
        if isinstance(event, StageBegun):
            self._loss, self._score = None, ""
            self._bar.note(f"stage {event.number} of {event.stages}: {event.model}, rate {event.learning_rate:g}")
            return
        if isinstance(event, WentBack):
            lost = "The newest state was missing or damaged"
            self._bar.note(f"{lost}: going on from the one before it, of step {event.step}.")
            return
        if isinstance(event, Settled):
            self._bar.note(f"{_TOPICS[type(event)]}: {event.in_words()}")
            return
        if isinstance(event, Stepped):
            if event.parts > self._parts:
                self._parts = event.parts
                how = f"in {event.parts} parts, whose gradients are averaged"
                self._bar.note(f"The GPU's memory does not hold a batch: it is computed {how}.")
            before = event.loss if self._loss is None else self._loss
            self._loss = _SMOOTHING * before + (1 - _SMOOTHING) * event.loss
            self._bar.show(self._run.progress, f"step {event.step}  loss {self._loss:.3f}{self._score}")
            return
        scores = event.scores
        objects = f"  objects {scores.objects:.4f}" if scores.objects is not None else ""
        reached = f"Dice {scores.dice:.4f}{objects}"
        self._score = f"  {reached}"
        loss = "" if self._loss is None else f"  loss {self._loss:.3f}"
        best = "  (best so far)" if event.best and self._run.prepared.split.held_back else ""
        self._bar.note(f"{clock(event.seconds)}  step {event.step}{loss}  validation {reached}{best}")
        if event.flat:
            self._bar.note("Validation gains no more: the learning rate falls, and then the training ends.")
