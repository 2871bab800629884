"""Prepared images + recipe → the batches of a training, and what their pixels weigh."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ushape.data.borders import class_balance
from ushape.data.patches import PatchSampler
from ushape.data.targets import Targets
from ushape.geometry.footprint import Footprint
from ushape.recipe import Recipe, TrainingRecipe
from ushape.train.prepare import Prepared


def patch_sampler(
    prepared: Prepared, recipe: Recipe, footprints: Sequence[Footprint], device: torch.device
) -> PatchSampler:
    """The very batches that a training of this recipe sees, from the first on."""
    return PatchSampler(
        prepared.examples,
        footprints,
        output_size=recipe.training.output_sizes(len(footprints)),
        batch=recipe.training.batch,
        augmentation=recipe.augmentation,
        seed=recipe.seed,
        device=device,
        foreground_fraction=recipe.training.foreground_fraction,
        targets=targets(prepared, recipe.training),
        spacing=recipe.data.spacing if len(footprints) == 3 else None,
    )


def class_weights(prepared: Prepared, settings: TrainingRecipe, device: torch.device) -> Tensor | None:
    """(K,), what a pixel of each class weighs in the loss; None where nothing does, or border weights hold it."""
    if settings.class_weights == "none" or settings.border_weights != "none":
        return None
    return torch.tensor(_balanced(prepared), device=device)


def targets(prepared: Prepared, settings: TrainingRecipe) -> Targets | None:
    """What becomes of objects, where the examples have them."""
    apart, borders = prepared.annotation.task == "instances", settings.border_weights
    if not apart and borders == "none":
        return None
    even = (1.0,) * prepared.annotation.labels.classes
    return Targets(
        apart=apart,
        borders=None if borders == "none" else borders,
        class_weights=_balanced(prepared) if settings.class_weights == "balanced" else even,
    )


def _balanced(prepared: Prepared) -> tuple[float, ...]:
    """What a pixel of each class weighs so that all classes weigh alike."""
    classes = prepared.annotation.labels.classes
    counts = torch.zeros(classes, dtype=torch.int64)
    for example in prepared.examples:
        counts += torch.bincount(example.classes.flatten(), minlength=256)[:classes]
    return tuple(class_balance(counts.tolist()))
