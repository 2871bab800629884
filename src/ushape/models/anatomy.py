"""A network taken apart: each layer's sizes in and out, channels, parameters and operations, without computing a pixel.

>>> from ushape.models.unet import UNet
>>> anatomy = dissect(UNet(width=4), 572)
>>> anatomy.layers[0].output_size, anatomy.output_size, anatomy.margin
((570, 570), (388, 388), 92)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from ushape.geometry.axis import Axis
from ushape.models.segmenter import Segmenter, evaluating


@dataclass(frozen=True)
class Layer:
    """One step of a network. Sizes are (height, width), of volumes (depth, height, width); multiply_adds of one image.

    name: where it sits in the network; empty for a joining of two maps, which is no module.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Anatomy:
    """A network on a square input, or a cube, of the legal size next above the wanted one.

    legal_sizes: next below and next above the wanted size. receptive_field: input pixels that one logit depends on, at
    most. Both, and smallest_input, margin and multiple, are those of rows; margins and multiples those of every axis.
    """

    layers: tuple[Layer, ...]
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    legal_sizes: tuple[int, int]
    smallest_input: int
    margin: int
    multiple: int
    padded: bool
    receptive_field: int
    parameters: int
    multiply_adds: int
    margins: tuple[int, ...]
    multiples: tuple[int, ...]


def dissect(model: Segmenter, wanted_size: int) -> Anatomy:
    """What a network does with a square image, or a cube; weights are neither read nor changed."""
    footprint = model.footprint
    legal = footprint.nearest_legal(wanted_size)
    sides = tuple(each.nearest_legal(wanted_size)[1] for each in model.footprints)
    layers, output_size = _layers(model, sides)
    return Anatomy(
        layers=tuple(layers),
        input_size=sides,
        output_size=output_size,
        legal_sizes=legal,
        smallest_input=footprint.smallest_input,
        margin=footprint.margin,
        multiple=footprint.multiple,
        padded=footprint.padded,
        receptive_field=model.along_axis(Axis.of_input(legal[1])).receptive_field,
        parameters=model.parameter_count,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        margins=tuple(each.margin for each in model.footprints),
        multiples=tuple(each.multiple for each in model.footprints),
    )


def _layers(model: Segmenter, sides: tuple[int, ...]) -> tuple[list[Layer], tuple[int, ...]]:
    """All steps that one pass takes, in their order, and the size of its logits."""
    layers: list[Layer] = []

    def noting(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            layers.append(_layer(name, module, inputs[0], output))

        return note

    shown = [(name, m) for name, m in model.named_modules() if isinstance(m, _SHOWN)]
    hooks = [module.register_forward_hook(noting(name)) for name, module in shown]
    shapes = {name: t.detach().to("meta") for name, t in model.state_dict().items()}
    x = torch.zeros(1, model.in_channels, *sides, device="meta")
    try:
        with torch.no_grad(), evaluating(model), _Joins(layers):
            logits: Tensor = functional_call(model, shapes, (x,))
    finally:
        for hook in hooks:
            hook.remove()
    return layers, _size(logits)


class _Joins(TorchFunctionMode):
    """Notes where maps are joined, which networks do by functions and not by modules."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self._layers = layers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # Any: whatever torch's function takes and gives
        output = func(*args, **(kwargs or {}))
        if func in _JOINS:
            parts = [t for t in (args[0] if func is torch.cat else args) if isinstance(t, Tensor) and t.ndim >= 4]
            if len(parts) > 1:
                channels = sum(t.shape[1] for t in parts)
                size = _size(output)
                self._layers.append(Layer("", _JOINS[func], channels, output.shape[1], size, size, 0, 0))
        return output


_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_UP_CONVOLUTIONS = (nn.ConvTranspose2d, nn.ConvTranspose3d)
_POOLS = (nn.MaxPool2d, nn.MaxPool3d)
_SHOWN = (*_CONVOLUTIONS, *_UP_CONVOLUTIONS, *_POOLS, nn.BatchNorm2d, nn.BatchNorm3d)
_JOINS: dict[Callable[..., Any], str] = {torch.cat: "maps side by side", torch.Tensor.add: "sum of maps"}


def _layer(name: str, module: nn.Module, x: Tensor, y: Tensor) -> Layer:
    kind, multiply_adds = "batch normalisation", y.numel()
    if isinstance(module, _UP_CONVOLUTIONS):
        kind = f"{_kernel(module.kernel_size)} up-convolution"
        multiply_adds = x.numel() * math.prod(module.kernel_size) * module.out_channels // module.groups
    elif isinstance(module, _CONVOLUTIONS):
        kind = f"{_kernel(module.kernel_size)} convolution"
        multiply_adds = y.numel() * math.prod(module.kernel_size) * module.in_channels // module.groups
    elif isinstance(module, _POOLS):
        kind, multiply_adds = f"{_kernel(module.kernel_size)} max pool", 0
    parameters = sum(p.numel() for p in module.parameters())
    return Layer(name, kind, x.shape[1], y.shape[1], _size(x), _size(y), parameters, multiply_adds)


def _kernel(size: int | tuple[int, ...]) -> str:
    return "×".join(map(str, size if isinstance(size, tuple) else (size, size)))


def _size(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape[2:])
