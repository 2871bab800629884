"""What a process does that trains with others and does not lead: prepare the same, step alike, write nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from ushape.process_group import Dismissed, ProcessGroup
from ushape.recipe import Recipe
from ushape.train.beginning import network_for, trainer_for
from ushape.train.loop import Trainer, fit_along
from ushape.train.prepare import prepare
from ushape.train.randomness import Randomness


@dataclass(frozen=True)
class Assignment:
    """A training that the leader is about to begin, or to go on with."""

    data: Path
    recipe: Recipe

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps({"data": str(self.data.absolute()), "recipe": self.recipe.to_dict()}).encode()

    @staticmethod
    def from_bytes(told: bytes) -> Assignment:
        """The inverse of `to_bytes`."""
        said = json.loads(told)
        return Assignment(Path(said["data"]), Recipe.from_dict(said["recipe"]))


def assist(processes: ProcessGroup, device: torch.device) -> None:
    """Train with the leader whatever it trains, one training after another, until it dismisses this process."""
    try:
        while True:
            assignment = Assignment.from_bytes(processes.tell())
            fit_along(_trainer(assignment, processes, device))
    except Dismissed:
        processes.leave()


def hand_over(trainer: Trainer) -> None:
    """The leader's trainer as it is now, to the others, who wait for it."""
    if trainer.processes.size > 1:
        tensors, metadata = trainer.state()
        trainer.processes.tell(json.dumps(metadata).encode())
        trainer.processes.tell(safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()}))


def _trainer(assignment: Assignment, processes: ProcessGroup, device: torch.device) -> Trainer:
    recipe = assignment.recipe
    prepared = prepare(assignment.data, recipe)
    randomness = Randomness(recipe.seed, device)
    model = network_for(prepared, recipe, randomness)
    trainer = trainer_for(model, prepared, recipe, randomness, device, processes)
    metadata = json.loads(processes.tell())
    trainer.restore(safetensors.torch.load(processes.tell()), metadata)
    return trainer
