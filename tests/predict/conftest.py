"""A network with random weights, and all that belongs to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ushape.checkpoint import Trained
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.recipe import ModelRecipe, PredictionRecipe, Recipe

TWO = Labels(("background", "cell"), (0, 255))


@pytest.fixture(scope="session")
def make_trained() -> Callable[..., Trained]:
    """make_trained(labels=…, channels=…, dtype=…, flips=…, object_rule=…, …): the rest are options of U-Net."""

    def make(
        *,
        labels: Labels = TWO,
        channels: int = 1,
        dtype: str = "uint8",
        flips: bool = False,
        object_rule: ObjectRule | None = None,
        **options: object,
    ) -> Trained:
        options = {"width": 3, "depth": 2, **options}
        with torch.random.fork_rng():
            torch.manual_seed(7)
            model = build("unet", in_channels=channels, classes=labels.classes, **options).eval()
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.5, 2)
        model.head.weight.data.mul_(0.3)  # logits of a few units, as trained networks have, rather than of tens
        intensity = Intensity((120.0,) * channels, (70.0,) * channels, dtype)
        recipe = Recipe(model=ModelRecipe("unet", options), prediction=PredictionRecipe(flips=flips))
        return Trained(model.placed(torch.device("cpu")), labels, intensity, recipe, object_rule=object_rule)

    return make
