"""Gradients that can be computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ushape.data.patches import Batch
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.models.segmenter import Segmenter
from ushape.models.unet import UNet
from ushape.study.gradients import gradient_norms


class Product(Segmenter):
    """Each pixel times a, plus c, times b: two 1×1 convolutions, the second without a bias."""

    in_channels, classes = 1, 1

    def __init__(self, a: float, c: float, b: float) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1, bias=False)
        for parameter, value in zip(self.parameters(), (a, c, b), strict=True):
            nn.init.constant_(parameter, value)

    def along_axis(self, x: Axis) -> Axis:
        return x

    @property
    def footprint(self) -> Footprint:
        return Footprint(margin=0, multiple=1, smallest_input=1, padded=True)

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.second(self.first(x))]


def batch(value: int) -> Batch:
    return Batch(torch.full((2, 1, 3, 3), float(value)), torch.zeros((2, 3, 3), dtype=torch.uint8), None)


def mean(outputs: list[Tensor], _: Batch) -> Tensor:
    return outputs[0].mean()


def test_of_a_product_each_factor_has_the_other_as_its_gradient():
    # b (a x + c): by a it is b x, by c it is b, by b it is a x + c.
    norms = gradient_norms(Product(a=2, c=1, b=5), ["first", "second"], [batch(3)], mean)
    assert norms == pytest.approx([math.hypot(5 * 3, 5), 2 * 3 + 1])


def test_of_several_batches_it_is_the_mean_of_their_norms():
    norms = gradient_norms(Product(a=2, c=1, b=5), ["second"], [batch(3), batch(-3)], mean)
    assert norms == pytest.approx([(7 + 5) / 2])  # of 7 and −5; the norm of their mean would be 1


def test_a_network_is_left_as_it_was_and_answers_the_same_twice():
    torch.manual_seed(0)
    net = UNet(width=2, depth=1, padding="same", normalisation="batch", dropout=0.5).eval()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    levels = ["contracting.0", "contracting.1"]
    images = [Batch(torch.randn(1, 1, 8, 8), torch.zeros((1, 8, 8), dtype=torch.uint8), None)]

    def squares(outputs: list[Tensor], _: Batch) -> Tensor:
        return outputs[0].square().mean()

    assert gradient_norms(net, levels, images, squares) == gradient_norms(net, levels, images, squares)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert not net.training
