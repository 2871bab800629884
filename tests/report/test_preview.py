"""Pictures before a training: of the patches it would see, and of what its pixels would weigh."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

from ushape.data.borders import border_weights, separated
from ushape.errors import OutputError, RecipeError
from ushape.models import build
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from ushape.report.contact_sheet import contact_sheet
from ushape.report.preview import write_augmented, write_weights
from ushape.report.weight_map import weight_map
from ushape.train.prepare import Prepared, prepare
from ushape.train.sampling import patch_sampler


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of 40 x 60 pixels with numbered squares, of which the first two touch."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir()
    for name in "ab":
        mask = np.zeros((40, 60), np.uint8)
        mask[5:15, 10:20], mask[5:15, 20:33], mask[22:30, 12:40] = 1, 2, 3
        image = rng.normal(np.where(mask > 0, 170, 80), 20).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return root


def recipe(task: str = "instances", padding: str = "same", **training: Any) -> Recipe:
    return Recipe(
        model=ModelRecipe("unet", {"width": 4, "depth": 1, "padding": padding}),
        data=DataRecipe(task=task),  # type: ignore[arg-type]
        training=TrainingRecipe(steps=1, output_size=32, batch=3, **training),
    )


def settled(data: Path, **wanted: Any) -> tuple[Prepared, Recipe]:
    asked = recipe(**wanted)
    return prepare(data, asked), asked


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("form", ["none", "unet-2015"])
def test_the_patches_are_the_first_that_a_training_would_see(data: Path, tmp_path: Path, padding: str, form: str):
    prepared, asked = settled(data, padding=padding, border_weights=form)
    write_augmented(tmp_path / "a.png", prepared, asked)
    footprint = build("unet", in_channels=1, classes=2, **asked.model.options).footprint
    sampler = patch_sampler(prepared, asked, [footprint] * 2, torch.device("cpu"))
    batches = [sampler.draw() for _ in range(4)]  # of three patches each
    picture = read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture, contact_sheet(batches, prepared.annotation.labels))
    side = sampler.input_size
    cell = side * -(-300 // side)  # enlarged by a whole factor, to 300 pixels at least
    assert picture.shape[1] == 10 + 4 * (cell + 10)  # four a row, 10 pixels between
    assert picture.shape[0] > 10 + 3 * (cell + 10)  # three rows, and what the colours mean


def test_another_seed_gives_other_patches(data: Path, tmp_path: Path):
    prepared, asked = settled(data)
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        write_augmented(tmp_path / f"{name}.png", prepared, Recipe(asked.model, training=asked.training, seed=seed))
    first, same, other = (read(tmp_path / f"{name}.png") for name in "abc")
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("form", ["unet-2015", "unet-2019"])
def test_the_weights_are_those_of_the_first_training_image_with_its_objects_apart(
    data: Path, tmp_path: Path, form: Any
):
    prepared, asked = settled(data, border_weights=form)
    name = write_weights(tmp_path / "w.png", prepared, asked)
    assert name == prepared.examples[0].name
    apart = separated(np.asarray(Image.open(data / "masks" / f"{name}.png")).astype(np.int32))
    picture = read(tmp_path / "w.png")
    np.testing.assert_array_equal(picture, weight_map(border_weights(apart, form=form), apart))
    times = -(-512 // 60)
    assert picture.shape[0] == 40 * times + 2 * 16
    assert picture.shape[1] > 60 * times + 2 * 16  # there is a bar beside it


def test_classes_that_weigh_differently_show(data: Path, tmp_path: Path):
    for balance in ("none", "balanced"):
        write_weights(tmp_path / f"{balance}.png", *settled(data, border_weights="unet-2015", class_weights=balance))
    assert not np.array_equal(read(tmp_path / "none.png"), read(tmp_path / "balanced.png"))


def test_objects_stay_as_they_are_where_classes_alone_are_learned(data: Path, tmp_path: Path):
    prepared, asked = settled(data, task="semantic", border_weights="unet-2015")
    name = write_weights(tmp_path / "w.png", prepared, asked)
    objects = np.asarray(Image.open(data / "masks" / f"{name}.png")).astype(np.int32)  # each value a class of its own
    np.testing.assert_array_equal(
        read(tmp_path / "w.png"), weight_map(border_weights(objects, form="unet-2015"), objects)
    )


@pytest.mark.parametrize("task", ["semantic", "instances"])
def test_without_border_weights_there_is_nothing_to_draw(data: Path, tmp_path: Path, task: str):
    prepared, asked = settled(data, task=task, class_weights="balanced")
    with pytest.raises(RecipeError) as refused:
        write_weights(tmp_path / "w.png", prepared, asked)
    assert str(refused.value) == (
        "There are no border weights to draw: this training would have none. Choose a recipe with them, such as "
        '--recipe unet-2015, or set border_weights = "unet-2015" in [training].'
    )
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_leaves_nothing_and_the_old_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    prepared, asked = settled(data, border_weights="unet-2015")
    (tmp_path / "w.png").write_text("old")
    monkeypatch.setattr(Image.Image, "save", full)
    for write, name in [(write_augmented, "a.png"), (write_weights, "w.png")]:
        with pytest.raises(
            OutputError, match=rf"The disk is full: .*{name} could not be written; nothing of it is left"
        ):
            write(tmp_path / name, prepared, asked)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"w.png": "old"}


def test_a_folder_that_is_not_there_is_told(data: Path, tmp_path: Path):
    prepared, asked = settled(data, border_weights="unet-2015")
    for write in (write_augmented, write_weights):
        with pytest.raises(
            OutputError, match=r"p\.png cannot be written: there is no folder .*absent\. Create it first"
        ):
            write(tmp_path / "absent" / "p.png", prepared, asked)
