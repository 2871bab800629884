"""What a network costs, known before it is trained."""

from __future__ import annotations

from typing import Any

import pytest

from ushape.compare.cost import cost
from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.models import MODELS
from ushape.models.anatomy import dissect
from ushape.models.unet import UNet
from ushape.recipe import ModelRecipe, Recipe, Stage, TrainingRecipe

CELLS = Labels(("background", "cell"), (0, 255))
TINY = {"width": 2, "depth": 1}


def of(options: dict[str, Any], **training: Any) -> Any:
    settings = TrainingRecipe(steps=9, **{"output_size": 32, **training})
    return cost(Recipe(model=ModelRecipe("unet", options), training=settings), 1, CELLS)


def test_the_published_unet():
    found = of({}, output_size=388, batch=1)
    assert found.parameters == 31_030_658
    assert found.patch_px == (572, 388)  # Fig. 1
    assert found.trainings == 1


def test_operations_are_those_of_a_megapixel_of_answer_with_its_context():
    for padding in ("valid", "same"):
        model = UNet(padding=padding, **TINY)
        anatomy = dissect(model, model.footprint.input_for(1000))
        answered = model.footprint.exact_output(anatomy.input_size[0])
        assert answered in (1000, 1001)
        expected = anatomy.multiply_adds / (answered / 1000) ** 2
        assert of({**TINY, "padding": padding}).multiply_adds_per_megapixel == pytest.approx(expected)


def test_stages_are_trainings_and_the_largest_step_counts():
    if "fcn8s" not in MODELS:
        pytest.skip("there is no FCN yet")
    stages = tuple(Stage(name, 1e-3) for name in ("fcn32s", "fcn16s", "fcn8s"))
    recipe = Recipe(model=ModelRecipe("fcn8s", {"width": 4}), training=TrainingRecipe(steps=9, output_size=32))
    alone, staged = (
        cost(recipe, 1, CELLS),
        cost(Recipe(recipe.model, training=recipe.training, stages=stages), 1, CELLS),
    )
    assert (alone.trainings, staged.trainings) == (1, 3)
    assert staged.step_bytes >= alone.step_bytes
    assert staged.parameters == alone.parameters


def test_a_network_that_cannot_be_is_refused():
    with pytest.raises(RecipeError, match="width = 0"):
        of({"width": 0})
