"""U-Net. Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015.

Fig. 1, one axis of the 572-pixel tile:

    572·570·568 ─────────────── crop 88 ──────────────▶ 392·390·388 ▶ 1×1
       284·282·280 ──────────── crop 40 ────────▶ 200·198·196
          140·138·136 ───────── crop 16 ──▶ 104·102·100
             68·66·64 ────────── crop 4 ▶ 56·54·52
                     32·30·28 ──────────────┘
    ↓ 2×2 max pool        ↑ 2×2 up-convolution, channels halved
"""

from __future__ import annotations

from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ushape.errors import RecipeError
from ushape.geometry.axis import Axis, footprint_of
from ushape.geometry.footprint import Footprint
from ushape.models.blocks import draw_he_normal
from ushape.models.segmenter import Segmenter
from ushape.models.shortcut import Shortcut

Padding = Literal["valid", "same"]
Normalisation = Literal["none", "batch"]
Skip = Literal["copy", "add", "none"]

_MOST_REDUCED = 16
_MOST_CHANNELS = 8192  # of the lowest level, where the published network has 1024: its weights take 8 GB


class UNet(Segmenter):
    """(N, in_channels, H, W) image → (N, classes, H − 184, W − 184) logits at the published depth and padding.

    padding: "valid" as published; "same" pads with zeros, so that the logits are as large as the input.
    depth: number of poolings. width: channels of the first level, doubled at each level below.
    normalisation: "none" as published, or "batch" after each 3×3 convolution. Normalising over the tile itself
        (instance, group) is not offered: the answer would depend on the tile.
    skip: "copy" concatenates the cropped map of the contracting path (published), "add" sums it, "none" leaves it out.
    residual: ResNet's shortcut around each two convolutions, which the paper does not have; no parameter more.
    dropout: probability at the end of the contracting path; the paper names no number, the authors' network has .5.
    reduction: where larger than 1, the network looks at the means of so many × so many pixels, and its logits are
        enlarged linearly: quicker, for structures that still show then. Of padded networks only; not in the paper.

    Source: Section 2 and Fig. 1; initialisation and dropout, Section 3. RecipeError for a value that cannot be.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 2,
        *,
        padding: Padding = "valid",
        depth: int = 4,
        width: int = 64,
        normalisation: Normalisation = "none",
        skip: Skip = "copy",
        residual: bool = False,
        dropout: float = 0.5,
        reduction: int = 1,
    ) -> None:
        super().__init__()
        _check(in_channels, classes, padding, depth, width, normalisation, skip, residual, dropout, reduction)
        self.in_channels, self.classes = in_channels, classes
        self.depth, self.padding, self.skip, self.reduction = depth, padding, skip, reduction
        pair = partial(ResidualPair if residual else ConvPair, padding=padding, normalisation=normalisation)
        channels = [width * 2**level for level in range(depth + 1)]

        self.contracting = nn.ModuleList(pair(a, b) for a, b in zip([in_channels, *channels], channels, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.up_convolutions = nn.ModuleList(
            nn.ConvTranspose2d(2 * c, c, kernel_size=2, stride=2) for c in channels[:-1]
        )
        self.expanding = nn.ModuleList(pair(2 * c if skip == "copy" else c, c) for c in channels[:-1])
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        self.apply(draw_he_normal)

    def outputs(self, x: Tensor) -> list[Tensor]:
        for size in x.shape[-2:]:
            self.footprint.require(size)
        if self.reduction > 1:
            x = F.avg_pool2d(x, self.reduction)
        copies = []
        for level, convolutions in enumerate(self.contracting):
            x = convolutions(x if level == 0 else self.pool(x))
            if level >= self.depth - 1:
                x = self.dropout(x)
            copies.append(x)
        del copies[-1]  # the bottom goes up as it is; every copy is let go of once it is joined
        for level in reversed(range(self.depth)):
            x = self._joined(copies.pop(), self.up_convolutions[level](x))
            x = self.expanding[level](x)
        logits = self.head(x)
        return [F.interpolate(logits, scale_factor=self.reduction, mode="bilinear") if self.reduction > 1 else logits]

    def _joined(self, copy: Tensor, x: Tensor) -> Tensor:
        if self.skip == "none":
            return x
        cropped = centre_crop(copy, x)
        return torch.cat([cropped, x], dim=1) if self.skip == "copy" else cropped + x

    def along_axis(self, x: Axis) -> Axis:
        return along_axis(x, depth=self.depth, padding=self.padding, reduction=self.reduction)

    @property
    def footprint(self) -> Footprint:
        return _footprint(self.depth, self.padding, self.reduction)


class ConvPair(nn.Sequential):
    """Twice: 3×3 convolution, normalisation if any, ReLU. Unpadded, it takes 4 pixels off each axis."""

    def __init__(self, in_channels: int, out_channels: int, *, padding: Padding, normalisation: Normalisation) -> None:
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers.append(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1 if padding == "same" else 0))
            if normalisation == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ResidualPair(nn.Module):
    """The same layers, and what came in added before the last ReLU (He et al. 2015)."""

    def __init__(self, in_channels: int, out_channels: int, *, padding: Padding, normalisation: Normalisation) -> None:
        super().__init__()
        *branch, self.relu = ConvPair(in_channels, out_channels, padding=padding, normalisation=normalisation)
        self.branch = nn.Sequential(*branch)
        self.shortcut = Shortcut(out_channels, rim=0 if padding == "same" else 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return answer


def centre_crop(copy: Tensor, onto: Tensor) -> Tensor:
    """The centre of a map of the contracting path, as large as the map of the expanding path it is joined to.

    That the centre is the right place follows from the layer list: see `along_axis` and its tests.
    """
    starts = [(a - b) // 2 for a, b in zip(copy.shape[2:], onto.shape[2:], strict=True)]
    return copy[:, :, *(slice(a, a + size) for a, size in zip(starts, onto.shape[2:], strict=True))]


def along_axis(x: Axis, *, depth: int, padding: Padding, reduction: int = 1) -> Axis:
    """Fig. 1 on one axis: size, stride, offset and reach of the logits, from those of the input."""
    rim = 1 if padding == "same" else 0
    if reduction > 1:
        x = x.pool(reduction)
    copies = []
    for level in range(depth + 1):
        x = (x if level == 0 else x.pool(2)).conv(3, padding=rim).conv(3, padding=rim)
        copies.append(x)
    for level in reversed(range(depth)):
        x = x.up(2).join(copies[level]).conv(3, padding=rim).conv(3, padding=rim)
    return x.bilinear(reduction) if reduction > 1 else x


@cache
def _footprint(depth: int, padding: Padding, reduction: int) -> Footprint:
    network = partial(along_axis, depth=depth, padding=padding, reduction=reduction)
    return footprint_of(network, multiple=reduction * 2**depth, padded=padding == "same")


def _check(
    in_channels: int,
    classes: int,
    padding: str,
    depth: int,
    width: int,
    normalisation: str,
    skip: str,
    residual: bool,
    dropout: float,
    reduction: int,
) -> None:
    whole = {"in_channels": in_channels, "classes": classes, "depth": depth, "width": width, "reduction": reduction}
    for name, value in whole.items():
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"UNet got {name} = {value!r}; it takes whole numbers from 1 up.")
    if depth > _MOST_CHANNELS or width * 2**depth > _MOST_CHANNELS:
        raise RecipeError(
            f"UNet got width = {width} and depth = {depth}: width · 2^depth channels at its lowest level, and at most "
            f"{_MOST_CHANNELS} are built. Choose a smaller width or depth."
        )
    for name, text, allowed in [
        ("padding", padding, ("valid", "same")),
        ("normalisation", normalisation, ("none", "batch")),
        ("skip", skip, ("copy", "add", "none")),
    ]:
        if text not in allowed:
            raise RecipeError(f"UNet got {name} = {text!r}; it takes one of {', '.join(allowed)}.")
    if reduction > 1 and padding != "same":
        raise RecipeError(
            f"UNet got reduction = {reduction} and padding = {padding!r}; it reduces with padding = 'same'."
        )
    if reduction > _MOST_REDUCED:
        raise RecipeError(f"UNet got reduction = {reduction}; it takes 1 to {_MOST_REDUCED}.")
    if not isinstance(residual, bool):
        raise RecipeError(f"UNet got residual = {residual!r}; it takes true or false.")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise RecipeError(f"UNet got dropout = {dropout!r}; it takes a probability from 0 up to, not including, 1.")
