"""Recipes: TOML there and back, and every word they are refused with."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from ushape import recipe as recipes
from ushape.data.augment import Augmentation
from ushape.errors import RecipeError
from ushape.models.unet import UNet
from ushape.recipe import (
    DataRecipe,
    ModelRecipe,
    PredictionRecipe,
    Recipe,
    Stage,
    TrainingRecipe,
    merged,
    read,
    shipped_recipes,
)

EVERYTHING = Recipe(
    model=ModelRecipe("unet", {"width": 8, "padding": "same", "dropout": 0.25}),
    data=DataRecipe(
        include="a*, b_?",
        group_by=r"^(\w+)_\d",
        task="instances",
        ignored_values=(9, 255),
        validation_fraction=0.3,
        spacing=(5.0, 0.7, 0.7),
    ),
    augmentation=Augmentation(rotation_degrees=10.5, flip=False, elastic_px=0.1),
    training=TrainingRecipe(
        minutes=0.1 + 0.2,
        output_size=64,
        output_depth=16,
        batch=1,
        optimiser="sgd",
        learning_rate=1e-5,
        momentum=0.9,
        weight_decay=0.0,
        schedule="constant",
        loss="cross-entropy",
        class_weights="balanced",
        border_weights="unet-2015",
        foreground_fraction=1 / 3,
        average=0.0,
        clip=0.0,
        precision="bfloat16",
        validations=3,
        statistics_until=0.25,
        bias_rate=2.0,
        initial_weights="vgg16.safetensors",
    ),
    prediction=PredictionRecipe(flips=True, one_piece=("cell",)),
    regions={"nucleus": [255], "cell": ["plasm", 255]},
    stages=(Stage("unet", 1e-3, share=2.0), Stage("unet", 1e-4)),
    seed=2**40,
)


def file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tables: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict(tables)
    return str(caught.value)


@pytest.mark.parametrize("recipe", [Recipe(), EVERYTHING])
def test_toml_and_json_give_the_same_recipe_back(tmp_path: Path, recipe: Recipe):
    assert merged(Recipe(), read(file(tmp_path, recipe.to_toml()))) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert merged(EVERYTHING, read(file(tmp_path, recipe.to_toml()))).training == recipe.training


def test_everything_differs_from_the_default():
    for table in (f.name for f in fields(Recipe)):
        ours, default = getattr(EVERYTHING, table), getattr(Recipe(), table)
        assert ours != default
        if table == "training":
            same = {f.name for f in fields(ours) if getattr(ours, f.name) == getattr(default, f.name)}
            assert same == {"steps"}  # which excludes minutes


def test_options_of_the_model_stand_beside_its_name_in_toml():
    assert '[model]\nname = "unet"\nwidth = 8\n' in EVERYTHING.to_toml()


def test_whole_numbers_do_where_a_number_is_wanted_and_not_the_other_way_round(tmp_path: Path):
    assert read(file(tmp_path, "[training]\nminutes = 5")) == {"training": {"minutes": 5}}
    assert Recipe.from_dict({"training": {"minutes": 5}}).training.minutes == 5.0
    assert "steps in [training] is 5.0; it takes a whole number." in refusal({"training": {"steps": 5.0}})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_bytes("\ufeffseed = 7\n".encode())
    assert read(path) == {"seed": 7}


def test_all_unknown_settings_are_named_at_once_with_the_nearest_and_the_file(tmp_path: Path):
    path = file(tmp_path, "sed = 1\n[training]\nminuts = 5\nbatch = 2\nxyz = 1\n[dataa]\n[augmentation]\nflips = true")
    with pytest.raises(RecipeError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: There are settings that do not exist")
    assert "'sed' in the recipe: did you mean 'seed'?" in message
    assert "'minuts' in [training]: did you mean 'minutes'?" in message
    assert "'dataa' in the recipe: did you mean 'data'?" in message
    assert "'flips' in [augmentation]: did you mean 'flip'?" in message
    assert "'xyz' in [training]: there are: minutes, steps, output_size," in message
    assert "batch'" not in message


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"seed": "one"}, "seed in the recipe is 'one'; it takes a whole number."),
        ({"seed": True}, "seed in the recipe is True; it takes a whole number."),
        ({"seed": {}}, "seed in the recipe is {}; it takes a whole number."),
        ({"training": {"minutes": "5"}}, "minutes in [training] is '5'; it takes a number."),
        ({"training": {"minutes": {"a": 1}}}, "minutes in [training] is {'a': 1}; it takes a number."),
        ({"training": {"minutes": True}}, "minutes in [training] is True; it takes a number."),
        ({"training": {"optimiser": "adam"}}, "optimiser in [training] is 'adam'; it takes one of adamw, sgd."),
        ({"training": {"optimiser": ["adamw"]}}, "it takes one of adamw, sgd."),
        ({"data": {"task": "semantics"}}, "task in [data] is 'semantics'; it takes one of semantic, instances, auto."),
        ({"data": {"task": {}}}, "it takes one of semantic, instances, auto."),
        ({"data": {"include": 5}}, "include in [data] is 5; it takes text."),
        ({"data": {"ignored_values": 255}}, "ignored_values in [data] is 255; it takes a list of whole numbers."),
        ({"data": {"ignored_values": [1.5]}}, "is [1.5]; it takes a list of whole numbers."),
        ({"augmentation": {"flip": 1}}, "flip in [augmentation] is 1; it takes true or false."),
        ({"training": 5}, "training in the recipe is 5; it takes a table of settings, [training]."),
        ({"model": {"name": 5}}, "name in [model] is 5; it takes text."),
        ({"model": {"options": 5}}, "options in [model] is 5; it takes a table."),
        ({"model": {"options": {"width": "wide"}}}, "width in [model] is 'wide'; it takes a whole number."),
        ({"model": {"options": {"padding": "sme"}}}, "padding in [model] is 'sme'; it takes one of valid, same."),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_it_takes(tables: dict[str, Any], words: str):
    assert words in refusal(tables)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"seed": -1}, "seed is -1; it takes 0 to 9,223,372,036,854,775,807."),
        ({"training": {"minutes": -5}}, "training.minutes is -5.0; it takes 0 to 1,000,000."),
        ({"training": {"steps": -1}}, "training.steps is -1; it takes 0 to 1,000,000,000."),
        ({"training": {"output_size": 0}}, "training.output_size is 0; it takes 1 to 100,000."),
        ({"training": {"batch": 0}}, "training.batch is 0; it takes 1 to 10,000."),
        ({"training": {"momentum": 1}}, "training.momentum is 1.0; it takes 0 to 0.9999."),
        ({"training": {"weight_decay": 11}}, "training.weight_decay is 11.0; it takes 0 to 10."),
        ({"training": {"foreground_fraction": 1.1}}, "training.foreground_fraction is 1.1; it takes 0 to 1."),
        ({"training": {"average": 1}}, "training.average is 1.0; it takes 0 to 0.99999."),
        ({"training": {"clip": -1}}, "training.clip is -1.0; it takes 0 to 1,000,000."),
        ({"training": {"validations": 0}}, "training.validations is 0; it takes 1 to 100,000."),
        ({"training": {"learning_rate": math.nan}}, "training.learning_rate is nan; it takes 0 to 100."),
        ({"training": {"learning_rate": math.inf}}, "training.learning_rate is inf; it takes 0 to 100."),
        ({"data": {"validation_fraction": 1}}, "data.validation_fraction is 1.0; it takes 0 to 0.9."),
        ({"augmentation": {"scale": 9}}, "Augmentation got scale = 9.0; it takes 1 to 4"),
        ({"training": {"minutes": 5, "steps": 10}}, "Both minutes = 5 and steps = 10 are set; choose one."),
        ({"model": {"name": "unett"}}, "There is no model 'unett'; did you mean 'unet'?"),
        ({"model": {"options": {"widht": 8}}}, "The model unet has no option 'widht'; did you mean 'width'?"),
        ({"model": {"options": {"return": 8}}}, "The model unet has no option 'return'"),
        ({"model": {"options": {"classes": 3}}}, "[model] sets classes, which follow from the images; leave them out."),
        ({"model": {"options": {"in_channels": 3, "classes": 2}}}, "[model] sets classes, in_channels, which follow"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_limits(tables: dict[str, Any], words: str):
    assert words in refusal(tables)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recipe(training=TrainingRecipe(optimiser="adam")), "optimiser in [training] is 'adam'"),
        (lambda: Recipe(training=TrainingRecipe(loss="ce")), "loss in [training] is 'ce'; it takes one of cross-entro"),
        (lambda: Recipe(training={"steps": 5}), "training in the recipe is {'steps': 5}; it takes a TrainingRecipe."),
        (lambda: Recipe(seed=1.5), "seed in the recipe is 1.5"),
        (lambda: Recipe().changed(training={"schedule": "cosine"}), "schedule in [training] is 'cosine'"),
    ],
)
def test_python_code_is_held_to_the_same_rules(make, words: str):
    with pytest.raises(RecipeError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nminutes = 5\nsteps = 10\n", "Both minutes = 5 and steps = 10"),
        ("[model]\nclasses = 3\n", "[model] sets classes"),
        ("[augmentation]\nscale = 9\n", "Augmentation got scale = 9.0"),
        ("model = 5\n", "model in the recipe is 5; it takes a table of settings, [model]."),
        ("[model.options]\nwidth = 5\n", "The model unet has no option 'options'"),
        ("seed = \n", "is not valid TOML: Invalid value (at line 1, column 8). See docs/formats.md"),
        ("seed = 1\nseed = 2\n", "is not valid TOML: Cannot overwrite a value"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(tmp_path: Path, text: str, words: str):
    path = file(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(
        RecipeError, match=r"run\.toml cannot be read: No such file or directory\. Give the path of a r"
    ):
        read(tmp_path / "run.toml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        read(tmp_path)
    (tmp_path / "photo.toml").write_bytes(b"\x89PNG\xff\xff")
    with pytest.raises(RecipeError, match=r"photo\.toml is not valid TOML: .*decode"):
        read(tmp_path / "photo.toml")


def test_merging_replaces_what_is_said_and_leaves_the_rest():
    start = Recipe().changed(training={"minutes": 5.0, "batch": 2}, model={"options": {"width": 4, "depth": 2}})
    result = merged(start, {"seed": 3, "training": {"batch": 8}, "model": {"options": {"width": 16}}})
    assert result == replace(
        start, seed=3, model=ModelRecipe("unet", {"width": 16, "depth": 2}), training=TrainingRecipe(5.0, batch=8)
    )
    assert start.training.batch == 2  # recipes are values: nobody else's changes


def test_options_of_another_model_do_not_survive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(recipes.MODELS, "other", recipes.MODELS["unet"])
    start = Recipe(model=ModelRecipe("unet", {"width": 4}))
    assert merged(start, {"model": {"name": "other"}}).model == ModelRecipe("other", {})
    assert merged(start, {"model": {"name": "unet"}}).model == ModelRecipe("unet", {"width": 4})


def test_merging_refuses_what_a_file_may_not_say():
    with pytest.raises(RecipeError, match="Both minutes = 5 and steps = 10"):
        merged(Recipe().changed(training={"minutes": 5.0}), {"training": {"steps": 10}})
    with pytest.raises(RecipeError, match="'trainig' in the recipe: did you mean 'training'"):
        merged(Recipe(), {"trainig": {"steps": 10}})


def test_the_training_of_2015_comes_with_ushape():
    recipe = merged(Recipe(), read("unet-2015"))
    published = UNet(**recipe.model.options)
    assert sum(p.numel() for p in published.parameters()) == 31_030_658
    training = recipe.training
    assert (training.optimiser, training.momentum, training.batch, training.output_size) == ("sgd", 0.99, 1, 388)
    assert (training.border_weights, training.class_weights, training.loss) == (
        "unet-2015",
        "balanced",
        "cross-entropy",
    )
    assert recipe.prediction.flips is True and recipe.augmentation.elastic_px == 10


def test_every_recipe_of_ours_is_read_by_its_name_and_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch):
    assert "unet-2015" in shipped_recipes()
    for name, path in shipped_recipes().items():
        assert read(name) == read(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unet-2015").write_text("seed = 7")
    assert read("unet-2015") == {"seed": 7}


def test_a_recipe_that_is_not_there_is_told_beside_those_that_are(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"nowhere.toml cannot be read: .*the name of one of ours: .*unet-2015"):
        read(tmp_path / "nowhere.toml")


def test_weights_that_nobody_would_read_are_refused():
    with pytest.raises(RecipeError, match='"unet-2015" count in the loss per pixel, and loss = "dice" has none'):
        Recipe().changed(training={"border_weights": "unet-2015", "loss": "dice"})
    with pytest.raises(RecipeError, match='"unet-2019" balance the classes themselves; leave class_weights'):
        Recipe().changed(training={"border_weights": "unet-2019", "class_weights": "balanced"})
