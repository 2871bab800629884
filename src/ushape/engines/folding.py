"""Batch normalisation, which in evaluation is a scale and a shift per channel, as part of the convolution before it."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ushape.device import channels_last
from ushape.models.segmenter import Segmenter

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def folded(model: Segmenter) -> Segmenter:
    """A copy in evaluation mode that computes the same with fewer layers; the network itself where there are no fewer.

    A normalisation is folded where it is given just what a convolution gave; the rest stay.
    """
    pairs = _pairs(model)
    if not pairs:
        return model
    copy = deepcopy(model).eval()
    for convolution, norm in pairs:
        _fold(copy.get_submodule(convolution), copy.get_submodule(norm))
        parent, _, name = norm.rpartition(".")
        setattr(copy.get_submodule(parent), name, nn.Identity())
    return channels_last(copy)


def _pairs(model: Segmenter) -> list[tuple[str, str]]:
    """The names of convolutions and of the normalisations of what they gave, in the order of a pass.

    The pass is made where tensors have sizes and no values.
    """
    norms = {name: m for name, m in model.named_modules() if isinstance(m, _NORMS)}
    if not norms:
        return []
    given: list[tuple[Tensor, str]] = []  # the tensors are held, so that no two have the same identity
    pairs: list[tuple[str, str]] = []
    hooks = []

    def note_convolution(name: str) -> None:
        def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            given.append((output, name))

        hooks.append(model.get_submodule(name).register_forward_hook(note))

    def note_norm(name: str) -> None:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            pairs.extend((of, name) for tensor, of in given if tensor is inputs[0])

        hooks.append(model.get_submodule(name).register_forward_pre_hook(note))

    for name, module in model.named_modules():
        if isinstance(module, _CONVOLUTIONS):
            note_convolution(name)
        elif name in norms:
            note_norm(name)
    sides = [footprint.smallest_input + footprint.multiple for footprint in model.footprints]
    x = torch.empty(2, model.in_channels, *sides, device="meta")
    values = [*model.named_parameters(), *model.named_buffers()]
    try:
        functional_call(model, {name: torch.empty_like(v, device="meta") for name, v in values}, x)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _fold(convolution: nn.Module, norm: nn.Module) -> None:
    """In double precision, rounded once at the end."""
    assert isinstance(convolution, _CONVOLUTIONS) and isinstance(norm, _NORMS)
    assert norm.running_mean is not None and norm.running_var is not None, "it normalises over the tile itself"
    bias = convolution.bias if convolution.bias is not None else torch.zeros_like(norm.running_mean)
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.double(),
        bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
    )
    convolution.weight = nn.Parameter(weight.float(), requires_grad=False)
    convolution.bias = nn.Parameter(bias.float(), requires_grad=False)
