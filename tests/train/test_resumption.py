"""What may differ when a training goes on, and how a difference is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushape.errors import CheckpointError
from ushape.recipe import Recipe, Stage
from ushape.train.prepare import prepare
from ushape.train.resumption import Plain, fingerprint, require_same_images, settled

Annotated = Callable[..., Path]
BEGAN = Recipe().changed(training={"steps": 100, "precision": "float32"})
STAGED = replace(BEGAN, stages=(Stage("unet", 1e-2), Stage("unet", 1e-3)))


def refusal(began: Recipe, wanted: Recipe) -> str:
    with pytest.raises(CheckpointError) as caught:
        settled(began, wanted, Path("RUN"))
    return str(caught.value)


def test_the_budget_and_the_way_of_predicting_may_change():
    budget = {"steps": 0, "minutes": 5.0, "validations": 3}
    wanted = BEGAN.changed(training=budget, prediction={"flips": True})
    assert settled(BEGAN, wanted, Path("RUN")) == wanted


def test_a_precision_that_is_left_open_is_the_one_it_began_with():
    assert settled(BEGAN, BEGAN.changed(training={"precision": "auto"}), Path("RUN")) == BEGAN


def test_every_difference_is_told_with_what_to_do():
    wanted = replace(BEGAN, seed=3).changed(training={"batch": 2}, augmentation={"noise": 0.5})
    assert refusal(BEGAN, wanted) == (
        "The training in RUN began with other settings: seed was 0 and is 3; "
        f"augmentation.noise was {BEGAN.augmentation.noise} and is 0.5; training.batch was 4 and is 2. Resume with "
        "what it began with: only the budget, [prediction] and [regions] may change. Put it back into RUN/recipe.toml, "
        "or start anew with --overwrite."
    )


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (STAGED.stages[:1], "stages were unet, unet and are unet"),
        ((), "stages were unet, unet and are none"),
        ((STAGED.stages[0], Stage("unet", 0.5, share=2.0)), "learning_rate of stage 2 was 0.001 and is 0.5; share of"),
    ],
)
def test_other_stages_are_told(stages: tuple[Stage, ...], words: str):
    assert f"other settings: {words}" in refusal(STAGED, replace(STAGED, stages=stages))


def of_folder(folder: Path) -> Plain:
    return fingerprint(prepare(folder, BEGAN))


def changed(folder: Path, kind: str, name: str) -> None:
    """The same values in other places."""
    path = folder / kind / f"{name}.png"
    Image.fromarray(np.asarray(Image.open(path))[::-1].copy()).save(path)


def image_refusal(before: Plain, now: Plain) -> str:
    with pytest.raises(CheckpointError) as caught:
        require_same_images(before, now)
    return str(caught.value)


def test_the_same_folder_has_the_same_fingerprint_wherever_it_lies(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    before = of_folder(data)
    data.rename(tmp_path / "moved")
    require_same_images(before, of_folder(tmp_path / "moved"))


@pytest.mark.parametrize("numbered", [False, True])
def test_changed_pixels_and_masks_are_told_by_name_on_either_side_of_the_split(annotated: Annotated, numbered: bool):
    data = annotated(*"abcde", numbered=numbered)
    before = of_folder(data)
    trained, scored = before["training"][0], before["validation"][0]
    for name in (trained, scored):
        changed(data, "images", name)
    changed(data, "masks", scored)
    first, second = sorted([trained, scored])
    assert f"on other images. Other pixels: {first}, {second}. Other masks: {scored}. Resume with the images" in (
        image_refusal(before, of_folder(data))
    )


def test_objects_that_are_numbered_otherwise_are_other_masks(annotated: Annotated):
    data = annotated(*"abc", numbered=True)
    before = of_folder(data)
    path = data / "masks" / "a.png"
    swapped = np.array([0, 2, 1, 3], dtype=np.uint8)[np.asarray(Image.open(path))]
    Image.fromarray(swapped).save(path)
    assert "Other masks: a. Resume" in image_refusal(before, of_folder(data))


def test_images_that_came_went_and_changed_sides_are_told(annotated: Annotated):
    before = of_folder(annotated(*"abcde"))
    now = {**before, "training": before["validation"], "validation": before["training"]}
    assert "Now on the other side of the split: a, b, c, d, e. Resume" in image_refusal(before, now)
    masks = {("z" if name == "a" else name): digest for name, digest in before["masks"].items()}
    assert "Gone: a. New: z. Resume" in image_refusal(before, {**before, "masks": masks})


def test_what_no_name_can_be_given_for_is_told_too(annotated: Annotated):
    before = of_folder(annotated(*"abc"))
    now = {**before, "training": before["training"][::-1]}
    assert "other images. Their values or their order have changed. Resume" in image_refusal(before, now)
    labels = {**before, "labels": [["background", "cell"], [0, 3]]}
    assert "other images. Their classes have changed. Resume" in image_refusal(before, labels)
