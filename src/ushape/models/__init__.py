"""Image tensor → logits; one paper, one file. MODELS is the only registry of the project."""

from __future__ import annotations

import inspect

import torch

from ushape.errors import RecipeError
from ushape.models.fcn import FCN8s, FCN16s, FCN32s
from ushape.models.resunet import ResUNet
from ushape.models.segmenter import Segmenter
from ushape.models.u2net import U2Net, U2NetP
from ushape.models.unet import UNet
from ushape.models.unet3d import UNet3D
from ushape.models.unetpp import UNetPP
from ushape.settings import nearest

MODELS: dict[str, type[Segmenter]] = {
    "unet": UNet,
    "fcn32s": FCN32s,
    "fcn16s": FCN16s,
    "fcn8s": FCN8s,
    "unetpp": UNetPP,
    "resunet": ResUNet,
    "u2net": U2Net,
    "u2netp": U2NetP,
    "unet3d": UNet3D,
}


def build(name: str, **options: object) -> Segmenter:
    """A model of the registry by name, its options checked against its constructor.

    Raises RecipeError for a name or an option that does not exist, with the nearest that does.
    """
    if name not in MODELS:
        raise RecipeError(f"There is no model {name!r}; {nearest(name, MODELS)}")
    known = options_of(name)
    for option in options:
        if option not in known:
            raise RecipeError(f"The model {name} has no option {option!r}; {nearest(option, known)}")
    return MODELS[name](**options)


def outlined(name: str, **options: object) -> Segmenter:
    """The same without weights: its sizes and layers can be asked, and it takes no memory."""
    with torch.device("meta"):
        return build(name, **options)


def axes_of(name: str) -> int:
    """How many axes of space a model of the registry sees; 2 for a name that is none, which `build` refuses.

    >>> axes_of("unet"), axes_of("unet3d")
    (2, 3)
    """
    return MODELS[name].axes if name in MODELS else 2


def options_of(name: str) -> list[str]:
    """The options of a model's constructor.

    >>> options_of("fcn8s")[:3]
    ['in_channels', 'classes', 'width']
    """
    return [p for p in inspect.signature(MODELS[name].__init__).parameters if p != "self"]
