"""All that defines a training, as frozen dataclasses ↔ one TOML file (docs/formats.md).

Recipes that come with ushape lie in recipes/ and are read by their name: `read("unet-2015")`.

A default stands here, or in the constructor of the model or augmentation, and nowhere else.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import tomli_w

from ushape.data.augment import Augmentation
from ushape.data.borders import BorderForm
from ushape.errors import RecipeError
from ushape.models import MODELS, build
from ushape.regions import check_declared
from ushape.settings import built, check_types, checked, unknown_names

Task = Literal["semantic", "instances"]


@dataclass(frozen=True)
class ModelRecipe:
    """Which network, and the options of its constructor that differ from the default."""

    name: str = "unet"
    options: Mapping[str, Any] = field(default_factory=dict)  # Any: whatever the model's constructor takes


@dataclass(frozen=True)
class DataRecipe:
    """What of the folder is used, and how.

    include: comma-separated patterns of image names. group_by: a regular expression that finds what belongs together
    in a name. task: recognised from the masks where left out. ignored_values: mask values that count nowhere.
    validation_fraction: share of the images, in whole groups, that is held back; 0 trains on all of them, and takes the
    network of the last step, as there is nothing to choose one by.
    spacing: the length of a voxel along z, y and x, in any unit, by which volumes are deformed.
    """

    include: str = "*"
    group_by: str = ""
    task: Task | Literal["auto"] = "auto"
    ignored_values: tuple[int, ...] = ()
    validation_fraction: float = 0.2
    spacing: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainingRecipe:
    """How weights are found. Exactly one of minutes and steps is above 0.

    output_size: side of the square patches in answered pixels. output_depth: slices of those of volumes; 0 for as many
    as output_size. batch: patches per step.
    optimiser: "sgd" with momentum as published, or "adamw". schedule: "constant"; "one-cycle" (a short rise, then a
    cosine down to 0); or "until-flat" (constant until validation gains no more, then down to 0: the budget is the
    longest that it may take, and there are four times as many validations). loss: per pixel, per region, or both.
    class_weights: "balanced" divides by class frequency.
    border_weights: pixels between objects that are close count more in the loss per pixel, in the form of a paper.
    foreground_fraction: share of patches centred on a foreground pixel. average: decay of the running mean of the
    weights that is kept as the result, 0 for the last weights. clip: largest norm of the gradient, 0 for any.
    validations: how many, evenly spread over the training.
    statistics_until: share of the training in which batch normalisation normalises by the batch at hand; from then on
    by the means and deviations that it has gathered, as in prediction, so that the weights learn to live with them.
    bias_rate: learning rate of biases and normalisations, as a multiple of that of the other weights.
    initial_weights: file to begin with: a checkpoint of the same network, or, for FCNs, ImageNet's VGG16 in
    torchvision's layout; left out, weights are drawn.
    """

    minutes: float = 0.0
    steps: int = 0
    output_size: int = 256
    output_depth: int = 0
    batch: int = 4
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    momentum: float = 0.99
    weight_decay: float = 1e-2
    schedule: Literal["one-cycle", "constant", "until-flat"] = "one-cycle"
    loss: Literal["cross-entropy", "dice", "cross-entropy+dice"] = "cross-entropy+dice"
    class_weights: Literal["none", "balanced"] = "none"
    border_weights: Literal["none"] | BorderForm = "none"
    foreground_fraction: float = 0.0
    average: float = 0.99
    clip: float = 1.0
    statistics_until: float = 0.5
    bias_rate: float = 1.0
    initial_weights: str = ""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    validations: int = 10

    def output_sizes(self, axes: int) -> tuple[int, ...]:
        """Sides of a patch in answered pixels, for a network that sees so many axes.

        >>> TrainingRecipe(output_size=64, output_depth=16).output_sizes(3)
        (16, 64, 64)
        """
        plane = (self.output_size, self.output_size)
        return plane if axes == 2 else (self.output_depth or self.output_size, *plane)


@dataclass(frozen=True)
class PredictionRecipe:
    """flips: average the probabilities over the eight flips and quarter turns, at eight times the cost.

    "auto": where the validation images say after the training that they gain from it.
    one_piece: names of regions of which each image keeps the largest piece alone, its holes filled
    (predict/pieces.py).
    """

    flips: bool | Literal["auto"] = "auto"
    one_piece: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One training of several (FCN: 32s, 16s, 8s), each of which begins with the weights of the one before.

    model: the network that it trains. share: of the budget, beside those of the other stages. learning_rate: in place
    of that of [training].
    """

    model: str
    learning_rate: float
    share: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """A whole training; its TOML file has one table per field.

    regions: classes of each by its name, as regions.py has them: what is scored beside the classes.
    stages: where there are any, trainings one after another; the last is that of [model].
    """

    model: ModelRecipe = ModelRecipe()
    data: DataRecipe = DataRecipe()
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: TrainingRecipe = TrainingRecipe()
    prediction: PredictionRecipe = PredictionRecipe()
    regions: Mapping[str, Any] = field(default_factory=dict)  # Any: lists, checked by regions.py
    stages: tuple[Stage, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self)

    def to_toml(self) -> str:
        tables = _plain(self)
        model = tables.pop("model")
        first = {"seed": tables.pop("seed"), "model": {"name": model["name"], **model["options"]}}
        for name in ("regions", "stages"):
            if not tables[name]:
                del tables[name]
        return tomli_w.dumps(first | tables)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it back."""
        return _plain(self)

    @staticmethod
    def from_dict(tables: Mapping[str, Any]) -> Recipe:
        """From nested plain values, with `model.options` apart; RecipeError for names or values that cannot be."""
        unknown = list(unknown_names(Recipe, tables, "the recipe"))
        if unknown:
            raise RecipeError("There are settings that do not exist: " + " ".join(unknown))
        recipe: Recipe = built(Recipe, tables, "the recipe")
        return recipe

    def of_stage(self, number: int) -> Recipe:
        """The recipe of one stage alone, 0 the first: its network, its learning rate, its part of the budget."""
        stage, training = self.stages[number], self.training
        shares = [each.share for each in self.stages]
        begin, end = (sum(shares[:n]) / sum(shares) for n in (number, number + 1))
        alone = replace(
            training,
            learning_rate=stage.learning_rate,
            minutes=training.minutes * (end - begin),
            steps=round(training.steps * end) - round(training.steps * begin),
            initial_weights=training.initial_weights if number == 0 else "",
        )
        return replace(self, model=replace(self.model, name=stage.model), training=alone, stages=())

    def changed(self, **tables: Mapping[str, Any]) -> Recipe:
        """With some values of some tables replaced: `recipe.changed(training={"minutes": 5})`."""
        return replace(self, **{name: replace(getattr(self, name), **values) for name, values in tables.items()})


def read(place: str | Path) -> dict[str, Any]:
    """The tables of a TOML file, or of a recipe that comes with ushape, for `merged`.

    RecipeError names the file and every unknown key.
    """
    path, shipped = Path(place), shipped_recipes()
    try:
        source = shipped[str(place)] if str(place) in shipped and not path.exists() else path
        tables = tomllib.loads(source.read_text(encoding="utf-8-sig"))  # some editors begin files with a mark
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read: {error.strerror}. Give the path of a recipe in TOML, or the name of one of ours: "
            f"{', '.join(shipped)}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}. See docs/formats.md for a recipe.") from error
    if isinstance(tables.get("model"), dict):
        options = dict(tables["model"])
        name = {"name": options.pop("name")} if "name" in options else {}
        tables["model"] = {**name, "options": options}
    try:
        Recipe.from_dict(tables)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
    return tables


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with ushape, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}


def merged(recipe: Recipe, tables: Mapping[str, Any]) -> Recipe:
    """The recipe with what the tables say in place of its own; options of another model replace all options."""
    values = recipe.to_dict()
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            values[name] = table
        elif name == "model" and table.get("name", recipe.model.name) == recipe.model.name:
            values["model"]["options"] |= table.get("options", {})
        elif name == "model":
            values["model"] = {"options": {}, **table}
        else:
            values[name] = values.get(name, {}) | table
    return Recipe.from_dict(values)


def _check(recipe: Recipe) -> None:
    check_types(recipe, "the recipe")
    _check_model(recipe.model)
    _check_ranges(recipe)
    spacing = recipe.data.spacing
    if spacing and (len(spacing) != 3 or not all(0 < length < math.inf for length in spacing)):
        raise RecipeError(
            f"data.spacing is {list(spacing)}; it takes the lengths of a voxel along z, y and x, above 0."
        )
    minutes, steps = recipe.training.minutes, recipe.training.steps
    if minutes and steps:
        raise RecipeError(f"Both minutes = {minutes:g} and steps = {steps} are set; choose one.")
    _check_weights(recipe.training)
    check_declared(recipe.regions, recipe.prediction.one_piece)
    _check_stages(recipe)


def _check_stages(recipe: Recipe) -> None:
    for stage in recipe.stages:
        _check_model(replace(recipe.model, name=stage.model))
        for name, value, most in [("share", stage.share, 10**6), ("learning_rate", stage.learning_rate, 100)]:
            if not 0 < value <= most:
                raise RecipeError(f"{name} of the stage {stage.model} is {value:,}; it takes more than 0, to {most:,}.")
    if recipe.stages and recipe.stages[-1].model != recipe.model.name:
        raise RecipeError(
            f"The last stage trains {recipe.stages[-1].model}, but [model] is {recipe.model.name}; name the same."
        )
    if recipe.training.steps and recipe.training.steps < len(recipe.stages):
        raise RecipeError(f"{recipe.training.steps} steps are too few for {len(recipe.stages)} stages.")


def _check_weights(training: TrainingRecipe) -> None:
    """Weights that nobody would read."""
    borders = training.border_weights
    if borders != "none" and training.loss == "dice":
        raise RecipeError(
            f'border_weights = "{borders}" count in the loss per pixel, and loss = "dice" has none. Choose '
            '"cross-entropy" or "cross-entropy+dice", or leave the border weights out.'
        )
    if borders == "unet-2019" and training.class_weights != "none":
        raise RecipeError(
            'border_weights = "unet-2019" balance the classes themselves; leave class_weights = '
            f'"{training.class_weights}" out, or choose "unet-2015".'
        )


def _check_model(model: ModelRecipe) -> None:
    """Name, and names and types of the options; what lies between their limits is the constructor's to judge."""
    reserved = {"in_channels", "classes"} & set(model.options)
    if reserved:
        raise RecipeError(f"[model] sets {', '.join(sorted(reserved))}, which follow from the images; leave them out.")
    known = get_type_hints(MODELS[model.name].__init__) if model.name in MODELS else {}
    known.pop("return", None)
    if not set(model.options) <= set(known) or not known:
        build(model.name, **model.options)  # raises, with the nearest name
    for name, value in model.options.items():
        checked(value, known[name], f"{name} in [model]")


def _check_ranges(recipe: Recipe) -> None:
    training, data = recipe.training, recipe.data
    for name, value, least, most in [
        ("seed", recipe.seed, 0, 2**63 - 1),
        ("training.minutes", training.minutes, 0, 10**6),
        ("training.steps", training.steps, 0, 10**9),
        ("training.output_size", training.output_size, 1, 10**5),
        ("training.output_depth", training.output_depth, 0, 10**5),
        ("training.batch", training.batch, 1, 10**4),
        ("training.momentum", training.momentum, 0, 0.9999),
        ("training.weight_decay", training.weight_decay, 0, 10),
        ("training.foreground_fraction", training.foreground_fraction, 0, 1),
        ("training.average", training.average, 0, 0.99999),
        ("training.clip", training.clip, 0, 10**6),
        ("training.validations", training.validations, 1, 10**5),
        ("training.learning_rate", training.learning_rate, 0, 100),
        ("training.statistics_until", training.statistics_until, 0, 1),
        ("training.bias_rate", training.bias_rate, 0, 100),
        ("data.validation_fraction", data.validation_fraction, 0, 0.9),
    ]:
        if not least <= value <= most:
            raise RecipeError(f"{name} is {value:,}; it takes {least:,} to {most:,}.")


def _plain(recipe: Recipe) -> dict[str, Any]:
    tables = asdict(recipe)
    tables["model"]["options"] = dict(recipe.model.options)
    tables["data"]["ignored_values"] = list(recipe.data.ignored_values)
    tables["data"]["spacing"] = list(recipe.data.spacing)
    tables["prediction"]["one_piece"] = list(recipe.prediction.one_piece)
    tables["regions"] = {name: list(parts) for name, parts in recipe.regions.items()}
    tables["stages"] = list(tables["stages"])
    return tables
