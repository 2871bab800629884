"""What a training draws its batches from, and what their pixels weigh, each in one place only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from ushape.data.patches import Batch, Example
from ushape.data.targets import Targets
from ushape.models import build
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from ushape.train.prepare import Prepared, prepare
from ushape.train.run import Run
from ushape.train.sampling import class_weights, patch_sampler, targets

CPU = torch.device("cpu")
Annotated = Callable[..., Path]


def recipe(task: str = "auto", padding: str = "same", **training: Any) -> Recipe:
    tiny = {"steps": 3, "output_size": 16, "batch": 2, "precision": "float32"}
    return Recipe(
        model=ModelRecipe("unet", {"width": 4, "depth": 1, "padding": padding}),
        data=DataRecipe(task=task),  # type: ignore[arg-type]
        training=TrainingRecipe(**(tiny | training)),
        seed=3,
    )


def with_counts(prepared: Prepared, *counts: tuple[int, ...]) -> Prepared:
    """Images in which each class has so many pixels, and three are ignored."""
    examples = []
    for pixels in counts:
        classes = torch.cat([torch.full((n,), k) for k, n in enumerate(pixels)] + [torch.full((3,), 255)])
        classes = classes.to(torch.uint8)[None]
        examples.append(Example("a", torch.zeros(1, *classes.shape), classes))
    return replace(prepared, examples=tuple(examples))


def test_balanced_classes_weigh_alike_in_all_images_together(annotated: Annotated):
    prepared = with_counts(prepare(annotated("a"), recipe()), (20, 5), (10, 5))  # 30 and 10
    weights = class_weights(prepared, recipe(class_weights="balanced").training, CPU)
    assert weights is not None
    assert weights.tolist() == pytest.approx([40 / 2 / 30, 40 / 2 / 10])
    assert class_weights(prepared, recipe().training, CPU) is None


def test_a_class_weighs_either_in_the_loss_or_in_the_weights_of_pixels(annotated: Annotated):
    prepared = {
        "semantic": prepare(annotated("a", "b"), recipe("semantic", border_weights="unet-2015")),
        "instances": prepare(annotated("a", "b", numbered=True), recipe("instances")),
    }
    counts = sum(torch.bincount(e.classes.flatten(), minlength=2) for e in prepared["semantic"].examples)
    assert isinstance(counts, torch.Tensor)
    balanced = (counts.sum() / 2 / counts).tolist()
    for task, balance, form in product(prepared, ("none", "balanced"), ("none", "unet-2015", "unet-2019")):
        if (balance, form) == ("balanced", "unet-2019"):
            continue  # the recipe refuses it
        settings = recipe(task, class_weights=balance, border_weights=form).training
        in_loss, asked = class_weights(prepared[task], settings, CPU), targets(prepared[task], settings)
        in_weights = asked is not None and asked.borders is not None
        assert in_weights == (form != "none")
        assert (in_loss is not None) == (balance == "balanced" and not in_weights)
        if in_weights and asked is not None:
            wanted = balanced if balance == "balanced" else [1, 1]
            assert asked.class_weights == pytest.approx(wanted)


def test_objects_are_drawn_apart_where_the_task_says_so(annotated: Annotated):
    semantic = prepare(annotated("a"), recipe("semantic"))
    assert targets(semantic, recipe().training) is None
    bordered = targets(semantic, recipe(border_weights="unet-2019").training)
    assert bordered == Targets(apart=False, borders="unet-2019", class_weights=(1.0, 1.0))
    numbered = prepare(annotated("a", numbered=True), recipe("instances"))
    assert targets(numbered, recipe().training) == Targets(apart=True, class_weights=(1.0, 1.0))
    both = targets(numbered, recipe(border_weights="unet-2015").training)
    assert both == Targets(apart=True, borders="unet-2015", class_weights=(1.0, 1.0))


def equal(first: Batch, second: Batch) -> bool:
    if first.weights is None or second.weights is None:
        weights = first.weights is second.weights
    else:
        weights = torch.equal(first.weights, second.weights)
    return weights and torch.equal(first.image, second.image) and torch.equal(first.classes, second.classes)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"task": "semantic"},
        {"task": "semantic", "class_weights": "balanced", "foreground_fraction": 0.5},
        {"task": "semantic", "border_weights": "unet-2019"},
        {"task": "instances"},
        {"task": "instances", "border_weights": "unet-2015", "class_weights": "balanced"},
    ],
    ids=str,
)
def test_a_training_sees_the_very_batches_that_are_drawn_here(
    annotated: Annotated, tmp_path: Path, wanted: dict[str, Any], padding: str
):
    data, asked = annotated(*"abc", numbered=wanted["task"] == "instances"), recipe(padding=padding, **wanted)
    running = Run(data, tmp_path / "run", asked, device=CPU)
    footprint = running.trainer.model.footprint
    trained_on = running.trainer.sampler
    seen: list[Batch] = []
    draw = trained_on.draw
    trained_on.draw = lambda: seen.append(draw()) or seen[-1]  # type: ignore[method-assign, func-returns-value]
    list(running.events())
    drawn = patch_sampler(prepare(data, asked), asked, [footprint] * 2, CPU)
    assert len(seen) == 3
    for batch in seen:
        assert equal(batch, drawn.draw())
        assert (batch.weights is not None) == ("border_weights" in wanted)
        assert batch.classes.shape == (2, drawn.output_size, drawn.output_size)
    other = patch_sampler(prepare(data, asked), replace(asked, seed=4), [footprint] * 2, CPU)
    assert not equal(seen[0], other.draw())


def test_what_the_recipe_says_of_patches_is_done(annotated: Annotated):
    asked = recipe(output_size=20, batch=5)
    footprint = build("unet", in_channels=1, classes=2, **asked.model.options).footprint
    sampler = patch_sampler(prepare(annotated("a"), asked), asked, [footprint] * 2, CPU)
    assert (sampler.output_size, sampler.batch, sampler.augmentation) == (20, 5, asked.augmentation)
