"""U²-Net. Qin, Zhang, Huang, Dehghan, Zaiane, Jagersand: U²-Net: Going Deeper with Nested U-Structure for Salient
Object Detection. Pattern Recognition 106, 2020, arXiv 2005.09007.

Fig. 5; every stage is a residual U-block (models/rsu.py), and every stage on the way up has a side output:

    En1 RSU-7 ───────────────────────────────▶ De1 RSU-7 ▶ side 1 ┐
       ↓ En2 RSU-6 ────────────────────▶ De2 RSU-6 ↑     ▶ side 2 │
          ↓ En3 RSU-5 ───────────▶ De3 RSU-5 ↑           ▶ side 3 ├ side by side, 1×1 ▶ the answer
             ↓ En4 RSU-4 ──▶ De4 RSU-4 ↑                 ▶ side 4 │
                ↓ En5 RSU-4F ▶ De5 RSU-4F ↑              ▶ side 5 │
                   ↓ En6 RSU-4F ──┘                      ▶ side 6 ┘
    ↓ 2×2 max pool, partial windows kept      ↑ bilinear, to the very size of the map it is joined to
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from ushape.errors import RecipeError, SizeError
from ushape.geometry.axis import Axis, footprint_of
from ushape.geometry.footprint import Footprint
from ushape.models import rsu
from ushape.models.rsu import DILATED, RSU, enlarged, halving, joined, pooled
from ushape.models.segmenter import Segmenter

FORMS = (pooled(7), pooled(6), pooled(5), pooled(4), DILATED, DILATED)
"""Of the stages En1 to En6; De5 to De1 are as those beside them."""

Channels = tuple[tuple[int, int], ...]
"""M and O of each stage, from the first down; I is what the stage is given."""

_GRID = 2 ** (len(FORMS) - 1)  # pixels of the image to one of the lowest level
_PUBLISHED_WIDTH = 64
_WIDTH_STEP = 4  # M of De1 is a quarter of the width
_MOST_CHANNELS = 8192  # of the lowest level, where the published network has 512


class U2Net(Segmenter):
    """(N, in_channels, H, W) image of any size → (N, classes, H, W) logits.

    width: channels of En1; all others are in proportion to it, as in the paper's table. A multiple of 4.

    `outputs` are seven, all as large as the image: the answer, which a 1×1 convolution makes of the six side outputs,
    and these, from the finest down. As published, one class: the logit of what is salient.

    A logit depends on pixels up to 3,326 px away, so that images are one pass unless they are huge: tiles read 3,296 px
    around what they keep. Zero padding begins where the image ends, as in the paper. On sizes that 32 does not divide,
    poolings keep partial windows, and maps are enlarged to the very sizes of those they join: such a size is taken, but
    is none that tiles are cut to.

    Deviations: logits, where the authors' network ends in a sigmoid (which is in ushape.labels); any number of classes,
    in each side output; convolutions begin as Xavier draws them, which is said of the paper, biases at 0.
    Source: Sections 3.1 to 3.3, Fig. 5. RecipeError for a value that cannot be.
    """

    takes_any_size: ClassVar[bool] = True
    down: ClassVar[Channels] = ((32, 64), (32, 128), (64, 256), (128, 512), (256, 512), (256, 512))
    up: ClassVar[Channels] = ((16, 64), (32, 64), (64, 128), (128, 256), (256, 512))

    def __init__(self, in_channels: int = 3, classes: int = 1, *, width: int = _PUBLISHED_WIDTH) -> None:
        super().__init__()
        _check(type(self).__name__, in_channels, classes, width)
        self.in_channels, self.classes, self.width = in_channels, classes, width
        down, up = ([(self._scaled(m), self._scaled(o)) for m, o in table] for table in (self.down, self.up))

        self.pool, given = halving(), in_channels
        for level, (form, (mid, out)) in enumerate(zip(FORMS, down, strict=True), start=1):
            self.add_module(f"stage{level}", RSU(form, given, mid, out))
            given = out
        self.add_module(f"side{len(FORMS)}", _side(given, classes))
        for level in reversed(range(1, len(FORMS))):
            (mid, out), (_, copied) = up[level - 1], down[level - 1]
            self.add_module(f"stage{level}d", RSU(FORMS[level - 1], given + copied, mid, out))
            self.add_module(f"side{level}", _side(out, classes))
            given = out
        self.outconv = nn.Conv2d(len(FORMS) * classes, classes, kernel_size=1)
        self.apply(_initialise)

    def outputs(self, x: Tensor) -> list[Tensor]:
        self._check_batch(x)
        copies: list[Tensor] = []
        for level in range(1, len(FORMS) + 1):
            x = self.get_submodule(f"stage{level}")(self.pool(copies[-1]) if copies else x)
            copies.append(x)
        x = copies.pop()
        sides = [self.get_submodule(f"side{len(FORMS)}")(x)]
        for level in reversed(range(1, len(FORMS))):
            x = self.get_submodule(f"stage{level}d")(joined(x, copies.pop()))
            sides.append(self.get_submodule(f"side{level}")(x))
        sides = [enlarged(side, sides[-1]) for side in reversed(sides)]
        return [self.outconv(torch.cat(sides, dim=1)), *sides]

    def along_axis(self, x: Axis) -> Axis:
        return along_axis(x)

    @property
    def footprint(self) -> Footprint:
        return _footprint()

    def _scaled(self, channels: int) -> int:
        return channels * self.width // _PUBLISHED_WIDTH

    def _check_batch(self, x: Tensor) -> None:
        """SizeError where batch normalisation would have a single value to take the deviation of."""
        height, width = (math.ceil(size / _GRID) for size in x.shape[-2:])
        if self.training and len(x) * height * width < 2:
            raise SizeError(
                f"One {x.shape[-2]} x {x.shape[-1]} patch leaves a single pixel in the lowest level, of which batch "
                f"normalisation can learn nothing. Train on more than one at a time, or on patches over {_GRID} px."
            )


class U2NetP(U2Net):
    """U²-Net small, "U²-Net†" in the paper and `u2netp` in its code: every stage has M = 16 and O = 64."""

    down: ClassVar[Channels] = ((16, 64),) * 6
    up: ClassVar[Channels] = ((16, 64),) * 5


def along_axis(x: Axis) -> Axis:
    """Fig. 5 on one axis of a size that 32 divides: the logits, which depend on what any side output depends on."""
    copies: list[Axis] = []
    for form in FORMS:
        x = rsu.along_axis(copies[-1].pool() if copies else x, form)
        copies.append(x)
    x = copies.pop()
    sides = [x.conv(3, padding=1)]
    for form in reversed(FORMS[:-1]):
        x = rsu.along_axis(x.bilinear().join(copies.pop()), form)
        sides.append(x.conv(3, padding=1))
    finest = sides.pop()
    for level, side in enumerate(reversed(sides), start=1):
        finest = finest.join(side.bilinear(2**level))
    return finest


def with_normalisation(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as the authors' code names them, with every batch normalisation: where a file has it folded into the
    convolutions, one that changes nothing.

    Counters of batches, which old files lack, are 0.
    """
    whole = dict(state)
    for name, weight in state.items():
        block, _, ending = name.rpartition(".conv_s1.")
        if ending != "weight":
            continue
        channels, norm = len(weight), f"{block}.bn_s1."
        if f"{norm}running_var" not in state:
            eps = nn.BatchNorm2d(1).eps
            whole[f"{norm}weight"], whole[f"{norm}bias"] = torch.ones(channels), torch.zeros(channels)
            whole[f"{norm}running_mean"] = torch.zeros(channels)
            whole[f"{norm}running_var"] = torch.full((channels,), 1 - eps)
        whole.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))
    return whole


def recognised(state: Mapping[str, Tensor]) -> Literal["u2net", "u2netp"] | None:
    """Which of the two networks weights are of, by the channels of En2; None where they are of neither."""
    first, second, side = (
        state.get(f"{name}.weight") for name in ("stage1.rebnconvin.conv_s1", "stage2.rebnconvin.conv_s1", "side1")
    )
    if first is None or second is None or side is None:
        return None
    for name, network in (("u2net", U2Net), ("u2netp", U2NetP)):
        if len(second) * _PUBLISHED_WIDTH == len(first) * network.down[1][1]:
            return cast(Literal["u2net", "u2netp"], name)
    return None


@cache
def _footprint() -> Footprint:
    return footprint_of(along_axis, multiple=_GRID, padded=True, sees_edges=True)


def _side(in_channels: int, classes: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, classes, kernel_size=3, padding=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _check(network: str, in_channels: int, classes: int, width: int) -> None:
    for name, value in [("in_channels", in_channels), ("classes", classes), ("width", width)]:
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"{network} got {name} = {value!r}; it takes whole numbers from 1 up.")
    if width % _WIDTH_STEP:
        near = sorted({max(_WIDTH_STEP, width // _WIDTH_STEP * _WIDTH_STEP), -(-width // _WIDTH_STEP) * _WIDTH_STEP})
        raise RecipeError(
            f"{network} got width = {width}; its narrowest maps have a quarter of that, so that it takes multiples of "
            f"{_WIDTH_STEP}, such as {' or '.join(map(str, near))}."
        )
    if 8 * width > _MOST_CHANNELS:
        raise RecipeError(
            f"{network} got width = {width}: up to 8 · width channels at its lowest level, and at most "
            f"{_MOST_CHANNELS} are built. Choose a smaller width."
        )
