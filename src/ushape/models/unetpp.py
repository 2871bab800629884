"""UNet++. Zhou, Siddiquee, Tajbakhsh, Liang: UNet++: A Nested U-Net Architecture. DLMIA 2018, arXiv 1807.10165.

Fig. 1, rows i (levels) and columns j; → stands for a skip connection to every later node of the row:

    X⁰⁰ → X⁰¹ → X⁰² → X⁰³ → X⁰⁴        X^{0,1} … X^{0,4} have a 1×1 head each
     ↓  ↗  ↓  ↗     ↗     ↗
    X¹⁰ → X¹¹ → X¹² → X¹³               ↓ 2×2 max pool (column 0 alone)
     ↓  ↗     ↗     ↗                   ↗ 2×2 up-convolution to the channels of the level
    X²⁰ → X²¹ → X²²
     ↓  ↗     ↗
    X³⁰ → X³¹
     ↓  ↗
    X⁴⁰
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ushape.errors import RecipeError
from ushape.geometry.axis import Axis, footprint_of
from ushape.geometry.footprint import Footprint
from ushape.labels import per_class
from ushape.models.blocks import draw_he_normal
from ushape.models.segmenter import Segmenter

Normalisation = Literal["none", "batch"]
Answer = Literal["accurate", "fast"]

_MOST_CHANNELS = 8192  # of the lowest level, where the published network has 512


class UNetPP(Segmenter):
    """(N, in_channels, H, W) image → (N, classes, H, W) logits.

    depth: number of poolings, and of columns beside the first. width: channels of the first level, doubled at each
    level below. normalisation: "none" as published, or "batch" after each 3×3 convolution.
    deep_supervision: a head on each of X^{0,1} … X^{0,depth}, all of which training looks at, or on the last alone.
    answer: under deep supervision, "accurate" is the mean of the heads' probabilities, "fast" the last head.
    dropout: probability after each 3×3 convolution, as in the authors' code; the paper does not speak of it.

    Source: eq. 1 and Fig. 1; heads and modes, Section 2.2. RecipeError for a value that cannot be.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 2,
        *,
        depth: int = 4,
        width: int = 32,
        normalisation: Normalisation = "none",
        deep_supervision: bool = True,
        answer: Answer = "accurate",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        _check(in_channels, classes, depth, width, normalisation, deep_supervision, answer, dropout)
        self.in_channels, self.classes = in_channels, classes
        self.depth, self.width, self.normalisation, self.dropout = depth, width, normalisation, dropout
        self.deep_supervision, self.answer = deep_supervision, answer
        channels = [width * 2**i for i in range(depth + 1)]

        self.pool = nn.MaxPool2d(2)
        self.ups, self.nodes = nn.ModuleDict(), nn.ModuleDict()
        for i, j in grid(depth):
            incoming = (j + 1) * channels[i] if j else channels[i - 1] if i else in_channels
            self.nodes[_name(i, j)] = Node(incoming, channels[i], normalisation=normalisation, dropout=dropout)
            if j:
                self.ups[_name(i, j)] = nn.ConvTranspose2d(channels[i + 1], channels[i], kernel_size=2, stride=2)
        supervised = range(1 if deep_supervision else depth, depth + 1)
        self.heads = nn.ModuleDict({_name(0, j): nn.Conv2d(width, classes, kernel_size=1) for j in supervised})
        self.apply(draw_he_normal)

    def outputs(self, x: Tensor) -> list[Tensor]:
        for size in x.shape[-2:]:
            self.footprint.require(size)
        rows: list[list[Tensor]] = [[] for _ in range(self.depth + 1)]  # X^{i,0}, X^{i,1} … in rows[i]
        outputs: list[Tensor] = []
        for i, j in grid(self.depth):
            name = _name(i, j)
            if j == 0:
                x = self.pool(rows[i - 1][0]) if i else x
            else:
                x = torch.cat([*rows[i], self.ups[name](rows[i + 1][-1])], dim=1)
            if i + j == self.depth:  # the last of its row: what it joins is let go of
                rows[i].clear()
                del rows[i + 1 :]
            rows[i].append(self.nodes[name](x))
            if name in self.heads:
                outputs.insert(0, self.heads[name](rows[0][-1]))
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """The logits that are the answer: those of the heads' mean probability, or of the last head."""
        heads = self.outputs(x)
        return heads[0] if self.answer == "fast" or len(heads) == 1 else of_mean_probability(heads)

    def pruned(self, level: int) -> UNetPP:
        """The network cut to column `level`, with copies of its weights: its logits are those of the head there.

        The nodes X^{i,j} with i + j ≤ level depend on no other, so that the rest can be left out (Section 2.2, Fig. 3).
        RecipeError for a level that has no head.
        """
        self.require_level(level)
        with torch.device("meta"):  # no weights are drawn: it gets those of this network, laid out as they are here
            smaller = UNetPP(
                self.in_channels,
                self.classes,
                depth=level,
                width=self.width,
                normalisation=self.normalisation,
                deep_supervision=False,
                dropout=self.dropout,
            )
        state = self.state_dict()
        smaller.load_state_dict({name: state[name].clone() for name in smaller.state_dict()}, assign=True)
        return smaller.train(self.training)

    def require_level(self, level: int) -> None:
        """RecipeError unless there is a head at this column, other than that of a network without deep supervision."""
        if not self.deep_supervision:
            raise RecipeError(
                f"This UNet++ has a single head, at level {self.depth}: it was trained without deep supervision, or is "
                "pruned already. Prune a network that was trained with deep_supervision = true, the default."
            )
        if level not in range(1, self.depth + 1):
            raise RecipeError(f"This UNet++ has no level {level} to be pruned to; it has the levels 1 to {self.depth}.")

    def along_axis(self, x: Axis) -> Axis:
        return along_axis(x, depth=self.depth)

    @property
    def footprint(self) -> Footprint:
        return _footprint(self.depth)


class Node(nn.Sequential):
    """H of eq. 1, twice: 3×3 convolution that keeps the size, normalisation if any, ReLU, dropout."""

    def __init__(self, in_channels: int, out_channels: int, *, normalisation: Normalisation, dropout: float) -> None:
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers.append(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1))
            if normalisation == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            layers += [nn.ReLU(inplace=True), nn.Dropout(dropout)]
        super().__init__(*layers)


def grid(depth: int) -> Iterator[tuple[int, int]]:
    """(i, j) of every node X^{i,j}, column after column from the left, each from the top.

    >>> list(grid(2))
    [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)]
    """
    return ((i, j) for j in range(depth + 1) for i in range(depth + 1 - j))


def of_mean_probability(heads: Sequence[Tensor]) -> Tensor:
    """Logits whose probabilities are the mean of those of all (N, K, h, w) heads.

    Computed in logarithms, so that no probability is rounded to 0 or 1. Of one class they are its own logits, of more
    those relative to the first class.
    """
    total = F.log_softmax(per_class(heads[0]), dim=1)
    for head in heads[1:]:
        total = torch.logaddexp(total, F.log_softmax(per_class(head), dim=1))
    return (total - total[:, :1])[:, -heads[0].shape[1] :]


def along_axis(x: Axis, *, depth: int) -> Axis:
    """Fig. 1 on one axis. The last node has all the nodes with heads to its left, and so sees all that they see."""
    maps: dict[tuple[int, int], Axis] = {}
    for i, j in grid(depth):
        joined = maps[i + 1, j - 1].up(2) if j else maps[i - 1, 0].pool(2) if i else x
        for k in range(j):
            joined = joined.join(maps[i, k])
        maps[i, j] = joined.conv(3, padding=1).conv(3, padding=1)
    return maps[0, depth]


def _name(i: int, j: int) -> str:
    return f"X{i}_{j}"


@cache
def _footprint(depth: int) -> Footprint:
    return footprint_of(partial(along_axis, depth=depth), multiple=2**depth, padded=True)


def _check(
    in_channels: int,
    classes: int,
    depth: int,
    width: int,
    normalisation: str,
    deep_supervision: bool,
    answer: str,
    dropout: float,
) -> None:
    for name, value in [("in_channels", in_channels), ("classes", classes), ("depth", depth), ("width", width)]:
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"UNetPP got {name} = {value!r}; it takes whole numbers from 1 up.")
    if depth > _MOST_CHANNELS or width * 2**depth > _MOST_CHANNELS:
        raise RecipeError(
            f"UNetPP got width = {width} and depth = {depth}: width · 2^depth channels at its lowest level, and at "
            f"most {_MOST_CHANNELS} are built. Choose a smaller width or depth."
        )
    for name, text, allowed in [
        ("normalisation", normalisation, ("none", "batch")),
        ("answer", answer, ("accurate", "fast")),
    ]:
        if text not in allowed:
            raise RecipeError(f"UNetPP got {name} = {text!r}; it takes one of {', '.join(allowed)}.")
    if not isinstance(deep_supervision, bool):
        raise RecipeError(f"UNetPP got deep_supervision = {deep_supervision!r}; it takes true or false.")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise RecipeError(f"UNetPP got dropout = {dropout!r}; it takes a probability from 0 up to, not including, 1.")
