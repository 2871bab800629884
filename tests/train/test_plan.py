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


def seconds_of_width(recipe: Recipe, *about: object) -> float:
    """A machine on which a step takes time as the square of the width."""
    return recipe.model.options.get("width", 32) ** 2 / 100


def planned(data: Path, tables: dict | None = None, pace=seconds_of_width, processes: int = 1):
    found, annotation = look(data, DataRecipe())
    return plan(found, annotation, tables or {"training": {"steps": 9}}, CPU, pace=pace, processes=processes)


def test_the_network_is_padded_and_normalised_and_says_why(annotated: Annotated):
    found = planned(annotated(*"abc"))
    options = found.recipe.model.options
    assert (options["padding"], options["normalisation"]) == ("same", "batch")
    assert "not as published" in dict(found.reasons)["network"]


def test_the_network_is_as_wide_as_minutes_allow(annotated: Annotated):
    data = annotated(*"abc")
    for minutes, width in [(10, 16), (30, 16), (100, 32), (1000, 64)]:
        found = planned(data, {"training": {"minutes": minutes}})
        assert found.recipe.model.options["width"] == width
        assert "minutes here" in dict(found.reasons)["width"]
    asked = planned(data, {"model": {"options": {"width": 48}}, "training": {"minutes": 10}})
    assert asked.recipe.model.options["width"] == 48 and "width" not in dict(asked.reasons)


def test_minutes_that_hold_no_training_are_refused_with_those_that_do(annotated: Annotated):
    data = annotated(*"abcde")
    with pytest.raises(RecipeError, match=r"0\.1 minutes are too few: a step .* takes 1 s here, .* least 0\.2 minutes"):
        planned(data, {"training": {"minutes": 0.1}}, pace=lambda *_: 1.0)
    assert planned(data, {"training": {"minutes": 0.2}}, pace=lambda *_: 1.0).recipe.training.minutes == 0.2


@pytest.mark.parametrize(("names", "fraction"), [("a", 0.2), ("ab", 0), ("abcd", 0), ("abcde", 0.2)])
def test_few_images_are_all_trained_on_unless_asked_otherwise(annotated: Annotated, names: str, fraction: float):
    found = planned(annotated(*names))
    assert found.recipe.data.validation_fraction == fraction
    assert ("leaves each out once" in dict(found.reasons).get("split", "")) == (fraction == 0)
    asked = planned(annotated(*names), {"data": {"validation_fraction": 0.3}, "training": {"steps": 9}})
    assert asked.recipe.data.validation_fraction == 0.3 and "split" not in dict(asked.reasons)


def test_processes_share_a_batch_and_its_time(annotated: Annotated):
    data, measured = annotated(*"abc"), []

    def pace(recipe: Recipe, *about: object) -> float:
        measured.append(recipe.training.batch)
        return 1.0

    minutes = {"training": {"minutes": 10}}
    for processes, batch in [(1, 4), (2, 4), (3, 6), (8, 8)]:
        found = planned(data, minutes, pace, processes)
        assert found.recipe.training.batch == batch
        assert set(measured) == {batch // processes} and ("batch" in dict(found.reasons)) == (batch != 4)
        measured.clear()
    with pytest.raises(RecipeError, match="3 processes cannot share batches of 4 patches alike"):
        planned(data, {"training": {"batch": 4, "steps": 9}}, processes=3)


def test_wider_networks_than_time_allows_are_not_measured(annotated: Annotated):
    measured = []

    def pace(recipe: Recipe, *about: object) -> float:
        measured.append(recipe.model.options["width"])
        return seconds_of_width(recipe)

    found = planned(annotated(*"abc"), {"training": {"minutes": 30}}, pace=pace)
    assert measured == [16, 24]
    told = dict(found.reasons)["width"]
    assert told == "16: about 703 steps fit into 30 minutes here; of width 24 only 312"


def test_other_networks_are_as_wide_as_minutes_allow_too(annotated: Annotated):
    found = planned(annotated(*"abc"), {"model": {"name": "unetpp"}, "training": {"minutes": 30}})
    assert found.recipe.model.options == {"normalisation": "batch", "width": 16}  # of its published 32


def test_steps_are_repeatable_and_nothing_is_measured(annotated: Annotated):
    def pace(*about: object) -> float:
        raise AssertionError(about)

    assert planned(annotated(*"abc"), {"training": {"steps": 9}}, pace=pace).recipe.model.options["width"] == 32


def test_memory_bounds_the_width_and_what_never_fits_is_refused(annotated: Annotated, monkeypatch: pytest.MonkeyPatch):
    data, tables = annotated(*"abc"), {"training": {"minutes": 1000.0, "output_size": 64}}
    monkeypatch.setattr("ushape.train.size.free_bytes", lambda device: 200 * 2**20)
    assert planned(data, tables).recipe.model.options["width"] == 24
    monkeypatch.setattr("ushape.train.size.free_bytes", lambda device: 10 * 2**20)
    with pytest.raises(
        RecipeError, match=r"4 patches of 64 px .* takes about 87 MiB, and 10 MiB of memory are free\. Set"
    ):
        planned(data, tables)
    with pytest.raises(RecipeError, match="a smaller batch, output_size or width"):
        planned(data, {"training": {"steps": 1}, "model": {"options": {"width": 8}}})


def test_patches_that_leave_nothing_to_normalise_over_are_refused(annotated: Annotated):
    tables = {"training": {"steps": 1, "batch": 1, "output_size": 16}}
    with pytest.raises(RecipeError, match=r"A batch of 1 with patches of 16 px leaves nothing to normalise over: .*"):
        planned(annotated(*"abc"), tables)


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
    assert dict(planned(data).reasons)["patch"] == "64 px: half of the images have a side of 28 or less"
    for name in "abc":
        save(tmp_path / "large" / "images" / f"{name}.png", np.full((300, 257), ord(name), np.uint8))
        save(tmp_path / "large" / "masks" / f"{name}.png", np.eye(300, 257, dtype=np.uint8) * 255)
    assert planned(tmp_path / "large").recipe.training.output_size == Recipe().training.output_size
    assert "patch" not in dict(planned(tmp_path / "large").reasons)


def squares(root: Path, side: int, square: int) -> Path:
    """Images of two classes in squares of so many pixels, of no grid that means of 2 × 2 or 4 × 4 pixels have."""
    for name in "abc":
        drawn = np.random.default_rng(ord(name)).integers(0, 2, (side // square + 2,) * 2)
        mask = np.kron(drawn, np.ones((square, square)))[3 : side + 3, 3 : side + 3]
        save(root / "images" / f"{name}.png", np.full((side, side), ord(name), np.uint8))
        save(root / "masks" / f"{name}.png", (255 * mask).astype(np.uint8))
    return root


def test_a_network_is_widened_then_made_finer_then_sees_larger_patches(tmp_path: Path):
    def pace(recipe: Recipe, *about: object) -> float:
        pixels = (recipe.training.output_size / recipe.model.options.get("reduction", 1) / 128) ** 2
        return seconds_of_width(recipe) * pixels / 16

    large = squares(tmp_path / "large", 600, 150)
    for minutes, size in [(0.1, (16, 4)), (3, (48, 4)), (10, (64, 4)), (20, (64, 2)), (100, (64, 1))]:
        found = planned(large, {"training": {"minutes": minutes}}, pace=pace)
        options, told = found.recipe.model.options, dict(found.reasons)
        assert (options["width"], options.get("reduction", 1)) == size, minutes
        assert found.recipe.training.output_size == 256
        assert ("resolution" in told) == (size[1] > 1) and "patch" not in told

    fine = squares(tmp_path / "fine", 300, 2)
    for minutes, size in [(0.5, (16, 128)), (20, (64, 128)), (100, (64, 256))]:
        found = planned(fine, {"training": {"minutes": minutes}}, pace=pace)
        assert (found.recipe.model.options["width"], found.recipe.training.output_size) == size, minutes
        assert "reduction" not in found.recipe.model.options
        assert ("patch" in dict(found.reasons)) == (size[1] < 256)


def test_what_the_network_sees_is_left_where_it_is_not_the_plans(tmp_path: Path):
    data = squares(tmp_path, 600, 150)
    for tables in (
        {"training": {"steps": 9}},
        {"training": {"minutes": 1}, "model": {"options": {"padding": "valid"}}},
        {"training": {"minutes": 1}, "model": {"name": "unetpp"}},
    ):
        recipe = planned(data, tables).recipe
        assert "reduction" not in recipe.model.options and recipe.training.output_size == 256
    asked = {"training": {"minutes": 1, "output_size": 192}, "model": {"options": {"width": 8, "reduction": 3}}}
    recipe = planned(data, asked).recipe
    assert (recipe.model.options["reduction"], recipe.training.output_size) == (3, 192)
    told = dict(planned(data, {"training": {"minutes": 1}, "model": {"options": {"width": 8}}}).reasons)["width"]
    assert told == "8: about 91 steps fit into 1 minutes here"


def test_images_that_stand_upright_are_not_flipped(tmp_path: Path):
    for number in range(6):
        picture = np.random.default_rng(number).integers(90, 110, (96, 96)).astype(np.uint8)
        picture[50:80, 10 + number : 40] = 200
        save(tmp_path / "images" / f"case{number}_left.png", picture)
        save(tmp_path / "masks" / f"case{number}_left.png", (picture == 200).astype(np.uint8))
    found = planned(tmp_path)
    assert (found.recipe.augmentation.flip, found.recipe.augmentation.rotation_degrees) == (False, 30)
    assert found.recipe.prediction.flips is False
    assert "images stand upright" in dict(found.reasons)["turns"]
    asked = planned(tmp_path, {"augmentation": {"flip": True}, "training": {"steps": 9}})
    assert asked.recipe.augmentation.flip and asked.recipe.augmentation.rotation_degrees == 30


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
    data = annotated(*"abcde", numbered=True)
    found, annotation = look(data, DataRecipe(task="instances"))
    tables = {**read("unet-2015"), "data": {"task": "instances"}}
    settled = plan(found, annotation, tables, CPU)
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
    assert patch_sampler(prepared, settled.recipe, network.footprints, CPU).output_size == 388


def test_of_a_recipe_that_says_less_the_rest_is_chosen(annotated: Annotated):
    recipe = planned(annotated(*"abc"), {"model": {"options": {"width": 64, "padding": "valid"}}}).recipe
    assert recipe.model.options == {"width": 64, "padding": "valid", "normalisation": "batch"}


def test_objects_that_are_told_apart_have_border_weights_and_say_why(annotated: Annotated):
    data = annotated(*"abc", numbered=True)
    found, annotation = look(data, DataRecipe(task="instances"))
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
