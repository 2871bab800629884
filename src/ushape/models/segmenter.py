"""The contract of every network here: an image tensor in, logits out, finest first, and a footprint that is true."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ushape.device import channels_last
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint


class Segmenter(nn.Module, ABC):
    """A network from (N, in_channels, H, W) images to (N, classes, h, w) logits; of volumes, D comes before H.

    Subclasses set `in_channels` and `classes`, say their layer list on one axis in `along_axis`, from which `footprint`
    is derived, and implement `outputs`. One class stands for two: its logit is that of the foreground.

    axes: how many axes of space it sees: 2 of an image, 3 of a volume.
    takes_any_size: also inputs that the footprint calls illegal, whose tiles would not lie on the grid.
    """

    axes: ClassVar[int] = 2
    takes_any_size: ClassVar[bool] = False
    in_channels: int
    classes: int

    @abstractmethod
    def along_axis(self, x: Axis) -> Axis:
        """One axis of the logits, from that of the input: its size, and what of the input each pixel depends on.

        Of a network whose axes differ, the last of them.
        """

    @property
    @abstractmethod
    def footprint(self) -> Footprint:
        """Margin, grid and smallest size along the last axis; of most networks, the same along all."""

    @property
    def footprints(self) -> tuple[Footprint, ...]:
        """Those of every axis."""
        return (self.footprint,) * self.axes

    @abstractmethod
    def outputs(self, x: Tensor) -> list[Tensor]:
        """All logits that training looks at, finest first; at least one."""

    def forward(self, x: Tensor) -> Tensor:
        """The logits that are the answer: the finest, where the paper has no other (UNet++: the mean of all)."""
        return self.outputs(x)[0]

    def exact(self, x: Tensor) -> Tensor:
        """The logits that depend on nothing outside the input: the margin of a padded network is cut away.

        A network that sees the edges of the image keeps its margin: `geometry.tiles` keeps what is exact of it.
        """
        logits: Tensor = self(x)
        return self.inside(logits)

    def inside(self, logits: Tensor) -> Tensor:
        """The exact part of the logits of a pass, whoever computed it."""
        margins = [f.margin if f.padded and not f.sees_edges else 0 for f in self.footprints]
        places = (slice(cut, size - cut) for cut, size in zip(margins, logits.shape[2:], strict=True))
        return logits[:, :, *places]

    def placed(self, device: torch.device) -> Self:
        """This network on a device, its weights laid out channels-last, which convolutions read fastest."""
        return channels_last(self.to(device))

    @property
    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and afterwards every module in the mode it had."""
    in_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in in_training:
            module.training = True
