"""Prepared images + recipe → the network and the trainer that a training begins with."""

from __future__ import annotations

from pathlib import Path

import torch

from ushape.models import build
from ushape.models.segmenter import Segmenter
from ushape.process_group import ALONE, ProcessGroup
from ushape.recipe import Recipe
from ushape.train.initial import take_over, take_over_file
from ushape.train.loop import Trainer
from ushape.train.prepare import Prepared
from ushape.train.randomness import Randomness
from ushape.train.sampling import class_weights, patch_sampler
from ushape.train.settle import settling_time, trial_time


def network_for(prepared: Prepared, recipe: Recipe, randomness: Randomness) -> Segmenter:
    """The recipe's network for these images, with weights drawn as its paper says."""
    with randomness:
        return build(
            recipe.model.name,
            in_channels=prepared.intensity.channels,
            classes=prepared.annotation.labels.classes,
            **recipe.model.options,
        )


def initialise(model: Segmenter, recipe: Recipe, before: Segmenter | None) -> None:
    """Give a new network the weights of the one it goes on from, or of the recipe's file, where there is either."""
    if before is not None:
        take_over(model, before)
    elif recipe.training.initial_weights:
        take_over_file(model, Path(recipe.training.initial_weights))


def trainer_for(
    model: Segmenter,
    prepared: Prepared,
    recipe: Recipe,
    randomness: Randomness,
    device: torch.device,
    processes: ProcessGroup = ALONE,
) -> Trainer:
    """The trainer of a network on these images, on a device; of several processes, in all of them at once."""
    settings = recipe.training
    assert settings.precision != "auto"
    model = model.placed(device)
    return Trainer(
        model,
        settings,
        patch_sampler(prepared, recipe, model.footprints, device),
        precision=settings.precision,
        randomness=randomness,
        class_weights=class_weights(prepared, settings, device),
        closing=settling_time(prepared, recipe),
        trial=trial_time(prepared, recipe),
        judged=prepared.split.held_back,
        processes=processes,
    )
