"""What a skip connection is good for, and how U-Net's differs from ResNet's: variants trained alike, then looked into.

    study = SkipStudy(Path("cells"), Path("out"), Terms(minutes=10), width=16)
    for event in study.events():           those of a comparison, and Analysing
        print(event.progress)
    study.results()                        what was scored and found, of every seed that is complete

DIR/cells/NAME-SEED/study.json   what was found in a network, beside its training (compare/cell.py)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ushape import checkpoint
from ushape.atomic import output_error
from ushape.compare import CellBegun, CellEnded, Comparison, ComparisonEvent, Terms
from ushape.compare.cell import Cell
from ushape.compare.results import Results
from ushape.data.patches import Batch
from ushape.errors import TrainingError
from ushape.models import build, outlined
from ushape.models.unet import UNet
from ushape.recipe import Recipe
from ushape.study.analysis import ANALYSIS, Analysis, analysed
from ushape.study.gradients import Energy
from ushape.study.results import SkipResults
from ushape.study.variants import REFERENCE, variants
from ushape.train.losses import loss
from ushape.train.prepare import Prepared, prepare
from ushape.train.sampling import class_weights, patch_sampler

DEFAULT_WIDTH = 16
_BATCHES = 8  # whose gradients are looked at
_MOST_JUDGED = 32  # images that are predicted again without each skip


@dataclass(frozen=True)
class Analysing:
    """A trained network is looked into; share: 0 … 1 of this network. progress: of all trainings."""

    entrant: str
    seed: int
    share: float
    progress: float


class SkipStudy:
    """The variants trained and scored as a comparison does it, with its promises, and each looked into."""

    def __init__(
        self,
        data: Path,
        out: Path,
        terms: Terms,
        *,
        width: int = DEFAULT_WIDTH,
        device: str | None = None,
        overwrite: bool = False,
    ) -> None:
        self.variants = variants(width)
        entrants = [variant.entrant for variant in self.variants]
        self.comparison = Comparison(data, out, entrants, terms, device=device, overwrite=overwrite)
        self.out, self.width = out, width

    def events(self) -> Iterator[ComparisonEvent | Analysing]:
        """Train, score and look into all that is not done yet; closing the iterator leaves all whole."""
        cells = {(cell.entrant.name, cell.seed): cell for cell in self.comparison.cells}
        with closing(cast("Generator[ComparisonEvent]", self.comparison.events())) as events:
            for event in events:
                if isinstance(event, CellBegun | CellEnded):  # before one begins: a study may have been stopped between
                    yield from self._analysed_all(event.progress)
                if isinstance(event, CellBegun):
                    _forget(cells[event.entrant, event.seed])
                yield event
        yield from self._analysed_all(1.0)

    def complete_seeds(self) -> list[int]:
        """The seeds with which every variant is trained, scored and looked into."""
        cells = self.comparison.cells
        return [
            seed
            for seed in self.comparison.complete_seeds()
            if all(_is_analysed(cell) for cell in cells if cell.seed == seed)
        ]

    def results(self) -> SkipResults:
        """Of all complete seeds; TrainingError where there is none, or every training of the U-Net itself was lost."""
        seeds = self.complete_seeds()
        if not seeds:
            raise TrainingError(
                f"The study in {self.out} has no seed yet with which every variant is trained. Go on with it: the same "
                "command begins where it stopped."
            )
        cells = [cell for cell in self.comparison.cells if cell.seed in seeds]
        compared = self.comparison
        outcomes = [cell.outcome() for cell in cells]
        scored = Results.of(compared.entrants, compared.recipes, compared.costs, outcomes)
        analyses: dict[str, dict[int, Analysis]] = {variant.name: {} for variant in self.variants}
        for cell, outcome in zip(cells, outcomes, strict=True):
            if not outcome.failure:
                analyses[cell.entrant.name][cell.seed] = Analysis.read(cell.folder / ANALYSIS)
        if not analyses[REFERENCE]:
            lost = "; ".join(outcome.failure for outcome in outcomes if outcome.entrant == REFERENCE)
            raise TrainingError(f"The U-Net that all others are compared to could not be trained: {lost}")
        return SkipResults(tuple(v for v in self.variants if analyses[v.name]), scored, analyses)

    def _analysed_all(self, progress: float) -> Iterator[Analysing]:
        """Look into every network that is trained and was not yet."""
        for cell in self.comparison.cells:
            if cell.done and not _is_analysed(cell):
                yield from self._analysed(cell, progress)

    def _analysed(self, cell: Cell, progress: float) -> Iterator[Analysing]:
        trained = checkpoint.read(cell.folder, self.comparison.device)
        found = analysed(
            trained,
            self._before(cell.recipe),
            self.comparison.division.test,
            self.comparison.annotation,
            self._batches,
            self._energy,
            most_judged=_MOST_JUDGED,
        )
        while True:
            try:
                yield Analysing(cell.entrant.name, cell.seed, next(found), progress)
            except StopIteration as ended:
                ended.value.write(cell.folder / ANALYSIS)
                return

    def _before(self, recipe: Recipe) -> UNet:
        """The network with the weights that its training began with: those that its seed draws."""
        annotation = self._prepared.annotation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            net = build(
                recipe.model.name,
                in_channels=self._prepared.intensity.channels,
                classes=annotation.labels.classes,
                **recipe.model.options,
            )
        assert isinstance(net, UNet), recipe.model
        return net.placed(self.comparison.device)

    @property
    def _recipe(self) -> Recipe:
        """From which the batches are drawn: all variants see the same, as their footprints are."""
        return self.comparison.recipes[REFERENCE]

    @cached_property
    def _prepared(self) -> Prepared:
        return prepare(self.comparison.data, self._recipe)

    @cached_property
    def _batches(self) -> Sequence[Batch]:
        footprints = outlined("unet", **{**self.variants[0].options, "width": 1}).footprints
        sampler = patch_sampler(self._prepared, self._recipe, footprints, self.comparison.device)
        return [sampler.draw() for _ in range(_BATCHES)]

    @cached_property
    def _energy(self) -> Energy:
        settings, device = self._recipe.training, self.comparison.device
        weights = class_weights(self._prepared, settings, device)

        def energy(outputs: Sequence[Tensor], batch: Batch) -> Tensor:
            return loss(outputs, batch.classes, name=settings.loss, class_weights=weights, weights=batch.weights)

        return energy


def _is_analysed(cell: Cell) -> bool:
    """Whether there is nothing to look into any more: a training that is lost has left nothing."""
    return (cell.folder / ANALYSIS).exists() or (cell.done and bool(cell.outcome().failure))


def _forget(cell: Cell) -> None:
    """What was found in a network that is trained again."""
    try:
        (cell.folder / ANALYSIS).unlink(missing_ok=True)
    except OSError as error:
        raise output_error(cell.folder / ANALYSIS, error) from error
