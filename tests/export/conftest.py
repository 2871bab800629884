"""A small trained network, all of whose layers change what it answers."""

from __future__ import annotations

import pytest
import torch

from ushape.checkpoint import Trained
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models.unet import UNet
from ushape.object_rule import ObjectRule
from ushape.recipe import ModelRecipe, Recipe


@pytest.fixture(scope="session")
def trained() -> Trained:
    torch.manual_seed(0)
    options = {"depth": 1, "width": 4, "normalisation": "batch"}
    model = UNet(2, 2, **options)
    model.train()(torch.randn(2, 2, 40, 40))  # normalises by what it has seen from now on
    labels = Labels(("background", "cell"), (0, 255))
    intensity = Intensity((100.0, 90.0), (40.0, 30.0), "uint8")
    recipe = Recipe(model=ModelRecipe("unet", options))
    return Trained(model.eval(), labels, intensity, recipe, {"data": "cells"}, ObjectRule())
