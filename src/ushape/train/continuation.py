"""A training in a folder: begun there, or gone on with, whichever it takes. For those who train several in turn."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import torch

from ushape.recipe import Recipe
from ushape.train.loop import Event
from ushape.train.run_folder import STAGES
from ushape.train.settle import Settled
from ushape.train.stages import StageBegun, training
from ushape.train.state import WentBack, is_resumable

TrainingEvent = Event | Settled | StageBegun | WentBack


def train_on(
    data: Path, out: Path, recipe: Recipe, *, device: torch.device, command: str = ""
) -> Iterator[tuple[float, TrainingEvent]]:
    """Train to the end, from wherever the training in `out` stopped; each event with the share that is done, 0 … 1.

    Closing the iterator saves the state. What is left of a training that was stopped before it had one makes way.
    """
    started = is_resumable(out) or (out / STAGES).exists()
    run = training(data, out, recipe, device=device, resume=started, overwrite=not started, command=command)
    with closing(cast("Generator[TrainingEvent]", run.events())) as events:
        for event in events:
            yield run.progress, event
