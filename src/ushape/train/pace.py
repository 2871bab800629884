"""How long a training step takes on the machine at hand: measured, not looked up."""

from __future__ import annotations

import time

import torch

from ushape.data.patches import Example, PatchSampler
from ushape.device import faster_precision
from ushape.labels import Labels
from ushape.models import build
from ushape.recipe import Recipe
from ushape.train.loop import Trainer

_IMAGE_PX = 512  # side of the image that patches are cut from


def step_seconds(recipe: Recipe, channels: int, labels: Labels, device: torch.device) -> float:
    """Of the second step of a training of this recipe, on an image of nothing, augmentation included.

    The first, in which memory is asked for and kernels are chosen, is left out. The caller's random numbers are left as
    they were.
    """
    settings = recipe.training
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model = build(recipe.model.name, in_channels=channels, classes=labels.classes, **recipe.model.options)
        model = model.placed(device)
        sizes = settings.output_sizes(model.axes)
        shape = [_IMAGE_PX] * 2 if model.axes == 2 else [*sizes]  # a cube of so many would take a GiB
        nothing = Example("nothing", torch.zeros(channels, *shape), torch.zeros(*shape, dtype=torch.uint8))
        sampler = PatchSampler(
            [nothing],
            model.footprints,
            output_size=sizes,
            batch=settings.batch,
            augmentation=recipe.augmentation,
            seed=0,
            device=device,
            spacing=recipe.data.spacing if model.axes == 3 else None,
        )
        precision = faster_precision(device) if settings.precision == "auto" else settings.precision
        trainer = Trainer(model, settings, sampler, precision=precision)
        trainer.advance()
        begin = time.perf_counter()
        trainer.advance()  # it reads the loss, and so waits for the device
        return time.perf_counter() - begin
