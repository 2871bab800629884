"""What a training begins with, where weights are not drawn: those of a network trained before."""

from __future__ import annotations

from pathlib import Path

from ushape import checkpoint
from ushape.models.segmenter import Segmenter


def take_over(model: Segmenter, before: Segmenter) -> None:
    """Give a network the weights of another of its kind; CheckpointError with all that differs between the two."""
    checkpoint.load_weights(model, before.state_dict(), f"The weights of the {type(before).__name__} trained before")


def take_over_file(model: Segmenter, path: Path) -> None:
    """Give a network the weights in a file: a checkpoint of the same network."""
    state = checkpoint.read(path).model.state_dict()
    checkpoint.load_weights(model, state, f"The weights in {path}")
