from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch

from ushape.data.augment import Augmentation
from ushape.labels import Labels
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, TrainingRecipe
from ushape.train.pace import step_seconds
from ushape.train.plan import plan
from ushape.train.prepare import look

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


def test_a_plan_measures_this_machine(annotated: Callable[..., Path]):
    found, annotation = look(annotated(*"abc"), DataRecipe())
    tables = {"training": {"minutes": 2.0}}  # ten steps of the narrowest fit, however slow and busy the machine
    reasons = dict(plan(found, annotation, tables, CPU, pace=step_seconds).reasons)
    assert re.match(r"\d+: about [\d,]+ steps fit into 2 minutes here", reasons["width"])
