"""ResUNet 2018: the paper's figures, its units, and that what the axis says is true of the tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ushape.checkpoint import Trained
from ushape.errors import RecipeError, SizeError
from ushape.geometry.axis import Axis
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models.anatomy import dissect
from ushape.models.resunet import ResidualUnit, ResUNet, along_axis
from ushape.predict.tiled import Predictor
from ushape.recipe import ModelRecipe, Recipe


def without_values(*args: int, **options: int) -> ResUNet:
    """A network of shapes only: full width costs nothing."""
    with torch.device("meta"):
        return ResUNet(*args, **options)


def drawn(*args: int, **options: int) -> ResUNet:
    """A small network whose normalisations have seen something."""
    torch.manual_seed(5)
    net = ResUNet(*args, **{"width": 3, **options})
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    net.head.weight.data.mul_(0.1)
    return net.eval()


def test_the_published_network_has_7_8_million_parameters():
    assert without_values().parameter_count == 7_789_313
    assert (without_values().in_channels, without_values().classes) == (3, 1)


def test_1x1_projections_would_make_8_2_million_of_them():
    units = [m for m in without_values().modules() if isinstance(m, ResidualUnit)]
    ends = [(unit.branch[0].num_features, unit.shortcut.channels) for unit in units[1:]]
    projections = sum(a * b + b for a, b in [(3, 64), *ends])
    assert without_values().parameter_count + projections == 8_220_993
    assert without_values().parameter_count + projections + sum(2 * b for _, b in [(3, 64), *ends]) == 8_223_809


def test_seven_units_with_the_sizes_and_channels_of_table_1():
    convolutions = [layer for layer in dissect(without_values(), 224).layers if "convolution" in layer.kind]
    encoding = [(224, 64), (224, 64), (112, 128), (112, 128), (56, 256), (56, 256)]
    bridge = [(28, 512), (28, 512)]
    decoding = [(56, 256), (56, 256), (112, 128), (112, 128), (224, 64), (224, 64)]
    found = [(layer.output_size[0], layer.out_channels) for layer in convolutions]
    assert found == [*encoding, *bridge, *decoding, (224, 1)]
    assert [layer.kind for layer in convolutions] == ["3×3 convolution"] * 14 + ["1×1 convolution"]
    joined = [la.in_channels for la in dissect(without_values(), 224).layers if la.kind == "maps side by side"]
    assert joined == [256 + 512, 128 + 256, 64 + 128]
    assert sum(isinstance(m, ResidualUnit) for m in without_values().modules()) == 7


def test_a_unit_is_activated_before_it_is_convolved_but_for_the_first():
    once = [nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
    assert [type(m) for m in ResidualUnit(2, 4).branch] == once * 2
    assert [type(m) for m in ResidualUnit(2, 4, activated=False).branch] == (once * 2)[2:]


def test_a_unit_whose_branch_answers_0_is_its_shortcut():
    unit = ResidualUnit(3, 5, stride=2).eval()
    nn.init.zeros_(unit.branch[-1].weight)
    nn.init.zeros_(unit.branch[-1].bias)
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    answer = unit(x)
    assert torch.equal(answer[:, :3], x[..., ::2, ::2])
    assert not answer[:, 3:].any()
    assert torch.equal(x, before)


def test_pixels_are_repeated_on_the_way_up_beside_the_copy():
    net, seen = drawn(1, 1), []
    net.bridge.register_forward_hook(lambda _m, _x, y: seen.append(y))
    net.encoding[2].register_forward_hook(lambda _m, _x, y: seen.append(y))
    net.decoding[0].register_forward_pre_hook(lambda _m, x: seen.append(x[0]))
    net(torch.randn(1, 1, 16, 24))
    copy, lowest, joined = seen
    assert torch.equal(joined[:, : copy.shape[1]], copy)
    repeated = lowest.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    assert torch.equal(joined[:, copy.shape[1] :], repeated)


def test_weights_are_drawn_for_the_nodes_that_come_in_and_biases_are_0():
    torch.manual_seed(0)
    for layer in (m for m in ResUNet(width=16).modules() if isinstance(m, nn.Conv2d)):
        incoming = layer.in_channels * math.prod(layer.kernel_size)
        error = 5 / math.sqrt(layer.weight.numel())
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / incoming), rel=error)
        assert not layer.bias.any()


def test_the_footprint_is_that_of_three_strides():
    footprint = without_values(width=1).footprint
    assert (footprint.margin, footprint.multiple, footprint.smallest_input) == (40, 8, 8)
    assert footprint.padded
    for size in range(8, 120, 8):
        assert along_axis(Axis.of_input(size)).size == size


def reached_from(net: ResUNet, size: int, pixel: tuple[int, int]) -> Tensor:
    """(h, w) booleans: which logits move with this pixel of an input of zeros; with every weight 1 nothing cancels."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    x = torch.zeros(1, 1, size, size, dtype=torch.float64)
    x[0, 0, pixel[0], pixel[1]] = 1
    with torch.inference_mode():
        return net.double()(x)[0, 0] > 0


def test_logits_depend_on_exactly_the_pixels_that_the_axis_says():
    net, size = ResUNet(1, 1, width=1).eval(), 96
    end = along_axis(Axis.of_input(size))
    rows = [end.depends_on(i) for i in range(size)]
    for pixel in zip(range(0, size, 5), reversed(range(0, size, 5)), strict=True):
        y, x = (torch.tensor([first <= p <= last for first, last in rows]) for p in pixel)
        assert torch.equal(reached_from(net, size, pixel), y[:, None] & x[None, :])


@pytest.mark.parametrize("flips", [False, True], ids=["plain", "flips"])
@pytest.mark.parametrize("shape", [(1, 1), (41, 27), (16, 60)])
def test_the_tile_size_never_changes_the_answer(shape, flips):
    net = drawn(1, 3).placed(torch.device("cpu"))
    labels = Labels(("background", "road", "path"), (0, 1, 2))
    trained = Trained(net, labels, Intensity((120.0,), (70.0,), "uint8"), Recipe(ModelRecipe("resunet")))
    source = from_array(np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8))
    whole, probability = Predictor(trained, flips=flips, keep_px=1 << 20).whole(source)
    for keep_px in (16, 43):
        classes, tiled = Predictor(trained, flips=flips, keep_px=keep_px).whole(source)
        assert np.abs(tiled - probability).max() < 1e-5
        assert (classes == whole).all()


def test_a_size_that_8_does_not_divide_is_refused_with_the_nearest():
    with pytest.raises(SizeError, match=r"100 pixels.*8 \+ n·8.*96 or 104"):
        drawn(1, 1)(torch.zeros(1, 1, 96, 100))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in_channels": 0}, "in_channels = 0; it takes whole numbers from 1 up"),
        ({"classes": 1.5}, r"classes = 1\.5; it takes whole numbers"),
        ({"width": "64"}, "width = '64'; it takes whole numbers"),
        ({"width": 1025}, "width = 1025, which makes 8200 channels in its bridge.*Choose a width up to 1024"),
    ],
)
def test_values_that_cannot_be_are_refused_with_those_that_can(options, words):
    with pytest.raises(RecipeError, match=words):
        ResUNet(**options)
