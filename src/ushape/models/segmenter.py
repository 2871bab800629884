"""The contract of every network here: an image tensor in, logits out, finest first, and a footprint that is true."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn

from ushape.device import channels_last
from ushape.geometry.footprint import Footprint


class Segmenter(nn.Module, ABC):
    """A network from (N, in_channels, H, W) images to (N, classes, h, w) logits.

    Subclasses set `in_channels` and `classes`, derive `footprint` from their own layer list, and implement `outputs`.
    """

    in_channels: int
    classes: int

    @property
    @abstractmethod
    def footprint(self) -> Footprint:
        """Margin, grid and smallest size, the same along both axes."""

    @abstractmethod
    def outputs(self, x: Tensor) -> list[Tensor]:
        """All logits that training looks at, finest first; at least one."""

    def forward(self, x: Tensor) -> Tensor:
        """The finest logits."""
        return self.outputs(x)[0]

    def exact(self, x: Tensor) -> Tensor:
        """The logits that depend on nothing outside the input: the margin of a padded network is cut away."""
        logits: Tensor = self(x)
        margin = self.footprint.margin if self.footprint.padded else 0
        return logits[..., margin : logits.shape[-2] - margin, margin : logits.shape[-1] - margin]

    def placed(self, device: torch.device) -> Self:
        """This network on a device, its weights laid out channels-last, which convolutions read fastest."""
        return channels_last(self.to(device))

    @property
    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
