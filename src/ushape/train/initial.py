"""What a training begins with, where weights are not drawn: those of a network trained before."""

from __future__ import annotations

from pathlib import Path

from ushape import checkpoint
from ushape.models.fcn import FCN
from ushape.models.segmenter import Segmenter
from ushape.models.vgg import load_vgg16


def take_over(model: Segmenter, before: Segmenter) -> None:
    """Give a network the weights of another of its kind, or an FCN those of the one it is trained from.

    CheckpointError with all that differs between the two.
    """
    if isinstance(model, FCN) and type(model) is not type(before):
        model.begin_from(before)
        return
    checkpoint.load_weights(model, before.state_dict(), f"The weights of the {type(before).__name__} trained before")


def take_over_file(model: Segmenter, path: Path) -> None:
    """Give a network the weights in a file: a checkpoint of the same network, or for an FCN those of ImageNet's VGG16.

    CheckpointError with all that does not fit.
    """
    if isinstance(model, FCN) and path.is_file() and not checkpoint.is_checkpoint(path):
        load_vgg16(model.vgg16, path)
        return
    checkpoint.load_weights(model, checkpoint.read(path).model.state_dict(), f"The weights in {path}")
