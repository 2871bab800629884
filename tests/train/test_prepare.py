"""An annotated folder as a training holds it, and the plan for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ushape.errors import DataError
from ushape.images.source import open_image
from ushape.labels import IGNORED
from ushape.recipe import DataRecipe, Recipe
from ushape.train.prepare import Prepared, prepare

CPU = torch.device("cpu")
Annotated = Callable[..., Path]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def names(prepared: Prepared) -> tuple[list[str], list[str]]:
    return [e.name for e in prepared.examples], [t.name for t in prepared.truths]


def test_images_are_standardised_and_masks_are_class_numbers(annotated: Annotated):
    prepared = prepare(annotated(*"abcde"), Recipe())
    training, validation = names(prepared)
    assert sorted(training + validation) == list("abcde")
    assert len(validation) == 1
    assert [p.name for p in prepared.split.training] == training
    pixels = torch.cat([e.image.flatten() for e in prepared.examples])
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.std()) == pytest.approx(1, abs=1e-3)
    for example in prepared.examples:
        assert (example.image.shape, example.image.dtype) == ((1, 28, 36), torch.float32)
        assert (example.classes.shape, example.classes.dtype) == ((28, 36), torch.uint8)
        assert set(example.classes.unique().tolist()) == {0, 1}
        assert example.image[0][example.classes == 1].mean() > example.image[0][example.classes == 0].mean()


def test_the_intensity_is_that_of_the_training_images_alone(annotated: Annotated):
    data = annotated(*"abcde")
    prepared = prepare(data, Recipe())
    training = [np.asarray(Image.open(data / "images" / f"{e.name}.png"), dtype=float) for e in prepared.examples]
    assert prepared.intensity.mean[0] == pytest.approx(np.mean(training))
    assert prepared.intensity.deviation[0] == pytest.approx(np.std(training))
    assert prepared.intensity.dtype == "uint8"


def test_truths_are_the_files_as_they_are(annotated: Annotated):
    data = annotated(*"abcde")
    (truth,) = prepare(data, Recipe()).truths
    assert truth.source.path == data / "images" / f"{truth.name}.png"
    assert (truth.source.read() == open_image(truth.source.path).read()).all()
    assert ((truth.classes == 1) == (np.asarray(Image.open(data / "masks" / f"{truth.name}.png")) == 255)).all()


def test_a_single_image_is_trained_on_and_scored_on(annotated: Annotated):
    assert names(prepare(annotated("only"), Recipe())) == (["only"], ["only"])


def test_the_same_seed_gives_the_same_split_and_others_give_others(annotated: Annotated):
    data = annotated(*(f"cell_{letter}" for letter in "pqxyzw"))
    splits = [tuple(names(prepare(data, replace(Recipe(), seed=seed)))[1]) for seed in (0, 0, 1, 2, 3, 4)]
    assert splits[0] == splits[1]
    assert len(set(splits)) > 1


def test_what_the_recipe_says_of_the_data_is_done(annotated: Annotated):
    data = annotated("a1", "a2", "b1", "b2", "c1")
    recipe = Recipe(data=DataRecipe(include="a*, b*", group_by="^(.)", validation_fraction=0.5))
    training, validation = names(prepare(data, recipe))
    assert {name[0] for name in training} | {name[0] for name in validation} == {"a", "b"}
    assert not {name[0] for name in training} & {name[0] for name in validation}


def test_ignored_values_are_ignored_in_training_and_validation(annotated: Annotated):
    data = annotated(*"abcde")
    for path in (data / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[:6] = 7
        save(path, mask)
    prepared = prepare(data, Recipe(data=DataRecipe(ignored_values=(7,))))
    maps = [e.classes.numpy() for e in prepared.examples] + [t.classes for t in prepared.truths]
    assert all((classes[:6] == IGNORED).all() and (classes[6:] < 2).all() for classes in maps)
    assert prepared.annotation.labels.ignored_values == (7,)


def test_every_fault_of_the_folder_is_told_at_once(annotated: Annotated):
    data = annotated(*"abcd")
    (data / "images" / "b.png").write_bytes(b"")
    save(data / "masks" / "c.png", np.zeros((5, 5), np.uint8))
    (data / "images" / "d.png").unlink()
    with pytest.raises(DataError) as caught:
        prepare(data, Recipe())
    for words in ("b.png", "c.png", "d.png"):
        assert words in str(caught.value)


def test_a_validation_image_the_network_could_not_take_is_refused_before_training(annotated: Annotated):
    data = annotated(*"abcde")
    held = prepare(data, Recipe()).truths[0].name
    colourful = np.random.default_rng(0).integers(0, 255, (28, 36, 3)).astype(np.uint8)
    save(data / "images" / f"{held}.png", colourful)
    with pytest.raises(
        DataError, match=rf"not like the training images:\n- .*{held}\.png has 3 channels, but .* on 1\."
    ):
        prepare(data, Recipe())


def test_a_regular_expression_that_is_none_is_told(annotated: Annotated):
    with pytest.raises(DataError, match="to group by is none"):
        prepare(annotated(*"abc"), Recipe(data=DataRecipe(group_by="(")))


def test_objects_are_read_where_something_is_made_of_them(annotated: Annotated):
    data = annotated(*"abc", numbered=True)
    prepared = prepare(data, Recipe(data=DataRecipe(task="instances")))
    assert prepared.annotation.labels.classes == 2
    for example in prepared.examples:
        drawn = np.asarray(Image.open(data / "masks" / f"{example.name}.png"))
        assert example.objects is not None and (example.objects.numpy() == drawn).all()
        assert ((example.classes == 1).numpy() == (drawn > 0)).all()
    (truth,) = prepared.truths
    assert truth.objects is not None
    assert (truth.objects == np.asarray(Image.open(data / "masks" / f"{truth.name}.png"))).all()

    classes = prepare(data, Recipe(data=DataRecipe(task="semantic")))
    assert all(example.objects is None for example in classes.examples)
    assert all(truth.objects is None for truth in classes.truths)


def test_border_weights_between_classes_take_the_connected_parts_of_each_for_objects(tmp_path: Path):
    mask = np.zeros((20, 30), np.uint8)
    mask[3:9, 3:9], mask[3:9, 9:14], mask[12:18, 20:29] = 1, 2, 1
    for name in "ab":
        save(tmp_path / "masks" / f"{name}.png", mask)
        save(tmp_path / "images" / f"{name}.png", np.random.default_rng(ord(name)).integers(0, 99, (20, 30), np.uint8))
    recipe = Recipe(data=DataRecipe(task="semantic")).changed(training={"border_weights": "unet-2015"})
    prepared = prepare(tmp_path, recipe)
    (example,) = prepared.examples
    assert example.objects is not None
    numbers = {int(example.objects[place]) for place in [(5, 5), (5, 11), (15, 25)]}
    assert len(numbers) == 3 and ((example.objects > 0).numpy() == (mask > 0)).all()
    assert prepared.truths[0].objects is None  # nothing is told apart in the answer
