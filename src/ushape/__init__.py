"""Train U-shaped networks on a few annotated images; segment images of any size with them.

ushape.train("cells", out="run", minutes=15)        a folder of images/ and masks/ → a trained network
ushape.load("run").segment(image)                   an array of any size → its mask
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ushape.checkpoint import Trained
    from ushape.data.folder import survey
    from ushape.errors import UshapeError
    from ushape.models import MODELS, build
    from ushape.models.unet import UNet
    from ushape.predict.tiled import Predictor, load
    from ushape.recipe import Recipe
    from ushape.train.session import train

__version__ = "0.1.0"

__all__ = [
    "MODELS",
    "Predictor",
    "Recipe",
    "Trained",
    "UNet",
    "UshapeError",
    "__version__",
    "build",
    "load",
    "survey",
    "train",
]

# Loaded when first asked for, so that `import ushape` and `ushape --help` need not wait for torch.
_HOMES = {
    "MODELS": "models",
    "Predictor": "predict.tiled",
    "Recipe": "recipe",
    "Trained": "checkpoint",
    "UNet": "models.unet",
    "UshapeError": "errors",
    "build": "models",
    "load": "predict.tiled",
    "survey": "data.folder",
}


def __getattr__(name: str) -> object:
    if name == "train":
        return importlib.import_module("ushape.train")  # the package, which can be called
    if name not in _HOMES:
        raise AttributeError(f"module 'ushape' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"ushape.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
