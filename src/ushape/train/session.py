"""A folder and a few wishes → a trained network: what `ushape.train` does, and what `ushape train` settles first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ushape.device import choose_device
from ushape.errors import CheckpointError, RecipeError
from ushape.models import axes_of
from ushape.predict.tiled import Predictor, load
from ushape.recipe import DataRecipe, Recipe, merged, read
from ushape.train.plan import plan
from ushape.train.prepare import look
from ushape.train.stages import training

DEFAULT_MINUTES = 15.0
LONGEST_MINUTES = 60.0  # of a training that ends when validation gains no more

Tables = Mapping[str, Any]  # Any: settings of every kind, as `ushape.recipe.read` gives them


def train(
    data: str | Path,
    out: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    recipe: Tables | str | Path | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Predictor:
    """Train on an annotated folder, write the run's folder `out`, and return its best network, ready to segment.

    minutes, steps: the budget; with neither, and none in the recipe, DEFAULT_MINUTES. recipe: a TOML file or its
    tables, `{"model": {"options": {"width": 32}}}`; what it leaves out is chosen for images and machine.
    """
    data, out, place = Path(data), Path(out), choose_device(device)
    if resume:
        settled = resumed(out, minutes=minutes, steps=steps)
    else:
        tables = with_budget(read(Path(recipe)) if isinstance(recipe, str | Path) else recipe or {}, minutes, steps)
        found, annotation = look(data, wanted_data(tables), wanted_axes(tables))
        settled = plan(found, annotation, tables, place).recipe
    for _ in training(data, out, settled, device=place, resume=resume, overwrite=overwrite).events():
        pass
    return load(out, device=str(place))


def with_budget(tables: Tables, minutes: float | None, steps: int | None) -> dict[str, Any]:
    """The tables with this budget in place of their own, or DEFAULT_MINUTES where there is none at all: LONGEST_MINUTES
    where the schedule is "until-flat".
    """
    if minutes is not None and steps is not None:
        raise RecipeError(f"Both minutes = {minutes:g} and steps = {steps} are given; choose one.")
    for name, value in (("minutes", minutes), ("steps", steps)):
        if value is not None and value <= 0:
            raise RecipeError(f"A training of {name} = {value:g} does nothing; give more than 0.")
    training = dict(tables.get("training", {}))
    if minutes is not None:
        training |= {"minutes": float(minutes), "steps": 0}
    elif steps is not None:
        training |= {"minutes": 0.0, "steps": steps}
    elif not training.get("minutes") and not training.get("steps"):
        until_flat = training.get("schedule") == "until-flat"
        training |= {"minutes": LONGEST_MINUTES if until_flat else DEFAULT_MINUTES, "steps": 0}
    return {**tables, "training": training}


def wanted_data(tables: Tables) -> DataRecipe:
    """The settings of the folder alone, with which it can be looked at before the rest is chosen."""
    return merged(Recipe(), {"data": tables.get("data", {})}).data


def wanted_axes(tables: Tables) -> int:
    """How many axes the network sees that the tables name."""
    return axes_of(str(tables.get("model", {}).get("name", Recipe().model.name)))


def resumed(out: Path, *, minutes: float | None = None, steps: int | None = None) -> Recipe:
    """The recipe of an interrupted run, with another budget if one is given: the whole one, what is done included."""
    path = out / "recipe.toml"
    if not path.exists():
        raise CheckpointError(
            f"There is no training to go on with in {out}: it has no recipe.toml. Give the folder of an interrupted "
            "one, or leave --resume out to begin."
        )
    return merged(Recipe(), with_budget(read(path), minutes, steps))
