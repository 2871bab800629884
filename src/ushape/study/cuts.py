"""A trained U-Net with one of its skips cut, for as long as a context lasts: what the skip carried becomes its mean.

    for place in skips_of(net):
        with cut(net, place):
            …                        net answers without that skip, and afterwards as before

Each channel of what a skip carries is replaced by its mean over the map: the next layer is given numbers of the size
that it knows, but nothing of where anything is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ushape.models.unet import ResidualPair, UNet


@dataclass(frozen=True)
class Place:
    """One skip of a U-Net: the long one of a level, or the shortcut in a block of the path down or up.

    level: 0 is as large as the image, and each one below half as large.
    """

    kind: Literal["long", "down", "up"]
    level: int


def skips_of(net: UNet) -> list[Place]:
    """Every skip that a network has: the long ones from the top down, then those in its blocks, in their order."""
    long = [] if net.skip == "none" else [Place("long", level) for level in range(net.depth)]
    down = [Place("down", level) for level, block in enumerate(net.contracting) if isinstance(block, ResidualPair)]
    up = [Place("up", level) for level, block in enumerate(net.expanding) if isinstance(block, ResidualPair)]
    return [*long, *down, *reversed(up)]


@contextmanager
def cut(net: UNet, place: Place) -> Iterator[None]:
    """The network without that skip; also where its layers are the same objects, it is afterwards as it was."""
    assert place in skips_of(net), (place, net.skip)
    hooks = _long_hooks(net, place.level) if place.kind == "long" else [_block_hook(net, place)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _long_hooks(net: UNet, level: int) -> list[torch.utils.hooks.RemovableHandle]:
    """On the up-convolution, whose map is not to change, and on the block that is given both maps joined."""
    came_up: list[Tensor] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], up: Tensor) -> None:
        came_up[:] = [up]

    def replace(_: nn.Module, joined: tuple[Tensor, ...]) -> Tensor:
        up = came_up.pop()
        if net.skip == "copy":
            carried = joined[0][:, : joined[0].shape[1] - up.shape[1]]
            return torch.cat([_mean(carried), up], dim=1)
        return up + _mean(joined[0] - up)

    up, block = net.up_convolutions[level], net.expanding[level]
    return [up.register_forward_hook(note), block.register_forward_pre_hook(replace)]


def _block_hook(net: UNet, place: Place) -> torch.utils.hooks.RemovableHandle:
    block = (net.contracting if place.kind == "down" else net.expanding)[place.level]
    assert isinstance(block, ResidualPair), place
    return block.shortcut.register_forward_hook(lambda _, __, carried: _mean(carried))


def _mean(carried: Tensor) -> Tensor:
    """(N, C, h, w) → the same shape, each map the mean of itself."""
    return carried.mean(dim=(-2, -1), keepdim=True).expand_as(carried)
