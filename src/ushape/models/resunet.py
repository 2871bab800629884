"""ResUNet. Zhang, Liu, Wang: Road Extraction by Deep Residual U-Net. IEEE Geoscience and Remote Sensing Letters 15,
2018, arXiv 1711.10684.

Fig. 2 and Table I, one axis of the 224-pixel image; every number is a residual unit:

    encoding 1   224·64 ──────────────────────▶ 224·64 ▶ 1×1    decoding 7
    encoding 2      112·128 ──────────────▶ 112·128             decoding 6
    encoding 3          56·256 ───────▶ 56·256                  decoding 5
    bridge 4                28·512 ──────┘
    ↓ the first convolution of a unit has stride 2      ↑ up-sampling by 2, side by side with the map of that scale
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ushape.errors import RecipeError
from ushape.geometry.axis import Axis, footprint_of
from ushape.geometry.footprint import Footprint
from ushape.models.blocks import draw_he_normal
from ushape.models.segmenter import Segmenter
from ushape.models.shortcut import Shortcut

_SCALES = 4  # of the map: at the image's size, a half, a quarter, an eighth
_MOST_CHANNELS = 8192  # of the bridge, where the published network has 512


class ResUNet(Segmenter):
    """(N, in_channels, H, W) image → (N, classes, H, W) logits.

    width: channels of the first unit, doubled at each scale below. As published, one class: the logit of the road.

    Of what the paper leaves open, its 7.8 million parameters decide two things: no shortcut has any (with 1×1
    projections there are 8.2 million), and the first unit begins with its convolution, as nothing is there to activate
    but pixels. Ours is what such a shortcut is where channels change (models/shortcut.py), that pixels are repeated in
    up-sampling, the order [copy, up], and the initialisation, U-Net's.

    Deviations: logits, where the paper's network ends in a sigmoid (which is in ushape.labels); any number of classes.
    Source: Section II, Fig. 2, Table I. RecipeError for a value that cannot be.
    """

    def __init__(self, in_channels: int = 3, classes: int = 1, *, width: int = 64) -> None:
        super().__init__()
        _check(in_channels, classes, width)
        self.in_channels, self.classes = in_channels, classes
        *channels, lowest = [width * 2**scale for scale in range(_SCALES)]

        first = ResidualUnit(in_channels, width, activated=False)
        further = [ResidualUnit(c, 2 * c, stride=2) for c in channels[:-1]]
        self.encoding = nn.ModuleList([first, *further])
        self.bridge = ResidualUnit(channels[-1], lowest, stride=2)
        self.decoding = nn.ModuleList(ResidualUnit(c + 2 * c, c) for c in reversed(channels))
        self.head = nn.Conv2d(width, classes, kernel_size=1)
        self.apply(draw_he_normal)

    def outputs(self, x: Tensor) -> list[Tensor]:
        for size in x.shape[-2:]:
            self.footprint.require(size)
        copies = []
        for unit in self.encoding:
            x = unit(x)
            copies.append(x)
        x = self.bridge(x)
        for unit in self.decoding:
            x = unit(torch.cat([copies.pop(), F.interpolate(x, scale_factor=2)], dim=1))
        return [self.head(x)]

    def along_axis(self, x: Axis) -> Axis:
        return along_axis(x)

    @property
    def footprint(self) -> Footprint:
        return _footprint()


class ResidualUnit(nn.Module):
    """(N, C, H, W) map → (N, out_channels, H/stride, W/stride): twice BN, ReLU, 3×3 convolution, and the shortcut.

    activated: what comes in is; the first unit, which is given pixels, begins with its convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, activated: bool = True) -> None:
        super().__init__()
        activation = [nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True)] if activated else []
        self.branch = nn.Sequential(
            *activation,
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, stride=stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
        )
        self.shortcut = Shortcut(out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        branched: Tensor = self.branch(x)
        passed: Tensor = self.shortcut(x)
        return branched + passed


def along_axis(x: Axis) -> Axis:
    """Fig. 2 on one axis: size and reach of the logits, from those of the input.

    Strided convolutions look at even pixels, and up-sampling centres its pixels between these: a map comes up half a
    pixel beside the one it is joined to, at every scale. The units' weights can make that good; what each pixel depends
    on is exact either way.
    """
    copies = []
    for scale in range(_SCALES):
        x = x.conv(3, padding=1, stride=2 if scale else 1).conv(3, padding=1)
        copies.append(x)
    del copies[-1]
    while copies:
        copy = copies.pop()
        x = replace(x.up(2), offset=copy.offset).join(copy).conv(3, padding=1).conv(3, padding=1)
    return x


@cache
def _footprint() -> Footprint:
    return footprint_of(along_axis, multiple=2 ** (_SCALES - 1), padded=True)


def _check(in_channels: int, classes: int, width: int) -> None:
    for name, value in [("in_channels", in_channels), ("classes", classes), ("width", width)]:
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"ResUNet got {name} = {value!r}; it takes whole numbers from 1 up.")
    lowest = width * 2 ** (_SCALES - 1)
    if lowest > _MOST_CHANNELS:
        raise RecipeError(
            f"ResUNet got width = {width}, which makes {lowest} channels in its bridge; at most {_MOST_CHANNELS} are "
            f"built. Choose a width up to {_MOST_CHANNELS // 2 ** (_SCALES - 1)}."
        )
