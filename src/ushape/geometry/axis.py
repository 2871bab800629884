"""One axis of a network as a chain of affine maps: every crop, margin, stride and legal size is derived here.

Along one axis, pixel i of any feature map is centred at `offset + i·stride` in the pixels of the input. What it depends
on is exact as well: up-sampled pixels depend on the input in a pattern that repeats, so that `first` and `last` hold
the first and last input pixel for each phase of the pattern. Every layer changes these numbers by a rule of a few
lines; composing the rules gives the numbers of a paper's figure from its layer list alone.

>>> x = Axis.of_input(572).conv(3).conv(3)
>>> x.size, x.offset, x.receptive_field
(568, Fraction(2, 1), 5)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ushape.errors import SizeError
from ushape.geometry.footprint import Footprint


@dataclass(frozen=True)
class Axis:
    """Size of one axis of a feature map, where its pixels lie in the input, and what of the input they depend on."""

    size: int
    stride: Fraction
    offset: Fraction
    first: tuple[int, ...]
    last: tuple[int, ...]

    @staticmethod
    def of_input(size: int) -> Axis:
        return Axis(size, stride=Fraction(1), offset=Fraction(0), first=(0,), last=(0,))

    def depends_on(self, i: int) -> tuple[int, int]:
        """The first and the last input pixel that pixel i depends on; those of padding lie outside the input.

        >>> Axis.of_input(8).pool(2).up(2).depends_on(3)
        (2, 3)
        """
        turns, phase = divmod(i, len(self.first))
        shift = int(turns * len(self.first) * self.stride)
        return self.first[phase] + shift, self.last[phase] + shift

    @property
    def receptive_field(self) -> int:
        """How many input pixels, at most, one pixel of this map depends on."""
        return max(last - first for first, last in zip(self.first, self.last, strict=True)) + 1

    def conv(self, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> Axis:
        """After a convolution; the input of the padding counts as reached."""
        return self._windowed(dilation * (kernel - 1), stride, padding, extra=0)

    def pool(self, kernel: int = 2, *, partial: Literal["refuse", "drop", "keep"] = "refuse") -> Axis:
        """After pooling with stride = kernel.

        `partial` says what becomes of a last, incomplete window: U-Net 2015 has the input chosen so that there is none
        ("refuse", SizeError), PyTorch drops it, Caffe and U²-Net keep it.
        """
        if partial == "refuse" and self.size % kernel:
            raise SizeError(f"A map of {self.size} pixels does not divide into pools of {kernel}.")
        return self._windowed(kernel - 1, kernel, 0, extra=kernel - 1 if partial == "keep" else 0)

    def up(self, factor: int = 2, *, kernel: int | None = None) -> Axis:
        """After a transposed convolution without padding; its default kernel equals its stride (U-Net's up-conv)."""
        kernel = kernel or factor
        stride = self.stride / factor
        phases = range(len(self.first) * factor)
        return Axis(
            size=(self.size - 1) * factor + kernel,
            stride=stride,
            offset=self.offset - Fraction(kernel - 1, 2) * stride,
            first=tuple(self.depends_on(-((kernel - 1 - j) // factor))[0] for j in phases),
            last=tuple(self.depends_on(j // factor)[1] for j in phases),
        )

    def bilinear(self, factor: int = 2) -> Axis:
        """After enlarging by linear interpolation between pixel centres (`align_corners=False`), edges repeated."""
        stride = self.stride / factor
        phases = range(len(self.first) * factor)
        places = [Fraction(2 * j + 1 - factor, 2 * factor) for j in phases]  # in pixels of this map
        return Axis(
            size=self.size * factor,
            stride=stride,
            offset=self.offset - Fraction(factor - 1, 2) * stride,
            first=tuple(self.depends_on(math.floor(place))[0] for place in places),
            last=tuple(self.depends_on(math.ceil(place))[1] for place in places),
        )

    def cropped(self, other: Axis) -> Axis:
        """The part of this map that lies on `other`."""
        crop = self.crop_onto(other)
        phases = range(len(self.first))
        return Axis(
            other.size,
            self.stride,
            other.offset,
            first=tuple(self.depends_on(i + crop)[0] for i in phases),
            last=tuple(self.depends_on(i + crop)[1] for i in phases),
        )

    def crop_onto(self, other: Axis) -> int:
        """Pixels to cut at the low side so that this map lies on `other`; SizeError where no whole number fits."""
        if self.stride != other.stride:
            raise SizeError(f"Maps with strides {self.stride} and {other.stride} cannot be laid on each other.")
        crop = (other.offset - self.offset) / self.stride
        if crop.denominator != 1 or crop < 0 or crop + other.size > self.size:
            raise SizeError(f"A map of {self.size} pixels has no place for {other.size} pixels at offset {crop}.")
        return int(crop)

    def join(self, other: Axis) -> Axis:
        """This map and `other`, cropped onto it, side by side: it depends on what either depends on."""
        crop = other.crop_onto(self)
        phases = range(math.lcm(len(self.first), len(other.first)))
        return Axis(
            self.size,
            self.stride,
            self.offset,
            first=tuple(min(self.depends_on(i)[0], other.depends_on(i + crop)[0]) for i in phases),
            last=tuple(max(self.depends_on(i)[1], other.depends_on(i + crop)[1]) for i in phases),
        )

    def _windowed(self, reach: int, stride: int, padding: int, *, extra: int) -> Axis:
        size = (self.size + 2 * padding - reach - 1 + extra) // stride + 1
        if size < 1:
            raise SizeError(f"{self.size} pixels are too few for a window of {reach + 1} with padding {padding}.")
        starts = [j * stride - padding for j in range(math.lcm(len(self.first), stride) // stride)]
        return Axis(
            size=size,
            stride=self.stride * stride,
            offset=self.offset + (Fraction(reach, 2) - padding) * self.stride,
            first=tuple(self.depends_on(i)[0] for i in starts),  # neither falls from one pixel to the next, in any map,
            last=tuple(self.depends_on(i + reach)[1] for i in starts),  # so the outermost pixels of the window decide
        )


def footprint_of(
    network: Callable[[Axis], Axis], *, multiple: int, padded: bool, sees_edges: bool = False, search: int = 4096
) -> Footprint:
    """The footprint of a network given as a function on axes, found by trying inputs from the smallest up.

    An input is legal where every pooling sees whole windows; elsewhere the function raises SizeError. Padded networks
    are laid on whole steps of the grid, whatever else they could take, so that flipped tiles lie on it too.
    """
    for size in range(multiple if padded else 1, search):
        try:
            end = network(Axis.of_input(size))
        except SizeError:
            continue
        margin = _padded_margin(end, multiple) if padded else _valid_margin(end, size)
        return Footprint(margin, multiple, smallest_input=size, padded=padded, sees_edges=sees_edges)
    raise SizeError(f"No input below {search} pixels passes this network.")


def _valid_margin(end: Axis, input_size: int) -> int:
    margin = int(end.offset)
    assert end.stride == 1 and end.offset == margin and end.size == input_size - 2 * margin, end
    return margin


def _padded_margin(end: Axis, multiple: int) -> int:
    """How far an answer that begins and ends on the pooling grid looks beyond itself, brought up to that grid.

    What a pixel depends on never falls from one to the next: the first looks farthest down, the last farthest up.
    """
    last = multiple - 1
    beyond = max(-end.depends_on(0)[0], end.depends_on(last)[1] - last)
    return -(-beyond // multiple) * multiple
