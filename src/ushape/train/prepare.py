"""Annotated folder + recipe → what a training holds in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ushape.data.annotation import Annotation, annotate, read_classes, read_objects
from ushape.data.folder import Survey, survey
from ushape.data.pair import Pair
from ushape.data.patches import Example
from ushape.data.split import Split, split
from ushape.errors import DataError, ImageError, RecipeError
from ushape.images.source import source_of
from ushape.intensity import Intensity
from ushape.models import axes_of
from ushape.recipe import DataRecipe, Recipe
from ushape.train.validate import Truth


@dataclass(frozen=True)
class Prepared:
    """Everything read: images standardised, masks as class numbers."""

    survey: Survey
    annotation: Annotation
    split: Split
    intensity: Intensity
    examples: tuple[Example, ...]
    truths: tuple[Truth, ...]


def look(root: Path, data: DataRecipe, axes: int = 2) -> tuple[Survey, Annotation]:
    """What is in the folder, for a network that sees so many axes, and what its masks mean; DataError lists every fault
    at once.
    """
    found = survey(root, include=data.include, group_by=data.group_by or None, axes=axes)
    task = None if data.task == "auto" else data.task
    annotation = annotate(found, task=task, ignored_values=data.ignored_values)
    annotation.require()
    return found, annotation


def require_possible(recipe: Recipe, annotation: Annotation) -> None:
    """RecipeError for what a network of volumes does not do yet."""
    if axes_of(recipe.model.name) == 2:
        return
    if annotation.task == "instances":
        raise RecipeError(
            f"{recipe.model.name} tells classes of voxels apart, and no objects yet, which the masks in "
            f"{annotation.root} number. Train for classes, --task semantic, or take a network of images."
        )
    if recipe.training.border_weights != "none":
        raise RecipeError("Border weights are those of objects in images; for volumes, leave border_weights out.")


def split_for(found: Survey, annotation: Annotation, recipe: Recipe) -> Split:
    """The images that a recipe trains on, and those that it scores on."""
    fraction = recipe.data.validation_fraction
    return split(found.pairs, validation_fraction=fraction, seed=recipe.seed, counts=annotation.counts)


def prepare(root: Path, recipe: Recipe) -> Prepared:
    """Read everything. Intensity is fitted on the training images alone. RecipeError for what volumes have not yet."""
    axes = axes_of(recipe.model.name)
    found, annotation = look(root, recipe.data, axes)
    require_possible(recipe, annotation)
    parts = split_for(found, annotation, recipe)
    images = {pair.name: _pixels(pair) for pair in parts.training}
    intensity = Intensity.fit(list(images.values()))
    _check_fit(parts.validation, intensity)
    with_objects = annotation.task == "instances" or recipe.training.border_weights != "none"
    examples = tuple(
        Example(
            pair.name,
            intensity.tensor(images[pair.name], pair.name),
            torch.from_numpy(read_classes(pair, annotation)),
            torch.from_numpy(read_objects(pair, annotation)) if with_objects else None,
        )
        for pair in parts.training
    )
    truths = truths_of(parts.validation, annotation)
    return Prepared(found, annotation, parts, intensity, examples, truths)


def truths_of(pairs: Sequence[Pair], annotation: Annotation) -> tuple[Truth, ...]:
    """The pairs as images to be scored on."""
    apart = annotation.task == "instances"
    return tuple(
        Truth(
            pair.name,
            pair.group,
            source_of(pair.image),
            read_classes(pair, annotation),
            read_objects(pair, annotation) if apart else None,
        )
        for pair in pairs
    )


def _check_fit(validation: Sequence[Pair], intensity: Intensity) -> None:
    """DataError with every image that would stop the first validation, when the training has cost its time."""
    faults = []
    for pair in validation:
        try:
            intensity.tensor(_pixels(pair), str(pair.image))
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise DataError("The validation images are not like the training images:\n- " + "\n- ".join(faults))


def _pixels(pair: Pair) -> NDArray[np.generic]:
    return source_of(pair.image).read()
