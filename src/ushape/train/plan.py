"""What would be trained on a folder, on this machine, and why: the plan where the recipe is silent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import torch

from ushape.data.annotation import Annotation
from ushape.data.folder import Survey
from ushape.data.upright import uprightness
from ushape.models import MODELS, axes_of, options_of
from ushape.predict.pieces import require_nested
from ushape.process_group import ProcessGroup
from ushape.recipe import Recipe, merged
from ushape.regions import regions_of
from ushape.train.pace import step_seconds
from ushape.train.prepare import require_possible
from ushape.train.size import Machine, Pace, Tables, fitted, sizes
from ushape.train.volume_plan import of_volumes

_RARE = 0.1  # a foreground below this share of the pixels is looked for, or most patches would show none
_ENOUGH_IMAGES = 5  # to hold one back; docs/results.md has what that cost of three
_UPRIGHT_DEGREES = 30.0  # by which patches of upright images are turned; docs/results.md has what that was worth

_PADDED = (
    "padding and batch normalisation, which are not as published: unpadded patches spend half of the time on context, "
    "and on membranes normalised networks needed fewer steps"
)
_FEW = (
    "fewer than five images are all trained on: to hold one back costs more than it tells. `ushape crossvalidate` "
    "leaves each out once, and says what to expect of others"
)
_NORMALISED = "batch normalisation, which is not as published: on membranes normalised networks needed fewer steps"


@dataclass(frozen=True)
class Plan:
    """A recipe for these images on this machine, and the reason for each choice that is not the general default."""

    recipe: Recipe
    reasons: tuple[tuple[str, str], ...]


def plan(
    found: Survey,
    annotation: Annotation,
    tables: Tables,
    device: torch.device,
    *,
    pace: Pace | None = None,
    processes: int = 1,
) -> Plan:
    """The recipe that is trained: chosen for images and machine, and overruled by what the user's tables say.

    pace: seconds of a training step, measured where left out; how wide the network is follows from it, where minutes
    are the budget. processes: how many train together, each on its share of a batch. RecipeError where a step needs
    more memory than there is, the minutes hold next to no step, or the processes cannot share a batch alike; and for
    regions of classes that there are not.
    """
    name = tables.get("model", {}).get("name", Recipe().model.name)
    if axes_of(name) == 3:
        choices = [*of_volumes(found, name, tables, device.type), *_of_split(found), *_of_shares(annotation)]
    else:
        choices = [*_of_network(name), *_of_images(found, annotation)]
    chosen = _chosen([*choices, *_of_processes(processes)], tables)
    require_possible(chosen.recipe, annotation)
    _check_regions(chosen.recipe, annotation)
    ProcessGroup(size=processes).require_shares(chosen.recipe.training.batch)
    channels = max(facts.colours for facts in found.images.values())
    pixels = sum(math.prod(facts.shape) for facts in found.images.values())
    machine = Machine(channels, annotation.labels, device, pace or step_seconds, processes, pixels)
    recipe, reasons = fitted(sizes(chosen.recipe, tables, found, annotation), machine)
    return Plan(recipe, tuple((dict(chosen.reasons) | dict(reasons)).items()))


def plan_for_images(found: Survey, annotation: Annotation, tables: Tables) -> Plan:
    """What of a plan follows from the images alone, whatever the network and the machine."""
    chosen = _chosen(list(_of_images(found, annotation)), tables)
    _check_regions(chosen.recipe, annotation)
    return chosen


def _check_regions(recipe: Recipe, annotation: Annotation) -> None:
    """RecipeError for regions that no image has, or that cannot be in one piece, before a training is paid for."""
    regions = {region.name: region for region in regions_of(recipe.regions, annotation.labels)}
    require_nested([regions[name] for name in recipe.prediction.one_piece])


_Choice = tuple[str, dict[str, dict[str, Any]], str]


def _chosen(choices: list[_Choice], tables: Tables) -> Plan:
    """All choices that the user's tables leave open, and what the tables say."""
    recipe, reasons = Recipe(), []
    for subject, chosen, reason in choices:
        if not _overruled(chosen, tables):
            recipe = merged(recipe, chosen)
            reasons.append((subject, reason))
    return Plan(merged(recipe, tables), tuple(reasons))


def _of_network(name: str) -> Iterator[_Choice]:
    """What is chosen of the network's options otherwise than as published, and why."""
    if name == Recipe().model.name:
        options = {"padding": "same", "normalisation": "batch"}
        yield "network", {"model": {"name": name, "options": options}}, _PADDED
    elif name in MODELS and "normalisation" in options_of(name):
        yield "network", {"model": {"name": name, "options": {"normalisation": "batch"}}}, _NORMALISED


def _of_images(found: Survey, annotation: Annotation) -> Iterator[_Choice]:
    """What is chosen for the images otherwise than by the general default, and why."""
    yield from _of_split(found)
    usual = int(median_low(min(facts.shape) for facts in found.images.values()))
    if usual < Recipe().training.output_size:
        side = max(64, usual // 16 * 16)
        yield (
            "patch",
            {"training": {"output_size": side}},
            f"{side} px: half of the images have a side of {usual} or less",
        )
    if gain := uprightness(found.pairs):
        reason = (
            f"no flips, and turns by {_UPRIGHT_DEGREES:g}° at most: images stand upright, as they resemble one another "
            f"more so than flipped or turned (by {gain:.2f} of correlation)"
        )
        turns: dict[str, Any] = {"flip": False, "rotation_degrees": _UPRIGHT_DEGREES}
        yield "turns", {"augmentation": turns, "prediction": {"flips": False}}, reason
    yield from _of_shares(annotation)
    if annotation.task == "instances":
        reason = "border weights of U-Net 2015: pixels between objects that nearly touch count up to eleven times"
        yield "weighting", {"training": {"border_weights": "unet-2015"}}, reason


def _of_split(found: Survey) -> Iterator[_Choice]:
    if 1 < len(found.pairs) < _ENOUGH_IMAGES:
        yield "split", {"data": {"validation_fraction": 0.0}}, _FEW


def _of_shares(annotation: Annotation) -> Iterator[_Choice]:
    """Where a class is rare."""
    share = min((annotation.share(k) for k in annotation.labels.foreground), default=1.0)
    if share < _RARE:
        reason = f"a third of the patches centred on a class: the rarest covers {share:.1%}"
        yield "sampling", {"training": {"foreground_fraction": 0.33}}, reason


def _of_processes(processes: int) -> Iterator[_Choice]:
    """The smallest batch from the default up that the processes can share alike."""
    batch = math.ceil(Recipe().training.batch / processes) * processes
    if batch != Recipe().training.batch:
        yield "batch", {"training": {"batch": batch}}, f"{batch} patches: as many for each of {processes} processes"


def _overruled(chosen: Tables, tables: Tables) -> bool:
    """Whether the user's tables decide on all of it themselves, or leave it no sense: a loss without pixels cannot
    weigh them.
    """
    model, wanted = chosen.get("model"), tables.get("model", {})
    if "border_weights" in chosen.get("training", {}) and tables.get("training", {}).get("loss") == "dice":
        return True
    if model is not None:
        return set(model["options"]) <= set(wanted.get("options", {}))
    return all(set(values) <= set(tables.get(table, {})) for table, values in chosen.items())
