"""What would be trained on a folder, on this machine, and why: the plan where the recipe is silent."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ushape.data.annotation import Annotation
from ushape.data.folder import Survey
from ushape.data.split import WATCHED
from ushape.device import free_bytes
from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.models import MODELS, axes_of, options_of
from ushape.predict.pieces import require_nested
from ushape.process_group import ProcessGroup
from ushape.recipe import Recipe, merged
from ushape.regions import regions_of
from ushape.train.pace import step_seconds
from ushape.train.prepare import require_possible
from ushape.train.step_memory import network, step_bytes
from ushape.train.volume_plan import of_volumes

_RARE = 0.1  # a foreground below this share of the pixels is looked for, or most patches would show none
_ENOUGH_STEPS = 400  # of the default batch; docs/results.md has what fewer steps of a wider network were worth
_ENOUGH_IMAGES = 5  # to hold one back; docs/results.md has what that cost of three
_LEAST_STEPS = 10  # with a validation after them; fewer are no training
_WIDTHS = (1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)  # of the published width, the narrowest first
_UNMEASURED_WIDTHS = {"unet": 32, "unet3d": 16}  # where steps are the budget: the same on every machine
_WORKING_MEMORY = 1.5  # by which a process grows for each byte that a step holds

_PADDED = (
    "padding and batch normalisation, which are not as published: unpadded patches spend half of the time on context, "
    "and on membranes normalised networks needed fewer steps"
)
_FEW = (
    "fewer than five images are all trained on: to hold one back costs more than it tells. `ushape crossvalidate` "
    "leaves each out once, and says what to expect of others"
)
_NORMALISED = "batch normalisation, which is not as published: on membranes normalised networks needed fewer steps"

Pace = Callable[[Recipe, int, Labels, torch.device], float]
Tables = Mapping[str, Any]  # Any: settings of every kind, as `ushape.recipe.read` gives them


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
    machine = _Machine(channels, annotation.labels, device, pace or step_seconds, processes, pixels)
    return _fitted(chosen, tables, machine)


def plan_for_images(found: Survey, annotation: Annotation, tables: Tables) -> Plan:
    """What of a plan follows from the images alone, whatever the network and the machine."""
    chosen = _chosen(list(_of_images(found, annotation)), tables)
    _check_regions(chosen.recipe, annotation)
    return chosen


def _check_regions(recipe: Recipe, annotation: Annotation) -> None:
    """RecipeError for regions that no image has, or that cannot be in one piece, before a training is paid for."""
    regions = {region.name: region for region in regions_of(recipe.regions, annotation.labels)}
    require_nested([regions[name] for name in recipe.prediction.one_piece])


@dataclass(frozen=True)
class _Machine:
    """What a recipe costs here, on images of a folder."""

    channels: int
    labels: Labels
    device: torch.device
    pace: Pace
    processes: int
    pixels: int  # of all images

    def seconds(self, recipe: Recipe) -> float:
        """Of a training step."""
        return self.pace(self._of_one(recipe), self.channels, self.labels, self.device)

    def validation_seconds(self, recipe: Recipe, step_seconds: float) -> float:
        """Of a look at the images held back: the way there is a third of a step's way there and back."""
        seen = self.pixels * (recipe.data.validation_fraction or WATCHED)
        sizes = recipe.training.output_sizes(axes_of(recipe.model.name))
        return step_seconds / 3 * seen / (recipe.training.batch * math.prod(sizes))

    def bytes(self, recipe: Recipe) -> int:
        """That a training takes of one process, at its largest stage."""
        recipe = self._of_one(recipe)
        stages = [recipe.of_stage(number) for number in range(len(recipe.stages))] or [recipe]
        return int(_WORKING_MEMORY * max(step_bytes(network(s, self.channels, self.labels), s) for s in stages))

    def _of_one(self, recipe: Recipe) -> Recipe:
        """With the share of a batch that one process has."""
        return recipe.changed(training={"batch": recipe.training.batch // self.processes})


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
    shortest = min(min(facts.shape) for facts in found.images.values())
    if shortest < Recipe().training.output_size:
        side = max(64, shortest // 16 * 16)
        yield "patch", {"training": {"output_size": side}}, f"{side} px: the smallest image has a side of {shortest}"
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


def _fitted(chosen: Plan, tables: Tables, machine: _Machine) -> Plan:
    """The plan with a network as wide as minutes and memory allow, unless the user says how wide."""
    recipe = chosen.recipe
    name, asked = recipe.model.name, tables.get("model", {}).get("options", {})
    narrower = [] if "width" in asked else _widths(name)
    fitting = _that_fit([_with_width(recipe, width) for width in narrower] or [recipe], machine)
    if not narrower:
        return chosen
    if recipe.training.minutes:
        widest, reason = _widest_in_time(fitting, machine)
    elif name in _UNMEASURED_WIDTHS:
        widest = [r for r in fitting if r.model.options["width"] <= _UNMEASURED_WIDTHS[name]][-1]
        published = _published_width(name)
        reason = f"fewer channels than the published {published}: four times as fast, and steps are the budget"
    else:
        return chosen
    width = widest.model.options["width"]
    return Plan(widest, (*chosen.reasons, ("width", f"{width}: {reason}")))


def _widths(name: str) -> list[int]:
    """Channels of the first level that may be chosen, the narrowest first and the published last."""
    return [round(_published_width(name) * part) for part in _WIDTHS]


def _published_width(name: str) -> int:
    published: int = inspect.signature(MODELS[name].__init__).parameters["width"].default
    return published


def _with_width(recipe: Recipe, width: int) -> Recipe:
    return merged(recipe, {"model": {"options": {"width": width}}})


def _that_fit(recipes: list[Recipe], machine: _Machine) -> list[Recipe]:
    """Those that memory allows, the narrowest first; RecipeError where it allows none."""
    free = free_bytes(machine.device)
    fitting = [recipe for recipe in recipes if free is None or machine.bytes(recipe) <= free]
    if not fitting:
        assert free is not None
        least = recipes[0]
        training = least.training
        raise RecipeError(
            f"A training step of {training.batch} patches of {_sides(least)} px with this network takes about "
            f"{machine.bytes(least) / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB of memory are free. Set a smaller "
            "batch, output_size or width in the recipe, or free memory."
        )
    return fitting


def _sides(recipe: Recipe) -> str:
    """Of a patch; one of a square."""
    sizes = recipe.training.output_sizes(axes_of(recipe.model.name))
    return str(sizes[0]) if len(sizes) == 2 else " x ".join(map(str, sizes))


def _widest_in_time(recipes: list[Recipe], machine: _Machine) -> tuple[Recipe, str]:
    """The widest network of which enough steps fit into the minutes, and the figures. Widths are tried from below, so
    that measuring takes a small share of the minutes however slow the machine.
    """
    minutes = recipes[0].training.minutes
    widest, steps = recipes[0], 0.0
    for recipe in recipes:
        seconds = machine.seconds(recipe)
        fit = 60 * minutes / seconds
        if not steps:
            _require_time(minutes, seconds, machine.validation_seconds(recipe, seconds))
        if fit < _ENOUGH_STEPS and steps:
            missed = f"; of width {recipe.model.options['width']} only {fit:,.0f}"
            return widest, f"about {steps:,.0f} steps fit into {minutes:g} minutes here{missed}"
        widest, steps = recipe, fit
        if fit < _ENOUGH_STEPS:
            break
    return widest, f"about {steps:,.0f} steps fit into {minutes:g} minutes here"


def _require_time(minutes: float, step: float, validation: float) -> None:
    """RecipeError where even the narrowest network would make next to no step, or have no time to be looked at."""
    least = (_LEAST_STEPS * step + validation) / 60
    if minutes < least:
        raise RecipeError(
            f"{minutes:g} minutes are too few: a step of the smallest network takes {step:.2g} s here, a validation "
            f"about {validation:.2g} s. Give at least {math.ceil(10 * least) / 10:g} minutes, or --steps."
        )
