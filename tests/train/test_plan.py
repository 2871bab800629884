"""What would be trained, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ushape.errors import RecipeError
from ushape.models import build
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, merged, read
from ushape.train.plan import plan
from ushape.train.prepare import look, prepare
from ushape.train.sampling import patch_sampler

CPU = torch.device("cpu")
Annotated = Callable[..., Path]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def planned(data: Path, tables: dict | None = None, device: torch.device = CPU):
    found, annotation, _ = look(data, DataRecipe(), 0)
    return plan(found, annotation, tables or {}, device)


def test_on_a_processor_the_network_is_narrow_and_says_why(annotated: Annotated):
    found = planned(annotated(*"abc"))
    assert found.recipe.model.options["width"] == 32
    assert "on a processor" in dict(found.reasons)["network"]
    on_a_card = planned(annotated(*"abc"), device=torch.device("cuda"))
    assert on_a_card.recipe.model.options == {}
    assert "network" not in dict(on_a_card.reasons)


def test_other_networks_that_can_be_normalised_are_and_keep_what_else_is_published(annotated: Annotated):
    found = planned(annotated(*"abc"), {"model": {"name": "unetpp"}})
    assert found.recipe.model == ModelRecipe("unetpp", {"normalisation": "batch"})
    assert "not as published" in dict(found.reasons)["network"]
    asked = planned(annotated(*"abc"), {"model": {"name": "unetpp", "options": {"normalisation": "none"}}})
    assert asked.recipe.model.options == {"normalisation": "none"} and "network" not in dict(asked.reasons)
    without = planned(annotated(*"abc"), {"model": {"name": "fcn8s"}})
    assert without.recipe.model == ModelRecipe("fcn8s") and "network" not in dict(without.reasons)


def test_small_images_get_small_patches(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abc")
    assert planned(data).recipe.training.output_size == 64
    assert dict(planned(data).reasons)["patch"] == "64 px: the smallest image has a side of 28"
    for name in "abc":
        save(tmp_path / "large" / "images" / f"{name}.png", np.full((300, 257), ord(name), np.uint8))
        save(tmp_path / "large" / "masks" / f"{name}.png", np.eye(300, 257, dtype=np.uint8) * 255)
    assert planned(tmp_path / "large").recipe.training.output_size == Recipe().training.output_size
    assert "patch" not in dict(planned(tmp_path / "large").reasons)


def test_rare_classes_are_looked_for(annotated: Annotated, tmp_path: Path):
    assert "sampling" not in dict(planned(annotated(*"abc")).reasons)
    for number in range(3):
        mask = np.zeros((40, 40), np.uint8)
        mask[3:9, 3:9] = 255
        noise = np.random.default_rng(number).integers(0, 255, (40, 40)).astype(np.uint8)
        save(tmp_path / "rare" / "images" / f"{number}x.png", noise)
        save(tmp_path / "rare" / "masks" / f"{number}x.png", mask)
    found = planned(tmp_path / "rare")
    assert found.recipe.training.foreground_fraction == 0.33
    assert dict(found.reasons)["sampling"].endswith("the rarest covers 2.2%")


def test_the_users_tables_overrule_the_plan(annotated: Annotated):
    tables = {
        "seed": 9,
        "model": {"options": {"width": 4}},
        "training": {"output_size": 48, "steps": 5, "foreground_fraction": 0.5},
    }
    recipe = planned(annotated(*"abc"), tables).recipe
    assert (recipe.seed, recipe.model.options["width"], recipe.model.options["padding"]) == (9, 4, "same")
    assert (recipe.training.output_size, recipe.training.steps, recipe.training.foreground_fraction) == (48, 5, 0.5)


def test_the_published_network_and_training_stay_what_they_are_on_any_machine(annotated: Annotated):
    data = annotated(*"abc", numbered=True)
    found, annotation, _ = look(data, DataRecipe(task="instances"), 0)
    tables = {**read("unet-2015"), "data": {"task": "instances"}}
    for device in ("cpu", "cuda"):
        settled = plan(found, annotation, tables, torch.device(device))
        assert settled.reasons == ()  # nothing is left to choose
        assert settled.recipe == merged(Recipe(), tables)
        model = settled.recipe.model
        with torch.device("meta"):  # without weights
            network = build(model.name, in_channels=1, classes=2, **model.options)
        assert sum(p.numel() for p in network.parameters()) == 31_030_658
        training = settled.recipe.training
        assert (training.output_size, training.class_weights) == (388, "balanced")  # of images of 28 x 36 pixels
        assert (training.border_weights, training.foreground_fraction) == ("unet-2015", 0)
    prepared = prepare(data, settled.recipe)
    assert patch_sampler(prepared, settled.recipe, network.footprint, CPU).output_size == 388


def test_of_a_recipe_that_says_less_the_rest_is_chosen(annotated: Annotated):
    recipe = planned(annotated(*"abc"), {"model": {"options": {"width": 64, "padding": "valid"}}}).recipe
    assert recipe.model.options == {"width": 64, "padding": "valid", "normalisation": "batch"}


def test_objects_that_are_told_apart_have_border_weights_and_say_why(annotated: Annotated):
    data = annotated(*"abc", numbered=True)
    found, annotation, _ = look(data, DataRecipe(task="instances"), 0)
    settled = plan(found, annotation, {}, CPU)
    assert settled.recipe.training.border_weights == "unet-2015"
    assert any("U-Net 2015: pixels between objects that nearly touch" in reason for _, reason in settled.reasons)
    without = plan(found, annotation, {"training": {"border_weights": "none"}}, CPU)
    assert without.recipe.training.border_weights == "none"
    assert not any("nearly touch" in reason for _, reason in without.reasons)
    assert planned(data).recipe.training.border_weights == "none"  # where each number is a class


def test_tables_that_cannot_be_are_refused(annotated: Annotated):
    with pytest.raises(RecipeError, match="did you mean 'width'"):
        planned(annotated(*"abc"), {"model": {"options": {"widht": 4}}})
