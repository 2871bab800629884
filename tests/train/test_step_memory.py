"""The memory of a training step, known before anything is trained."""

from __future__ import annotations

from typing import Any

from ushape.labels import Labels
from ushape.models.unet import UNet
from ushape.recipe import ModelRecipe, Recipe, TrainingRecipe
from ushape.train.step_memory import network, step_bytes

CELLS = Labels(("background", "cell"), (0, 255))
TINY = {"width": 2, "depth": 1}


def of(options: dict[str, Any], **training: Any) -> int:
    settings = TrainingRecipe(steps=9, **{"output_size": 32, **training})
    recipe = Recipe(model=ModelRecipe("unet", options), training=settings)
    return step_bytes(network(recipe, 1, CELLS), recipe)


def test_memory_grows_evenly_with_the_batch_and_by_the_moments_of_the_optimiser():
    one, two, three = (of(TINY, batch=n) for n in (1, 2, 3))
    assert three - two == two - one > 0
    sgd = of(TINY, batch=1, optimiser="sgd")
    assert one - sgd == 4 * UNet(**TINY).parameter_count  # AdamW keeps two numbers of each weight, momentum one


def test_memory_counts_every_map_that_the_way_back_needs():
    """One level: two convolutions with ReLU, pool, two, up, join, two, head; by hand, for 8 × 8 pixels of 1 channel."""
    found = of({**TINY, "padding": "same", "dropout": 0.0}, batch=1, output_size=8)
    weights = 4 * UNet(**TINY).parameter_count
    image, level = 8 * 8, 2 * 8 * 8
    below, halved = 4 * 4 * 4, 2 * 4 * 4
    maps = image + 2 * level + halved + 2 * below + 2 * level + 2 * level + level  # … joined: 4 channels; answer: 2
    indices = 8 * halved  # of the pooling, 64-bit
    assert found == 5 * weights + 4 * maps + indices


def test_a_network_without_weights_takes_no_memory():
    assert network(Recipe(model=ModelRecipe("unet", {})), 1, CELLS).device.type == "meta"
