"""Weights of others' U-Nets → under the names of ours: padded, with batch normalisation, up-convolutions, depth 4.

What such networks differ in is no difference of what they compute, and is made up for here, exactly:

    3×3 convolutions without bias                  ours has one, which gets 0
    joined maps that begin with the enlarged one   ours begin with the copy: the halves of the weights are swapped
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ushape.models.segmenter import Segmenter

_DEPTH = 4
_PAIR = {0: "conv1", 1: "norm1", 3: "conv2", 4: "norm2"}  # the layers with weights of our ConvPair


@dataclass(frozen=True)
class KeyMap:
    """modules: ours, by name, and theirs. up_first: in their joined maps the enlarged one comes first."""

    modules: Mapping[str, str]
    up_first: bool = False

    def theirs(self, ours: str) -> str:
        """The name in their file of one of our weights."""
        return _renamed(ours, self.modules)

    def translated(self, state: Mapping[str, Tensor], network: Segmenter) -> dict[str, Tensor]:
        """Their weights under our names; names that neither side has stay, for the check of whoever loads them."""
        ours = {their: our for our, their in self.modules.items()}
        weights = {_renamed(name, ours): tensor for name, tensor in state.items()}
        for name, own in network.state_dict().items():
            if name not in weights and _may_be_absent(name, network):
                weights[name] = torch.zeros_like(own)
        for name, tensor in weights.items():
            if self.up_first and name.startswith("expanding.") and name.endswith(".0.weight"):
                weights[name] = torch.cat(list(reversed(tensor.chunk(2, dim=1))), dim=1)
        return weights


def of_milesial() -> KeyMap:
    """github.com/milesial/Pytorch-UNet with bilinear = False, the most copied U-Net in PyTorch."""
    modules = {"head": "outc.conv"}
    for level in range(_DEPTH + 1):
        block = f"down{level}.maxpool_conv.1" if level else "inc"
        modules |= {f"contracting.{level}.{k}": f"{block}.double_conv.{k}" for k in _PAIR}
    for level in range(_DEPTH):
        block = f"up{_DEPTH - level}"
        modules[f"up_convolutions.{level}"] = f"{block}.up"
        modules |= {f"expanding.{level}.{k}": f"{block}.conv.double_conv.{k}" for k in _PAIR}
    return KeyMap(modules)


def of_brain_mri() -> KeyMap:
    """github.com/mateuszbuda/brain-segmentation-pytorch."""
    modules = {"head": "conv"}
    for level in range(_DEPTH + 1):
        block, short = (f"encoder{level + 1}", f"enc{level + 1}") if level < _DEPTH else ("bottleneck", "bottleneck")
        modules |= {f"contracting.{level}.{k}": f"{block}.{short}{part}" for k, part in _PAIR.items()}
    for level in range(_DEPTH):
        number = level + 1
        modules[f"up_convolutions.{level}"] = f"upconv{number}"
        modules |= {f"expanding.{level}.{k}": f"decoder{number}.dec{number}{part}" for k, part in _PAIR.items()}
    return KeyMap(modules, up_first=True)


def _renamed(name: str, modules: Mapping[str, str]) -> str:
    module, dot, leaf = name.rpartition(".")
    return f"{modules.get(module, module)}{dot}{leaf}"


def _may_be_absent(name: str, network: Segmenter) -> bool:
    """The bias of a convolution before a normalisation, and the counters of batches that old files lack."""
    module, _, leaf = name.rpartition(".")
    layer = network.get_submodule(module)
    return leaf == "num_batches_tracked" or (
        leaf == "bias" and isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    )
