"""Annotated folder + recipe → what a training holds in memory, and the plan where the recipe is silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ushape.data.annotation import Annotation, annotate, read_classes, read_objects
from ushape.data.folder import Survey, survey
from ushape.data.pair import Pair
from ushape.data.patches import Example
from ushape.data.split import Split, split
from ushape.errors import DataError, ImageError
from ushape.images.source import open_image
from ushape.intensity import Intensity
from ushape.models import MODELS, options_of
from ushape.recipe import DataRecipe, Recipe, merged
from ushape.train.validate import Truth

_RARE = 0.1  # a foreground below this share of the pixels is looked for, or most patches would show none

_ON_A_PROCESSOR = (
    "U-Net of width 32 with padding and batch normalisation: on a processor the published width 64 takes four times as "
    "long, unpadded patches spend half of it on context, and normalised networks need fewer steps"
)
_NORMALISED = "batch normalisation, which is not as published: normalised networks need fewer steps"


@dataclass(frozen=True)
class Plan:
    """A recipe for these images on this machine, and the reason for each choice that is not the general default."""

    recipe: Recipe
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Prepared:
    """Everything read: images standardised, masks as class numbers."""

    survey: Survey
    annotation: Annotation
    split: Split
    intensity: Intensity
    examples: tuple[Example, ...]
    truths: tuple[Truth, ...]


def look(root: Path, data: DataRecipe, seed: int) -> tuple[Survey, Annotation, Split]:
    """What is in the folder, what its masks mean, and how it is split; DataError lists every fault at once."""
    found = survey(root, include=data.include, group_by=data.group_by or None)
    task = None if data.task == "auto" else data.task
    annotation = annotate(found, task=task, ignored_values=data.ignored_values)
    annotation.require()
    fraction = data.validation_fraction
    return found, annotation, split(found.pairs, validation_fraction=fraction, seed=seed, counts=annotation.counts)


def plan(found: Survey, annotation: Annotation, tables: Mapping[str, Any], device: torch.device) -> Plan:
    """The recipe that is trained: chosen for images and machine, and overruled by what the user's tables say."""
    recipe, reasons = Recipe(), []
    network = tables.get("model", {}).get("name", recipe.model.name)
    for subject, chosen, reason in [*_of_network(network, device), *_of_images(found, annotation)]:
        if not _overruled(chosen, tables):
            recipe = merged(recipe, chosen)
            reasons.append((subject, reason))
    return Plan(merged(recipe, tables), tuple(reasons))


_Choice = tuple[str, dict[str, dict[str, Any]], str]


def _of_network(name: str, device: torch.device) -> Iterator[_Choice]:
    """What is chosen of the network's options otherwise than as published, and why."""
    if name == Recipe().model.name and device.type == "cpu":
        options = {"width": 32, "padding": "same", "normalisation": "batch"}
        yield "network", {"model": {"name": name, "options": options}}, _ON_A_PROCESSOR
    elif name != Recipe().model.name and name in MODELS and "normalisation" in options_of(name):
        yield "network", {"model": {"name": name, "options": {"normalisation": "batch"}}}, _NORMALISED


def _of_images(found: Survey, annotation: Annotation) -> Iterator[_Choice]:
    """What is chosen for the images otherwise than by the general default, and why."""
    shortest = min(min(facts.shape) for facts in found.images.values())
    if shortest < Recipe().training.output_size:
        side = max(64, shortest // 16 * 16)
        yield "patch", {"training": {"output_size": side}}, f"{side} px: the smallest image has a side of {shortest}"
    share = min((annotation.share(k) for k in annotation.labels.foreground), default=1.0)
    if share < _RARE:
        reason = f"a third of the patches centred on a class: the rarest covers {share:.1%}"
        yield "sampling", {"training": {"foreground_fraction": 0.33}}, reason
    if annotation.task == "instances":
        reason = "border weights of U-Net 2015: pixels between objects that nearly touch count up to eleven times"
        yield "weighting", {"training": {"border_weights": "unet-2015"}}, reason


def _overruled(chosen: Mapping[str, Any], tables: Mapping[str, Any]) -> bool:
    """Whether the user's tables decide on all of it themselves, or leave it no sense: a loss without pixels cannot
    weigh them.
    """
    model, wanted = chosen.get("model"), tables.get("model", {})
    if "border_weights" in chosen.get("training", {}) and tables.get("training", {}).get("loss") == "dice":
        return True
    if model is not None:
        return set(model["options"]) <= set(wanted.get("options", {}))
    return all(set(values) <= set(tables.get(table, {})) for table, values in chosen.items())


def prepare(root: Path, recipe: Recipe) -> Prepared:
    """Read everything. Intensity is fitted on the training images alone."""
    found, annotation, parts = look(root, recipe.data, recipe.seed)
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
            open_image(pair.image.path, pair.image.index),
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
    return open_image(pair.image.path, pair.image.index).read()
