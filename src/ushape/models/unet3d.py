"""3D U-Net. Çiçek, Abdulkadir, Lienkamp, Brox, Ronneberger: 3D U-Net: Learning Dense Volumetric Segmentation from
Sparse Annotation. MICCAI 2016, arXiv 1606.06650.

Fig. 2, the 132-voxel axis of the tile above and the 116-voxel axis below, channels beside them:

    132·130·128 ── 32·64 ──────────────────── crop 40 ──────────▶ 48·46·44 ── 64·64 ▶ 1×1×1
    116·114·112                                                   32·30·28
         64·62·60 ── 64·128 ───────── crop 16 ──▶ 28·26·24 ── 128·128
         56·54·52                                 20·18·16
            30·28·26 ── 128·256 ─ crop 4 ▶ 18·16·14 ── 256·256
            26·24·22                       14·12·10
                 13·11·9 ── 256·512 ─────────┘
                  11·9·7
    ↓ 2×2×2 max pool        ↑ 2×2×2 up-convolution, channels kept
"""

from __future__ import annotations

from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ushape.errors import RecipeError
from ushape.geometry.axis import Axis, footprint_of
from ushape.geometry.footprint import Footprint
from ushape.models.blocks import draw_he_normal
from ushape.models.segmenter import Segmenter
from ushape.models.unet import Normalisation, Padding, centre_crop

Kernel = tuple[int, int, int]

_AXES = 3
_MOST_CHANNELS = 8192  # of the lowest level, where the published network has 512


class UNet3D(Segmenter):
    """(N, in_channels, D, H, W) volume → (N, classes, D − 88, H − 88, W − 88) logits as published.

    padding: "valid" as published; "same" pads with zeros, so that the logits are as large as the input.
    depth: number of poolings. width: channels of the first convolution. The second of each level doubles them, before
        they are pooled, so that nothing passes a bottleneck.
    normalisation: "batch" as published, before each ReLU, or "none".
    flat_levels: of each axis (z, y, x), at how many levels from the top it is left alone, kernels being 1 along it and
        poolings too: for voxels that are longer along it (geometry/anisotropy.py derives it from their size).
        None as published.

    Deviations: in evaluation the gathered means and deviations normalise, where the paper found those of the tile at
    hand to work best: an answer would depend on its tile. Weights are drawn as in U-Net 2015; the paper says nothing.
    Source: Section 2 and Fig. 2. RecipeError for a value that cannot be.
    """

    axes: ClassVar[int] = _AXES

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 2,
        *,
        padding: Padding = "valid",
        depth: int = 3,
        width: int = 32,
        normalisation: Normalisation = "batch",
        flat_levels: tuple[int, ...] = (0, 0, 0),
    ) -> None:
        super().__init__()
        _check(in_channels, classes, padding, depth, width, normalisation, flat_levels)
        self.in_channels, self.classes = in_channels, classes
        self.depth, self.padding, self.flat_levels = depth, padding, tuple(flat_levels)
        channels = [width * 2 ** (level + 1) for level in range(depth + 1)]
        kernels = [_per_axis(3, self.flat_levels, level) for level in range(depth + 1)]
        strides = [_per_axis(2, self.flat_levels, level) for level in range(depth)]
        pair = partial(ConvPair, padding=padding, normalisation=normalisation)

        self.analysis = nn.ModuleList(
            pair(before, after // 2, after, kernel)
            for before, after, kernel in zip([in_channels, *channels], channels, kernels, strict=False)
        )
        self.pools = nn.ModuleList(nn.MaxPool3d(stride) for stride in strides)
        self.up_convolutions = nn.ModuleList(
            nn.ConvTranspose3d(below, below, kernel_size=stride, stride=stride, bias=False)
            for below, stride in zip(channels[1:], strides, strict=True)
        )
        self.synthesis = nn.ModuleList(
            pair(after + below, after, after, kernel)
            for after, below, kernel in zip(channels, channels[1:], kernels, strict=False)
        )
        self.head = nn.Conv3d(channels[0], classes, kernel_size=1)
        self.apply(draw_he_normal)

    def outputs(self, x: Tensor) -> list[Tensor]:
        for size, footprint in zip(x.shape[2:], self.footprints, strict=True):
            footprint.require(size)
        copies = []
        for level, convolutions in enumerate(self.analysis):
            x = convolutions(x if level == 0 else self.pools[level - 1](x))
            copies.append(x)
        del copies[-1]  # the bottom goes up as it is; every copy is let go of once it is joined
        for level in reversed(range(self.depth)):
            x = self.up_convolutions[level](x)
            x = self.synthesis[level](torch.cat([centre_crop(copies.pop(), x), x], dim=1))
        return [self.head(x)]

    def along_axis(self, x: Axis, number: int = -1) -> Axis:
        return along_axis(x, depth=self.depth, padding=self.padding, flat=self.flat_levels[number])

    @property
    def footprint(self) -> Footprint:
        """That of rows, the last axis."""
        return self.footprints[-1]

    @property
    def footprints(self) -> tuple[Footprint, ...]:
        return tuple(_footprint(self.depth, self.padding, flat) for flat in self.flat_levels)


class ConvPair(nn.Sequential):
    """Twice: convolution, normalisation if any, ReLU. Unpadded, it takes 4 voxels off each axis that is not flat."""

    def __init__(
        self,
        in_channels: int,
        between: int,
        out_channels: int,
        kernel: Kernel,
        *,
        padding: Padding,
        normalisation: Normalisation,
    ) -> None:
        layers: list[nn.Module] = []
        z, y, x = (size // 2 if padding == "same" else 0 for size in kernel)
        for channels, made in ((in_channels, between), (between, out_channels)):
            layers.append(nn.Conv3d(channels, made, kernel_size=kernel, padding=(z, y, x)))
            if normalisation == "batch":
                layers.append(nn.BatchNorm3d(made))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


def along_axis(x: Axis, *, depth: int, padding: Padding, flat: int = 0) -> Axis:
    """Fig. 2 on one axis: size, stride, offset and reach of the logits, from those of the input."""

    def pair(x: Axis, level: int) -> Axis:
        rim = 1 if padding == "same" else 0
        return x if level < flat else x.conv(3, padding=rim).conv(3, padding=rim)

    copies = []
    for level in range(depth + 1):
        x = pair(x.pool(2) if level > flat else x, level)
        copies.append(x)
    for level in reversed(range(depth)):
        x = pair((x.up(2) if level >= flat else x).join(copies[level]), level)
    return x


@cache
def _footprint(depth: int, padding: Padding, flat: int) -> Footprint:
    network = partial(along_axis, depth=depth, padding=padding, flat=flat)
    return footprint_of(network, multiple=2 ** (depth - flat), padded=padding == "same")


def _per_axis(size: int, flat_levels: tuple[int, ...], level: int) -> Kernel:
    """A kernel or stride of this size, 1 along the axes that are left alone at a level."""
    z, y, x = (1 if level < flat else size for flat in flat_levels)
    return z, y, x


def _check(
    in_channels: int,
    classes: int,
    padding: str,
    depth: int,
    width: int,
    normalisation: str,
    flat_levels: tuple[int, ...],
) -> None:
    whole = {"in_channels": in_channels, "classes": classes, "depth": depth, "width": width}
    for name, value in whole.items():
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"UNet3D got {name} = {value!r}; it takes whole numbers from 1 up.")
    if depth > _MOST_CHANNELS or width * 2 ** (depth + 1) > _MOST_CHANNELS:
        raise RecipeError(
            f"UNet3D got width = {width} and depth = {depth}: width · 2^(depth + 1) channels at its lowest level, and "
            f"at most {_MOST_CHANNELS} are built. Choose a smaller width or depth."
        )
    for name, text, allowed in [
        ("padding", padding, ("valid", "same")),
        ("normalisation", normalisation, ("batch", "none")),
    ]:
        if text not in allowed:
            raise RecipeError(f"UNet3D got {name} = {text!r}; it takes one of {', '.join(allowed)}.")
    if len(flat_levels) != _AXES or not all(isinstance(n, int) and 0 <= n <= depth for n in flat_levels):
        raise RecipeError(
            f"UNet3D got flat_levels = {list(flat_levels)}; it takes a whole number for each of z, y and x, from 0 to "
            f"its depth, {depth}."
        )
