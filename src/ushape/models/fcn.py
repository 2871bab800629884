"""FCN. Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation. CVPR 2015; PAMI 2017.

Fig. 3, one axis of a 500-pixel image; every map of scores has as many channels as there are classes:

    pool3  88 ─ 1×1 ──────────────────────────────────── crop 9 ─▶ 70 ▶ ×8   568 ─ crop 31 ─▶ 500   FCN-8s
    pool4  44 ─ 1×1 ──────────── crop 5 ─▶ 34 ─────────────── ×2 ──┘
                                           │ ▶ ×16 560 ─ crop 27 ─▶ 500                             FCN-16s
    fc7    16 ─ 1×1 ▶ score 16 ─── ×2 ─────┘
                          ▶ ×32 544 ─ crop 19 ─▶ 500                                                FCN-32s
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ushape.errors import CheckpointError, RecipeError
from ushape.geometry.axis import Axis, footprint_of
from ushape.geometry.footprint import Footprint
from ushape.models import vgg
from ushape.models.segmenter import Segmenter
from ushape.models.vgg import VGG16

Upsampling = Literal["learned", "fixed"]

_COARSEST = 32
_SCALE_OF_POOL4, _SCALE_OF_POOL3 = 0.01, 0.0001  # of the authors' at-once network
_MOST_WIDTH = 128  # twice the published one: its weights take 2 GB


class FCN(Segmenter):
    """(N, in_channels, H, W) image of any size → (N, classes, H, W) logits. What FCN-32s, 16s and 8s share.

    width: channels of VGG16's first block. dropout: probability after fc6 and fc7.
    upsampling: "learned" as in the paper: in between, up-convolutions begin bilinear and learn, each class from every
        other's scores too; "fixed" as in the networks that the authors released. The last one is bilinear in either,
        and the only one that FCN-32s has.
    at_once: of FCN-8s, which is then trained in one go: pool4 and pool3 are scaled by fixed factors before they are
        scored, so that all streams learn at one pace (PAMI 2017).

    The image's zero padding is part of the network, so that it sees where the image ends. Dropout is per number, as in
    Caffe. RecipeError for a value that cannot be.
    """

    takes_any_size = True
    stride: ClassVar[int]

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 21,
        *,
        width: int = 64,
        dropout: float = 0.5,
        upsampling: Upsampling = "learned",
        at_once: bool = False,
    ) -> None:
        super().__init__()
        _check(in_channels, classes, width, dropout, upsampling)
        if at_once and self.stride != 8:
            raise RecipeError(f"{type(self).__name__} got at_once; only fcn8s can be trained at once. Leave it out.")
        self.in_channels, self.classes, self.width = in_channels, classes, width
        self.upsampling, self.at_once = upsampling, at_once
        twice = UpConvolution if upsampling == "learned" else Bilinear

        self.vgg16 = VGG16(in_channels, width=width, dropout=dropout)
        self.score_fr = Score(self.vgg16.fc7.out_channels, classes)
        if self.stride <= 16:
            self.upscore2 = twice(classes, 2)
            self.score_pool4 = Score(8 * width, classes)
        if self.stride <= 8:
            self.upscore_pool4 = twice(classes, 2)
            self.score_pool3 = Score(4 * width, classes)
        self.upscore = Bilinear(classes, self.stride)

    def outputs(self, x: Tensor) -> list[Tensor]:
        pool3, pool4, fc7 = self.vgg16(x)
        if self.at_once:
            pool4, pool3 = _SCALE_OF_POOL4 * pool4, _SCALE_OF_POOL3 * pool3
        *crops, last_crop = _crops(self.stride)
        score = self.score_fr(fc7)
        if self.stride <= 16:
            score = self.upscore2(score)
            score = score + _part(self.score_pool4(pool4), score, crops[0])
        if self.stride <= 8:
            score = self.upscore_pool4(score)
            score = score + _part(self.score_pool3(pool3), score, crops[1])
        return [_part(self.upscore(score), x, last_crop)]

    def along_axis(self, x: Axis) -> Axis:
        return along_axis(x, stride=self.stride)[0]

    @property
    def footprint(self) -> Footprint:
        return _footprint(self.stride)

    def begin_from(self, coarse: Segmenter) -> None:
        """Take the weights of the trained FCN of twice the stride, from which this one is trained (Section 4.2).

        The new scores are 0 and the new up-convolution is bilinear, so that the sum of scores is the same map as
        before. But it is enlarged in two steps now: the second interpolates between pixels of the first, which cuts
        the corners that the map had at its own pixels. So the logits of an image change, where the paper speaks of
        unmodified predictions: by at most an eighth of the map's second difference along one axis, and as much along
        the other. No weights of the two steps would compute what the one did.

        CheckpointError, with all that differs, for a network of another stride, width, or number of channels or
        classes.
        """
        _check_growth(coarse, self)
        state = coarse.state_dict()
        for name, layer in self.named_children():
            if isinstance(layer, Score | UpConvolution) and f"{name}.weight" not in state:
                layer.reset_parameters()
        self.load_state_dict(self.state_dict() | state)


class FCN32s(FCN):
    """FCN-32s: the scores of fc7, enlarged 32-fold."""

    stride = 32


class FCN16s(FCN):
    """FCN-16s: the scores of fc7, doubled, and of pool4, added up and enlarged 16-fold."""

    stride = 16


class FCN8s(FCN):
    """FCN-8s: the sum of FCN-16s, doubled, and the scores of pool3, added up and enlarged 8-fold."""

    stride = 8


class Score(nn.Conv2d):
    """A map → a score for each class at each of its pixels: a 1×1 convolution (Section 4.1), all 0 at first (4.3)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes, kernel_size=1)

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class UpConvolution(nn.ConvTranspose2d):
    """A map enlarged by weights that begin bilinear, channel by channel, and learn; without bias."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, kernel_size=2 * factor, stride=factor, bias=False)

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.copy_(_bilinear_for_each(self.out_channels, self.stride[0]))


class Bilinear(nn.ConvTranspose2d):
    """A map enlarged bilinearly, beyond its border to 0; it has nothing to learn, and no weights in a checkpoint.

    Each channel by itself: the dense kernels of the authors' networks, zero off the diagonal, compute the same sums.
    """

    weight: Tensor

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, kernel_size=2 * factor, stride=factor, bias=False, groups=channels)
        del self.weight
        kernels = bilinear_kernel(factor).repeat(channels, 1, 1, 1)
        self.register_buffer("weight", kernels, persistent=False)

    def reset_parameters(self) -> None:
        """Nothing is drawn."""


def bilinear_kernel(factor: int) -> Tensor:
    """(2·factor, 2·factor) weights with which a transposed convolution interpolates.

    >>> bilinear_kernel(2)[0] * 16
    tensor([1., 3., 3., 1.])
    """
    line = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return line[:, None] * line


def along_axis(x: Axis, *, stride: int) -> tuple[Axis, list[int]]:
    """Fig. 3 on one axis: the logits, and what the low side loses of pool4, of pool3 and of the enlarged scores."""
    pool3, pool4, score = vgg.along_axis(x)
    crops = []
    for pool in [pool4, pool3]:
        if score.stride > stride:
            score = score.up(2, kernel=4)
            crops.append(pool.crop_onto(score))
            score = score.join(pool)
    enlarged = score.up(stride, kernel=2 * stride)
    return enlarged.cropped(x), [*crops, enlarged.crop_onto(x)]


def from_caffe(state: Mapping[str, Tensor], network: FCN) -> dict[str, Tensor]:
    """Weights under the names of the authors' networks (conv1_1, …, upscore8) → under those of a network of ours.

    Up-convolutions that are fixed here are left out; CheckpointError where they are other than bilinear. What neither
    side has stays, for the check of whoever loads the result.
    """
    own = network.state_dict()
    renamed = {name if name in own else f"vgg16.{name}": value for name, value in state.items()}
    for name in [name for name in state if name.startswith("upscore") and name not in own]:
        kernels = renamed.pop(f"vgg16.{name}")
        if kernels.ndim != 4 or not torch.allclose(kernels, _bilinear_for_each(len(kernels), kernels.shape[-1] // 2)):
            raise CheckpointError(
                f"{name} is not bilinear, as {type(network).__name__} has it with upsampling = {network.upsampling!r}. "
                'Up-convolutions between scores are taken with "learned"; the last is bilinear in the paper, and here.'
            )
    return renamed


def _part(enlarged: Tensor, onto: Tensor, crop: int) -> Tensor:
    """What of a map lies on another, `crop` pixels from its top and left."""
    height, width = onto.shape[-2:]
    return enlarged[..., crop : crop + height, crop : crop + width]


def _bilinear_for_each(channels: int, factor: int) -> Tensor:
    """(channels, channels, 2·factor, 2·factor): bilinear from each channel to itself, else 0."""
    return torch.eye(channels)[:, :, None, None] * bilinear_kernel(factor)


@cache
def _crops(stride: int) -> list[int]:
    return along_axis(Axis.of_input(1), stride=stride)[1]  # they are the same for every size


@cache
def _footprint(stride: int) -> Footprint:
    def network(x: Axis) -> Axis:
        return along_axis(x, stride=stride)[0]

    return footprint_of(network, multiple=_COARSEST, padded=True, sees_edges=True)


def _check_growth(coarse: Segmenter, fine: FCN) -> None:
    wanted = {16: "FCN32s", 8: "FCN16s"}.get(fine.stride)
    here, there = type(fine).__name__, type(coarse).__name__
    if wanted is None:
        raise CheckpointError(f"{here} begins from VGG16 of ImageNet, or anew; it cannot take the weights of {there}.")
    if not isinstance(coarse, FCN) or coarse.stride != 2 * fine.stride:
        raise CheckpointError(
            f"{here} cannot take the weights of {there}: the networks are trained one after another, FCN32s, FCN16s, "
            f"FCN8s. Give those of a {wanted}."
        )
    if fine.at_once:
        raise CheckpointError(
            f"{here} with at_once = true learns all its streams together, from VGG16 of ImageNet; leave at_once out to "
            f"begin with the weights of {there}."
        )
    faults = [
        f"{name} is {getattr(coarse, name)!r} there and {getattr(fine, name)!r} here"
        for name in ("in_channels", "classes", "width")
        if getattr(coarse, name) != getattr(fine, name)
    ]
    if coarse.state_dict().keys() - fine.state_dict().keys():
        faults.append(f"upsampling is {coarse.upsampling!r} there and {fine.upsampling!r} here")
    if faults:
        raise CheckpointError(
            f"{here} cannot take the weights of {there}: {'; '.join(faults)}. Build both with the same."
        )


def _check(in_channels: int, classes: int, width: int, dropout: float, upsampling: str) -> None:
    for name, value in [("in_channels", in_channels), ("classes", classes), ("width", width)]:
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"FCN got {name} = {value!r}; it takes whole numbers from 1 up.")
    if width > _MOST_WIDTH:
        raise RecipeError(f"FCN got width = {width}; at most {_MOST_WIDTH} is built, and 64 is the published one.")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise RecipeError(f"FCN got dropout = {dropout!r}; it takes a probability from 0 up to, not including, 1.")
    if upsampling not in ("learned", "fixed"):
        raise RecipeError(f"FCN got upsampling = {upsampling!r}; it takes one of learned, fixed.")
