"""What is the same for all entrants: budget, seeds, images, settings; and the recipe that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ushape.compare.entrant import Entrant
from ushape.data.annotation import Annotation
from ushape.data.folder import Survey
from ushape.errors import RecipeError
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, merged
from ushape.train.plan import plan_for_images
from ushape.train.session import wanted_data, with_budget

Tables = Mapping[str, Any]  # Any: settings of every kind, as `ushape.recipe.read` gives them


@dataclass(frozen=True)
class Terms:
    """The terms of a comparison.

    minutes, steps: of every training, stages together; give one, or settings that have one. seeds: how many trainings
    each entrant has, with the seeds 0, 1, … unless the tables say where to begin. test: patterns of the names of the
    images to score on, with commas between; a fifth of the images in whole groups, drawn by the rule of every split,
    where left empty.
    tables: settings of a recipe for all: [data], [augmentation], [training], [prediction].
    """

    minutes: float | None = None
    steps: int | None = None
    seeds: int = 3
    test: str = ""
    tables: Tables = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise RecipeError(f"{self.seeds} trainings of each entrant are none; give --seeds 1 or more, better 3.")
        networks = [name for name in ("model", "stages") if name in self.tables]
        if networks:
            raise RecipeError(
                f"The settings for all have {' and '.join(networks)}, which each entrant has of its own. Leave that "
                "out, and name networks with --models."
            )

    @property
    def first_seed(self) -> int:
        return int(self.tables.get("seed", 0))

    @property
    def data(self) -> DataRecipe:
        """What of the folder is used, test images included."""
        return wanted_data(self.tables)


def recipe_for(entrant: Entrant, terms: Terms, found: Survey, annotation: Annotation, data: DataRecipe) -> Recipe:
    """An entrant's recipe: what `ushape train` would choose for these images, under the terms, and its own tables.

    The network is the entrant's alone, as published but for its options, whatever a plan would choose. RecipeError for
    settings that cannot be, and without a budget.
    """
    shared = {name: table for name, table in terms.tables.items() if name not in ("seed", "data")}
    own = {name: table for name, table in entrant.tables.items() if name not in ("model", "stages")}
    tables = {name: {**shared.get(name, {}), **own.get(name, {})} for name in {**shared, **own}}
    chosen = plan_for_images(found, annotation, _with_budget(tables, terms, entrant)).recipe
    network = {name: entrant.tables[name] for name in ("model", "stages") if name in entrant.tables}
    recipe = merged(replace(chosen, model=ModelRecipe(), data=data), network)
    if recipe.prediction.flips == "auto":  # or some entrants would be scored with them, and some without
        recipe = recipe.changed(prediction={"flips": False})
    _check_stages(recipe)
    return recipe


def _check_stages(recipe: Recipe) -> None:
    """RecipeError where a stage would be left without a step, when those before it have cost their time."""
    parts = [recipe.of_stage(number).training for number in range(len(recipe.stages))]
    idle = [stage.model for stage, part in zip(recipe.stages, parts, strict=True) if not (part.steps or part.minutes)]
    if idle:
        raise RecipeError(
            f"{recipe.training.steps} steps leave none for {', '.join(idle)}, of {len(parts)} stages that share them. "
            "Give more steps."
        )


def _with_budget(tables: Tables, terms: Terms, entrant: Entrant) -> dict[str, Any]:
    training = tables.get("training", {})
    if not any((terms.minutes, terms.steps, training.get("minutes"), training.get("steps"))) and not (
        terms.minutes == 0 or terms.steps == 0
    ):
        raise RecipeError(f"There is no budget for {entrant.name}. Give --minutes or --steps, of each training.")
    return with_budget(tables, terms.minutes, terms.steps)
