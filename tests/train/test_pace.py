from __future__ import annotations

import torch

from ushape.data.augment import Augmentation
from ushape.labels import Labels
from ushape.recipe import ModelRecipe, Recipe, TrainingRecipe
from ushape.train.pace import step_seconds

CPU = torch.device("cpu")
CELLS = Labels(("background", "cell"), (0, 255))


def recipe(width: int, batch: int = 1) -> Recipe:
    model = ModelRecipe("unet", {"width": width, "depth": 2, "padding": "same"})
    training = TrainingRecipe(steps=1, output_size=64, batch=batch, precision="float32")
    return Recipe(model=model, augmentation=Augmentation.none(), training=training)


def test_more_work_takes_more_time():
    small = step_seconds(recipe(2), 1, CELLS, CPU)
    assert step_seconds(recipe(32, batch=8), 3, CELLS, CPU) > small > 0  # 2,000 times the work


def test_the_callers_random_numbers_are_left_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    step_seconds(recipe(2), 1, CELLS, CPU)
    assert torch.equal(torch.rand(3), expected)
