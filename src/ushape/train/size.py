"""How large the network is: as wide, and of as fine an image, as minutes and memory allow."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ushape.data.annotation import Annotation
from ushape.data.folder import Survey
from ushape.data.resolution import kept
from ushape.data.split import WATCHED
from ushape.device import free_bytes
from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.models import MODELS, axes_of
from ushape.recipe import Recipe, merged
from ushape.train.loop import VALIDATION_SHARE
from ushape.train.step_memory import network, step_bytes

_ENOUGH_STEPS = 400  # of the default batch; docs/results.md has what fewer steps of a wider network were worth
_LEAST_STEPS = 10  # with a validation after them; fewer are no training
_WIDTHS = (1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)  # of the published width, the narrowest first
_REDUCTIONS = (4, 2)  # sides of the squares of pixels whose means a network may see, where there is little time
_SMALL_PX = 128  # side of the patches that a network then sees; docs/results.md has what larger ones cost
_LEAST_SEEN = 64  # pixels across a patch that are left of it
_KEPT = 0.985  # Dice that a network without fault must still reach; docs/results.md has what coarser ones gained
_UNMEASURED_WIDTHS = {"unet": 32, "unet3d": 16}  # where steps are the budget: the same on every machine
_WORKING_MEMORY = 1.5  # by which a process grows for each byte that a step holds

_SMALL = "in little time, more steps on small patches are worth more than fewer on large ones"
_COARSE = f"coarser, for more steps, as far as a network without fault would still reach a Dice of {_KEPT:g}"

Tables = Mapping[str, Any]  # Any: settings of every kind, as `ushape.recipe.read` gives them
Pace = Callable[[Recipe, int, Labels, torch.device], float]


@dataclass(frozen=True)
class Machine:
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
        patch = math.prod(recipe.training.output_sizes(axes_of(recipe.model.name)))
        return step_seconds / 3 * seen / (recipe.training.batch * patch)

    def bytes(self, recipe: Recipe) -> int:
        """That a training takes of one process, at its largest stage."""
        recipe = self._of_one(recipe)
        stages = [recipe.of_stage(number) for number in range(len(recipe.stages))] or [recipe]
        return int(_WORKING_MEMORY * max(step_bytes(network(s, self.channels, self.labels), s) for s in stages))

    def _of_one(self, recipe: Recipe) -> Recipe:
        """With the share of a batch that one process has."""
        return recipe.changed(training={"batch": recipe.training.batch // self.processes})


def fitted(of_sizes: Sequence[Recipe], machine: Machine) -> tuple[Recipe, list[tuple[str, str]]]:
    """The largest of the networks, the quickest first, that minutes and memory allow, and why.

    RecipeError where memory allows none, or the minutes hold next to no step.
    """
    fitting = _that_fit(of_sizes, machine)
    if len(of_sizes) == 1:
        return of_sizes[0], []
    if of_sizes[0].training.minutes:
        taken, reason = _largest_in_time(fitting, machine)
    else:
        name = of_sizes[0].model.name
        taken = [r for r in fitting if r.model.options["width"] <= _UNMEASURED_WIDTHS[name]][-1]
        published = _published_width(name)
        reason = f"fewer channels than the published {published}: four times as fast, and steps are the budget"
    reasons = [("width", f"{taken.model.options['width']}: {reason}")]
    if taken.training.output_size < of_sizes[-1].training.output_size:
        reasons.append(("patch", f"{taken.training.output_size} px: {_SMALL}"))
    if (reduction := _reduction(taken)) > 1:
        reasons.append(("resolution", f"means of {reduction} × {reduction} pixels: {_COARSE}"))
    return taken, reasons


def sizes(recipe: Recipe, tables: Tables, found: Survey, annotation: Annotation) -> list[Recipe]:
    """The recipe with networks of each size that may be chosen, the quickest first; as it is, where none may.

    tables: what the user sets, and is left. In minutes, a network is first widened, on small patches and as few pixels
    as the masks allow; once there is time for the published width, it sees finer images, then larger patches.
    """
    name, minutes = recipe.model.name, recipe.training.minutes
    asked, default = tables.get("model", {}).get("options", {}), name == Recipe().model.name
    widths = _widths(name) if "width" not in asked and (minutes or name in _UNMEASURED_WIDTHS) else []
    wider = [_with_options(recipe, width=width) for width in widths] or [recipe]
    if not minutes or not default or recipe.model.options.get("padding") != "same":
        return wider
    whole_px = recipe.training.output_size
    free = "reduction" not in asked and annotation.task == "semantic"
    reductions = _reductions(found, annotation, whole_px) if free else [recipe.model.options.get("reduction", 1)]
    small_px = whole_px if "output_size" in tables.get("training", {}) else min(whole_px, _SMALL_PX * reductions[0])
    small = [_seeing(size, small_px, reductions[0]) for size in wider]
    finer = [_seeing(wider[-1], small_px, reduction) for reduction in reductions[1:]]
    return [*small, *finer, *([_seeing(wider[-1], whole_px, reductions[-1])] if small_px < whole_px else [])]


def _reductions(found: Survey, annotation: Annotation, patch_px: int) -> list[int]:
    """Sides of the squares of pixels whose means are enough for the masks, the largest first and 1 last."""
    able = [reduction for reduction in _REDUCTIONS if reduction * _LEAST_SEEN <= patch_px]
    dice = kept(found.pairs, annotation, able)
    return [*(reduction for reduction, d in zip(able, dice, strict=True) if d >= _KEPT), 1]


def _widths(name: str) -> list[int]:
    """Channels of the first level that may be chosen, the narrowest first and the published last."""
    return [round(_published_width(name) * part) for part in _WIDTHS]


def _published_width(name: str) -> int:
    published: int = inspect.signature(MODELS[name].__init__).parameters["width"].default
    return published


def _with_options(recipe: Recipe, **options: int) -> Recipe:
    return merged(recipe, {"model": {"options": options}})


def _seeing(recipe: Recipe, patch_px: int, reduction: int) -> Recipe:
    """With patches of this side, seen through means of so many × so many pixels."""
    if reduction != _reduction(recipe):
        recipe = _with_options(recipe, reduction=reduction)
    return recipe.changed(training={"output_size": patch_px})


def _reduction(recipe: Recipe) -> int:
    reduction: int = recipe.model.options.get("reduction", 1)
    return reduction


def _size_in_words(recipe: Recipe) -> str:
    """Of the network: its width, and what it sees where that is not every pixel."""
    width = f"width {recipe.model.options['width']}"
    return (
        f"{width} on means of {_reduction(recipe)} × {_reduction(recipe)} pixels" if _reduction(recipe) > 1 else width
    )


def _that_fit(recipes: Sequence[Recipe], machine: Machine) -> list[Recipe]:
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
    sides = recipe.training.output_sizes(axes_of(recipe.model.name))
    return str(sides[0]) if len(sides) == 2 else " x ".join(map(str, sides))


def _largest_in_time(recipes: Sequence[Recipe], machine: Machine) -> tuple[Recipe, str]:
    """The last of the recipes, the quickest first, of which enough steps fit into the minutes, and the figures.

    They are tried in this order, so that measuring takes a small share of the minutes however slow the machine.
    """
    minutes = recipes[0].training.minutes
    largest, steps = recipes[0], 0.0
    for recipe in recipes:
        seconds = machine.seconds(recipe)
        validation = machine.validation_seconds(recipe, seconds)
        validating = min(recipe.training.validations * validation, VALIDATION_SHARE * 60 * minutes)
        fit = (60 * minutes - validating) / seconds
        if not steps:
            _require_time(minutes, seconds, validation)
        if fit < _ENOUGH_STEPS and steps:
            missed = f"; of {_size_in_words(recipe)} only {fit:,.0f}"
            return largest, f"about {steps:,.0f} steps fit into {minutes:g} minutes here{missed}"
        largest, steps = recipe, fit
        if fit < _ENOUGH_STEPS:
            break
    return largest, f"about {steps:,.0f} steps fit into {minutes:g} minutes here"


def _require_time(minutes: float, step: float, validation: float) -> None:
    """RecipeError where even the narrowest network would make next to no step, or have no time to be looked at."""
    least = (_LEAST_STEPS * step + validation) / 60
    if minutes < least:
        raise RecipeError(
            f"{minutes:g} minutes are too few: a step of the smallest network takes {step:.2g} s here, a validation "
            f"about {validation:.2g} s. Give at least {math.ceil(10 * least) / 10:g} minutes, or --steps."
        )
