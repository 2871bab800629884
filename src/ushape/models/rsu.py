"""The residual U-block (RSU) of U²-Net: a small U-Net of its own, with its input map added to what comes out.

RSU-L(I, M, O), Fig. 2e of the paper, here L = 5; ×2 stands for dilation by 2:

    I → in (O) ──────────────────── + ──▶ O
        └▶ 1 (M) ──────────▶ 1d (O) ┘
           ↓ 2 (M) ────────▶ 2d (M) ↑         ↓ 2×2 max pool, partial windows kept
             ↓ 3 (M) ──────▶ 3d (M) ↑         ↑ bilinear, to the very size of the map it is joined to
               ↓ 4 (M) ────▶ 4d (M) ↑
                 └▶ 5 (M, ×2) ┘
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ushape.geometry.axis import Axis


@dataclass(frozen=True)
class Form:
    """What tells one residual U-block from another, channels aside.

    dilations: of the convolution of each level on the way down, and of that beside it on the way up.
    poolings: how many, between the first levels.
    """

    name: str
    dilations: tuple[int, ...]
    poolings: int

    @property
    def height(self) -> int:
        return len(self.dilations)

    def pools_before(self, level: int) -> bool:
        """Whether a level, counted from 1, looks at a map half as large as the one above it."""
        return 2 <= level <= self.poolings + 1


def pooled(height: int) -> Form:
    """RSU-L: poolings between all levels but the last two; the last is dilated instead."""
    return Form(f"RSU-{height}", (1,) * (height - 1) + (2,), height - 2)


DILATED = Form("RSU-4F", (1, 2, 4, 8), 0)
"""RSU-4F: dilations in place of poolings, where maps are too small for these."""


class RSU(nn.Module):
    """(N, in_channels, H, W) → (N, out_channels, H, W) of any size; inner maps have `mid_channels`."""

    def __init__(self, form: Form, in_channels: int, mid_channels: int, out_channels: int) -> None:
        super().__init__()
        self.form = form
        self.pool = halving()
        self.rebnconvin = REBNConv(in_channels, out_channels)
        for level, dilation in enumerate(form.dilations, start=1):
            above = out_channels if level == 1 else mid_channels
            self.add_module(f"rebnconv{level}", REBNConv(above, mid_channels, dilation))
        for level in self._up():
            above = out_channels if level == 1 else mid_channels
            self.add_module(f"rebnconv{level}d", REBNConv(2 * mid_channels, above, form.dilations[level - 1]))

    def forward(self, x: Tensor) -> Tensor:
        whole: Tensor = self.rebnconvin(x)
        x, copies = whole, []
        for level in range(1, self.form.height + 1):
            x = self.get_submodule(f"rebnconv{level}")(self.pool(x) if self.form.pools_before(level) else x)
            copies.append(x)
        x = copies.pop()
        for level in self._up():
            x = self.get_submodule(f"rebnconv{level}d")(joined(x, copies.pop()))
        return x + whole

    def _up(self) -> Iterator[int]:
        """The levels on the way up."""
        return reversed(range(1, self.form.height))


class REBNConv(nn.Module):
    """3×3 convolution, zero-padded by its dilation, batch normalisation, ReLU; the attributes are the authors'."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(out_channels)
        self.relu_s1 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu_s1(self.bn_s1(self.conv_s1(x)))
        return y


def halving() -> nn.MaxPool2d:
    """2×2 max pooling; a last, incomplete window counts."""
    return nn.MaxPool2d(2, ceil_mode=True)


def joined(x: Tensor, copy: Tensor) -> Tensor:
    """A map from below, enlarged, and its copy, side by side."""
    return torch.cat([enlarged(x, copy), copy], dim=1)


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """Brought to the size of another map by linear interpolation between pixel centres."""
    size = like.shape[-2:]
    return x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def along_axis(x: Axis, form: Form) -> Axis:
    """A block on one axis of a size that its poolings divide."""
    whole = x = x.conv(3, padding=1)
    copies = []
    for level, dilation in enumerate(form.dilations, start=1):
        x = (x.pool() if form.pools_before(level) else x).conv(3, padding=dilation, dilation=dilation)
        copies.append(x)
    x = copies.pop()
    for level in reversed(range(1, form.height)):
        below = x.bilinear() if form.pools_before(level + 1) else x
        dilation = form.dilations[level - 1]
        x = below.join(copies.pop()).conv(3, padding=dilation, dilation=dilation)
    return x.join(whole)
