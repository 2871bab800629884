"""Several entrants on one annotated folder under one set of terms: every training, its scores, resumable at any moment.

    comparison = Comparison(Path("cells"), Path("out"), entrants_named("unet,unet-same"), Terms(minutes=10))
    for event in comparison.events():      CellBegun, InCell, InCell, …, CellEnded, CellBegun, …
        print(f"{event.progress:.0%}")
    comparison.results()                   what each entrant scored, took and costs

An entrant is a name and recipe tables, so that any question of the kind "which is better" can be put:

    [Entrant(skip, {"model": {"name": "unet", "options": {"skip": skip}}}) for skip in ("copy", "add", "none")]

DIR/comparison.json      what it was begun with        DIR/cells/NAME-SEED/   a training each (compare/cell.py)
"""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import torch

from ushape.atomic import output_error
from ushape.compare.cell import Cell, CellEvent
from ushape.compare.cost import Cost, cost
from ushape.compare.division import divided
from ushape.compare.entrant import Entrant, check_entrants
from ushape.compare.ledger import LEDGER, Ledger, check_place
from ushape.compare.outcome import Outcome
from ushape.compare.results import FIGURES, IMAGES, REPORT, Results
from ushape.compare.terms import Terms, recipe_for
from ushape.data.folder import Survey
from ushape.data.split import split
from ushape.device import Precision, choose_device, faster_precision
from ushape.errors import DataError, RecipeError, SizeError
from ushape.models.segmenter import Segmenter
from ushape.predict.strategy import Strategy
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES
from ushape.recipe import Recipe
from ushape.train.prepare import look
from ushape.train.step_memory import network

_MULTIPLY_ADDS_OF_A_BATCH = 2e9  # as long as these takes what a step does beside the network, about


@dataclass(frozen=True)
class CellBegun:
    """A training that begins or goes on: the `number`-th of `cells`, counted from 1. progress: 0 … 1 of all of them."""

    entrant: str
    seed: int
    number: int
    cells: int
    progress: float


@dataclass(frozen=True)
class InCell:
    """What happened in a training, or in scoring it."""

    entrant: str
    seed: int
    event: CellEvent
    progress: float


@dataclass(frozen=True)
class CellEnded:
    """A training that is done and scored; complete: after it, each entrant has its training with this seed."""

    outcome: Outcome
    complete: bool
    progress: float


ComparisonEvent = CellBegun | InCell | CellEnded


class Comparison:
    """Entrants trained and scored alike, into `out`; iterate over `events()`.

    Closing the iterator at any moment leaves it whole, and an equal Comparison goes on where it stopped. The order is
    seed by seed, and entrant by entrant within a seed, so that an early end leaves a whole comparison of fewer seeds,
    and a machine that slows down slows all down alike.

    All is checked before anything is trained or written: RecipeError, with every fault of every entrant, for networks
    that cannot be built or cannot take the images; DataError for a folder with faults or too few groups; OutputError
    for a folder of something else; CheckpointError, with every difference, where `out` holds a comparison on other
    images, of other settings or on another machine, unless `overwrite` replaces it. More entrants and seeds may join.
    """

    def __init__(
        self,
        data: Path,
        out: Path,
        entrants: Sequence[Entrant],
        terms: Terms,
        *,
        device: str | None = None,
        overwrite: bool = False,
    ) -> None:
        check_place(out, overwrite=overwrite)
        check_entrants(entrants)
        self.data, self.out, self.entrants, self.terms = data, out, tuple(entrants), terms
        self.device = choose_device(device)
        self._overwrite = overwrite
        self._before = Ledger.read(out) if (out / LEDGER).exists() and not overwrite else None
        self.found, self.annotation = look(data, terms.data)
        drawn = split(self.found.pairs, seed=terms.first_seed, counts=self.annotation.counts)
        self.division = divided(self.found.pairs, terms.test, drawn)
        self.recipes, self.costs = self._planned()
        self._ledger = self._described()
        if self._before is not None:
            self._ledger.require_same(self._before, out)

    @property
    def seeds(self) -> range:
        return range(self.terms.first_seed, self.terms.first_seed + self.terms.seeds)

    @property
    def cells(self) -> list[Cell]:
        """Every training, in its order."""
        return [self.cell(entrant, seed) for seed in self.seeds for entrant in self.entrants]

    def cell(self, entrant: Entrant, seed: int) -> Cell:
        """One training."""
        folder = self.out / "cells" / f"{entrant.folder}-{seed}"
        return Cell(entrant, seed, folder, replace(self.recipes[entrant.name], seed=seed))

    def events(self) -> Iterator[ComparisonEvent]:
        """Train and score all that is not done yet."""
        self._begin()
        cells = self.cells
        weights = self._weights()
        total = sum(weights[cell.entrant.name] for cell in cells)
        done = sum(weights[cell.entrant.name] for cell in cells if cell.done)
        for number, cell in enumerate(cells, start=1):
            if cell.done:
                continue
            name, seed, weight = cell.entrant.name, cell.seed, weights[cell.entrant.name]
            yield CellBegun(name, seed, number, len(cells), done / total)
            course = cell.events(self.data, self.division, self.annotation, device=self.device)
            with closing(cast("Generator[tuple[float, CellEvent]]", course)) as events:
                for share, event in events:
                    yield InCell(name, seed, event, (done + share * weight) / total)
            done += weight
            yield CellEnded(cell.outcome(), seed in self.complete_seeds(), done / total)

    def complete_seeds(self) -> list[int]:
        """The seeds with which every entrant is trained and scored."""
        return [seed for seed in self.seeds if all(self.cell(entrant, seed).done for entrant in self.entrants)]

    def results(self) -> Results:
        """Those of all complete seeds."""
        outcomes = [self.cell(entrant, seed).outcome() for seed in self.complete_seeds() for entrant in self.entrants]
        return Results.of(self.entrants, self.recipes, self.costs, outcomes)

    def _planned(self) -> tuple[dict[str, Recipe], dict[str, Cost]]:
        """Recipe and cost of each entrant; RecipeError with what is wrong with each that cannot be."""
        data = replace(self.terms.data, include=self.division.include, task=self.annotation.task)
        found, annotation = look(self.data, data)
        if annotation.labels != self.annotation.labels:
            raise DataError(
                f"The images to train on show {', '.join(annotation.labels.names)}, but with those to score on there "
                f"are {', '.join(self.annotation.labels.names)}. Choose test images, with --test, that leave some of "
                "every class to learn from."
            )
        recipes, costs, faults = {}, {}, []
        for entrant in self.entrants:
            try:
                recipe = recipe_for(entrant, self.terms, found, annotation, data)
                recipes[entrant.name] = self._with_precision(entrant, recipe)
                costs[entrant.name] = self._cost(recipe)
            except (RecipeError, SizeError) as error:
                faults.append(f"{entrant.name}: {error}")
        if faults:
            raise RecipeError("\n".join(faults))
        return recipes, costs

    def _with_precision(self, entrant: Entrant, recipe: Recipe) -> Recipe:
        """One precision for all who leave it open: measured once, before the first training."""
        if recipe.training.precision != "auto":
            return recipe
        settled = self._before.precision_of(entrant.name) if self._before else None
        return recipe.changed(training={"precision": settled or self._measured_precision})

    @cached_property
    def _measured_precision(self) -> Precision:
        return faster_precision(self.device)

    def _cost(self, recipe: Recipe) -> Cost:
        """RecipeError or SizeError where the network cannot be built, or an image of the folder is too much for it."""
        facts = self.found.images.values()
        channels = max(of.colours for of in facts)
        check_takes(network(recipe, channels, self.annotation.labels), self.found)
        return cost(recipe, channels, self.annotation.labels)

    def _weights(self) -> dict[str, float]:
        """How long a training of each entrant takes beside the others: equal minutes, or operations of all steps."""
        weights = {}
        for name, of in self.costs.items():
            training = self.recipes[name].training
            pixels = training.batch * of.patch_px[1] ** 2
            operations = training.steps * (pixels / 1e6 * of.multiply_adds_per_megapixel + _MULTIPLY_ADDS_OF_A_BATCH)
            weights[name] = training.minutes or operations
        return weights

    def _described(self) -> Ledger:
        digests = {
            pair.name: f"{self.found.images[pair.name].digest} {self.annotation.counts.get(pair.name, ())}"
            for pair in self.found.pairs
        }
        return Ledger(
            training={pair.name: digests[pair.name] for pair in self.division.training},
            test={pair.name: digests[pair.name] for pair in self.division.test},
            machine=machine(self.device),
            recipes={name: recipe.to_dict() for name, recipe in self.recipes.items()},
        )

    def _begin(self) -> None:
        """The folder and its ledger; with overwrite, nothing of an earlier comparison."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            if self._overwrite:
                shutil.rmtree(self.out / "cells", ignore_errors=True)
                for name in (REPORT, FIGURES, IMAGES):
                    (self.out / name).unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self.out, error) from error
        self._overwrite = False
        ledger = self._ledger if self._before is None else self._ledger.with_earlier(self._before)
        ledger.write(self.out)


def machine(device: torch.device) -> dict[str, str]:
    """What computes, in words."""
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} ({named})",
        "processors": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }


def check_takes(model: Segmenter, found: Survey) -> None:
    """RecipeError for the largest image, where the network needs more memory for a part of it than is allowed."""
    largest = max((found.images[pair.name].shape for pair in found.pairs), key=math.prod)
    Strategy(model, DEFAULT_MEMORY_BYTES).keep(largest)
