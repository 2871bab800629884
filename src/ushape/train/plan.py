"""What would be trained on a folder, on this machine, and why: the plan where the recipe is silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ushape.data.annotation import Annotation
from ushape.data.folder import Survey
from ushape.models import MODELS, options_of
from ushape.recipe import Recipe, merged

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
