"""A network whose answer is known: the class of a pixel is its brightness, to the nearest of evenly spaced levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.recipe import ModelRecipe, PredictionRecipe, Recipe

HEART = ("background", "right ventricle", "myocardium", "cavity")
REGIONS = {"endocardium": ["cavity"], "epicardium": ["myocardium", "cavity"], "right ventricle": ["right ventricle"]}
STEP = 100.0


def level_network(
    names: Sequence[str] = HEART,
    *,
    values: Sequence[int] | None = None,
    regions: Mapping[str, Sequence[str | int]] | None = None,
    one_piece: Sequence[str] = (),
    dtype: str = "float32",
    object_rule: ObjectRule | None = None,
) -> Trained:
    """A padded U-Net that carries the brightness along its topmost skip; class k where it is nearest to k steps."""
    options = {"width": 2, "depth": 1, "padding": "same"}
    model = build("unet", in_channels=1, classes=len(names), **options).eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    first, _, second, _ = model.contracting[0]
    third, _, fourth, _ = model.expanding[0]
    for convolution in (first, second, third, fourth):
        convolution.weight.data[0, 0, 1, 1] = 1.0
    for k in range(len(names)):
        model.head.weight.data[k, 0], model.head.bias.data[k] = 4.0 * k, -2.0 * k * k
    labels = Labels(tuple(names), tuple(values or range(len(names))))
    recipe = Recipe(
        model=ModelRecipe("unet", options),
        prediction=PredictionRecipe(flips=False, one_piece=tuple(one_piece)),
        regions=dict(regions if regions is not None else REGIONS),
    )
    intensity = Intensity((0.0,), (STEP,), dtype)
    return Trained(model.placed(torch.device("cpu")), labels, intensity, recipe, object_rule=object_rule)


def write_level_network(path: Path, trained: Trained | None = None) -> Path:
    """The same as a checkpoint file."""
    checkpoint.write(path, trained or level_network())
    return path
