"""Before a training: pictures of what the network will see, and of what each pixel will weigh."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from ushape.atomic import replacing
from ushape.errors import RecipeError
from ushape.models import outlined
from ushape.recipe import Recipe
from ushape.report.contact_sheet import contact_sheet
from ushape.report.weight_map import weight_map
from ushape.train.prepare import Prepared
from ushape.train.sampling import patch_sampler, targets


def write_augmented(path: Path, prepared: Prepared, recipe: Recipe) -> None:
    """A PNG of the first patches that this training would see, as deformed, with the classes asked for."""
    labels = prepared.annotation.labels
    channels, options = prepared.intensity.channels, recipe.model.options
    footprints = outlined(recipe.model.name, in_channels=channels, classes=labels.classes, **options).footprints
    sampler = patch_sampler(prepared, recipe, footprints, torch.device("cpu"))
    _save(path, Image.fromarray(contact_sheet(iter(sampler.draw, None), labels)))


def write_weights(path: Path, prepared: Prepared, recipe: Recipe) -> str:
    """A PNG of what each pixel of the first training image weighs in the loss; its name. RecipeError without any."""
    wanted = targets(prepared, recipe.training)
    if wanted is None or wanted.borders is None:
        raise RecipeError(
            "There are no border weights to draw: this training would have none. Choose a recipe with them, such as "
            '--recipe unet-2015, or set border_weights = "unet-2015" in [training].'
        )
    example = prepared.examples[0]
    assert example.objects is not None, example.name
    classes, weights = wanted.everywhere(example.classes[None], example.objects[None])
    assert weights is not None, wanted
    apart = torch.where(classes[0] > 0, example.objects, 0) if wanted.apart else example.objects
    _save(path, Image.fromarray(weight_map(weights[0].numpy(), apart.numpy())))
    return example.name


def _save(path: Path, picture: Image.Image) -> None:
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
