"""One training of several: a run folder in theirs, and the images on which its network is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ushape.data.pair import Pair
from ushape.errors import TrainingError
from ushape.recipe import Recipe
from ushape.train.continuation import TrainingEvent, train_on


@dataclass(frozen=True)
class Member:
    """name: of its folder, too. recipe: all that defines its training, its images included. judged: none of these
    moves a weight of it.
    """

    name: str
    recipe: Recipe
    judged: tuple[Pair, ...]

    def events(
        self, data: Path, out: Path, *, device: torch.device, command: str
    ) -> Iterator[tuple[float, TrainingEvent]]:
        """Train to the end, from wherever it stopped; each event with the share that is done, 0 … 1.

        TrainingError, by its name, where the training is lost.
        """
        try:
            yield from train_on(data, out / self.name, self.recipe, device=device, command=command)
        except TrainingError as error:
            raise TrainingError(f"{self.name}: {error}") from error
