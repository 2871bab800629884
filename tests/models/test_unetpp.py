"""UNet++ 2018: the numbers of paper and authors' code, pruning to the last bit, then what each option changes."""

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
from ushape.models.unet import UNet
from ushape.models.unetpp import Node, UNetPP, grid, of_mean_probability
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def without_values(*args: int, **options: object) -> UNetPP:
    """A network of shapes only: full width costs nothing."""
    with torch.device("meta"):
        return UNetPP(*args, **options)


def small(**options: object) -> UNetPP:
    """Random weights and, where there is batch normalisation, statistics as a training leaves them."""
    torch.manual_seed(0)
    net = UNetPP(**{"width": 4, "depth": 3, **options}).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return net


def noise(net: UNetPP, height: int = 48, width: int = 64) -> Tensor:
    return torch.randn(2, net.in_channels, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("in_channels", "deep_supervision", "parameters"),
    [(1, False, 9_041_601), (1, True, 9_041_700), (3, False, 9_042_177)],
)
def test_the_published_network_has_9_million_parameters(in_channels, deep_supervision, parameters):
    assert without_values(in_channels, 1, deep_supervision=deep_supervision).parameter_count == parameters


@pytest.mark.parametrize(("level", "parameters"), [(1, 100_961), (2, 511_105), (3, 2_204_961), (4, 9_041_601)])
def test_each_level_has_the_parameters_of_the_published_one(level, parameters):
    assert without_values(1, 1).pruned(level).parameter_count == parameters


@pytest.mark.parametrize(("width", "parameters"), [(32, 7_759_521), (35, 9_282_246)])
def test_the_u_nets_that_the_paper_compares_with_are_ours(width, parameters):
    with torch.device("meta"):
        assert UNet(1, 1, width=width, padding="same").parameter_count == parameters


def test_every_node_joins_all_nodes_to_its_left_and_the_one_below():
    net = without_values()
    seen: dict[str, tuple[int, ...]] = {}
    for name, node in net.nodes.items():
        node.register_forward_hook(lambda _m, x, y, name=name: seen.update({name: (*x[0].shape[1:], y.shape[1])}))
    outputs = net.outputs(torch.empty(1, 1, 96, 128, device="meta"))
    channels = [32, 64, 128, 256, 512]
    assert list(seen) == [f"X{i}_{j}" for j in range(5) for i in range(5 - j)]
    for i, j in grid(4):
        pooled = channels[i - 1] if i else 1
        assert seen[f"X{i}_{j}"] == ((j + 1) * channels[i] if j else pooled, 96 >> i, 128 >> i, channels[i])
    assert [o.shape for o in outputs] == [(1, 2, 96, 128)] * 4


def test_layers_are_those_of_the_paper():
    net = without_values()
    layers = [m for m in net.modules() if isinstance(m, CONVOLUTIONS)]
    assert [m.kernel_size for m in layers].count((3, 3)) == 30
    assert [type(m) for m in layers].count(nn.ConvTranspose2d) == 10
    assert list(net.heads) == ["X0_1", "X0_2", "X0_3", "X0_4"]
    assert all(head.kernel_size == (1, 1) for head in net.heads.values())
    plain = Node(1, 2, normalisation="none", dropout=0.5)
    assert [type(m) for m in plain] == [nn.Conv2d, nn.ReLU, nn.Dropout] * 2
    batch = Node(1, 2, normalisation="batch", dropout=0.25)
    assert [type(m) for m in batch] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout] * 2
    assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} == {0.5}


def test_weights_are_drawn_for_relu_and_biases_are_zero():
    torch.manual_seed(0)
    for layer in (m for m in UNetPP(width=16, depth=2).modules() if isinstance(m, CONVOLUTIONS)):
        incoming = layer.in_channels * (math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1)
        error = 5 / math.sqrt(layer.weight.numel())  # five standard errors
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / incoming), rel=error)
        assert not layer.bias.any()


@pytest.mark.parametrize(("depth", "margin"), [(1, 8), (2, 24), (3, 48), (4, 96), (5, 192)])
def test_the_footprint_is_that_of_the_padded_u_net(depth, margin):
    footprint = without_values(depth=depth, width=1).footprint
    with torch.device("meta"):
        assert footprint == UNet(depth=depth, width=1, padding="same").footprint
    assert (footprint.margin, footprint.multiple, footprint.padded) == (margin, 2**depth, True)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_logits_depend_on_exactly_the_pixels_that_the_axis_says(depth):
    """With every weight 1 and every bias 0 nothing cancels and no maximum hides a pixel."""
    net = small(classes=1, width=1, depth=depth, answer="fast").double()
    for module in net.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.ones_(module.weight)
    size = 6 * 2**depth
    end = net.along_axis(Axis.of_input(size))
    rows = [end.depends_on(i) for i in range(end.size)]
    for y, x in zip(range(0, size, 5), reversed(range(0, size, 5)), strict=True):
        image = torch.zeros(1, 1, size, size, dtype=torch.float64)
        image[0, 0, y, x] = 1
        down, across = (torch.tensor([first <= p <= last for first, last in rows]) for p in (y, x))
        with torch.inference_mode():
            assert torch.equal(net(image)[0, 0] > 0, down[:, None] & across[None, :])


@pytest.mark.parametrize("normalisation", ["none", "batch"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_pruned_network_is_its_head_to_the_last_bit(normalisation, classes, channels_last):
    net = small(in_channels=2, classes=classes, normalisation=normalisation)
    if channels_last:
        net = net.placed(torch.device("cpu"))
    with torch.inference_mode():
        for x in (noise(net), noise(net, 8, 24)):
            heads = net.outputs(x)
            for level in (1, 2, 3):
                pruned = net.pruned(level)
                assert torch.equal(pruned(x), heads[3 - level])
                assert (pruned.depth, pruned.footprint.multiple, pruned.training) == (level, 2**level, False)
                assert len(pruned.outputs(x)) == 1


def test_pruning_leaves_the_network_and_the_random_numbers_as_they_were():
    net = small()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    state = torch.get_rng_state()
    pruned = net.pruned(1)
    nn.init.zeros_(pruned.heads["X0_1"].weight)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.requires_grad for p in pruned.parameters())
    assert net.train().pruned(2).training


@pytest.mark.parametrize("level", [0, 4, -1])
def test_a_level_that_does_not_exist_is_refused(level):
    with pytest.raises(RecipeError, match=f"no level {level} to be pruned to; it has the levels 1 to 3"):
        small().pruned(level)


def test_a_single_head_cannot_be_pruned():
    with pytest.raises(RecipeError, match=r"single head, at level 3.*without deep supervision, or is pruned already"):
        small(deep_supervision=False).pruned(2)
    with pytest.raises(RecipeError, match="single head, at level 2"):
        small().pruned(2).pruned(1)


def test_the_accurate_answer_is_the_mean_of_the_heads_probabilities():
    for net in (small(classes=3), small(classes=2)):
        x = noise(net)
        mean = torch.stack([head.softmax(dim=1) for head in net.outputs(x)]).mean(dim=0)
        assert torch.allclose(net(x).softmax(dim=1), mean, atol=1e-6)
    net = small(classes=1)
    x = noise(net)
    mean = torch.stack([head.sigmoid() for head in net.outputs(x)]).mean(dim=0)
    assert net(x).shape == mean.shape
    assert torch.allclose(net(x).sigmoid(), mean, atol=1e-6)


def test_no_certainty_is_too_large_for_the_mean():
    far = [torch.full((1, 1, 1, 1), z) for z in (200.0, -200.0, 300.0, -200.0)]
    assert of_mean_probability(far).item() == pytest.approx(0)  # two heads say yes, two no
    assert of_mean_probability(far[:1] * 4).item() == pytest.approx(200)
    both = of_mean_probability([torch.tensor([-400.0, 400.0]).reshape(1, 2, 1, 1)] * 4)
    assert both.flatten().tolist() == pytest.approx([0, 800])


def test_the_fast_answer_is_the_last_head():
    net, single = small(answer="fast"), small(deep_supervision=False)
    x = noise(net)
    assert torch.equal(net(x), net.outputs(x)[0])
    assert torch.equal(single(x), single.outputs(x)[0])
    assert (len(net.outputs(x)), len(single.outputs(x))) == (3, 1)


@pytest.mark.parametrize("answer", ["accurate", "fast"])
def test_tiles_compute_what_one_pass_computes(answer):
    net = small(classes=3, depth=2, normalisation="batch", answer=answer)
    for head in net.heads.values():
        head.weight.data.mul_(0.3)  # logits of a few units, as trained networks have, rather than of tens
    trained = Trained(net, Labels(("none", "a", "b"), (0, 1, 2)), Intensity((120.0,), (70.0,), "uint8"), Recipe())
    for shape in [(1, 1), (5, 40), (61, 45)]:
        image = from_array(np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8), "noise")
        classes, probability = Predictor(trained, keep_px=1000).whole(image)
        for keep_px in (8, 23):
            tiled = Predictor(trained, keep_px=keep_px).whole(image)
            assert np.abs(tiled[1] - probability).max() < 1e-5
            assert (tiled[0] == classes).all()


def test_an_illegal_size_is_refused_with_the_nearest_legal_ones():
    with pytest.raises(SizeError, match=r"100 pixels.*16 .*96 or 112"):
        without_values(depth=4)(torch.zeros(1, 1, 96, 100))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in_channels": 0}, "in_channels = 0; it takes whole numbers from 1 up"),
        ({"classes": -1}, "classes = -1; it takes whole numbers from 1 up"),
        ({"depth": 0}, "depth = 0; it takes whole numbers"),
        ({"width": "64"}, "width = '64'; it takes whole numbers"),
        ({"depth": 40}, r"width = 32 and depth = 40.*at most 8192 are built. Choose a smaller"),
        ({"depth": 10**9, "width": 1}, "depth = 1000000000"),
        ({"normalisation": "instance"}, "normalisation = 'instance'; it takes one of none, batch"),
        ({"answer": "mean"}, "answer = 'mean'; it takes one of accurate, fast"),
        ({"deep_supervision": "yes"}, "deep_supervision = 'yes'; it takes true or false"),
        ({"dropout": 1.0}, r"dropout = 1\.0; it takes a probability from 0 up to, not including, 1"),
    ],
)
def test_values_that_cannot_be_are_refused_with_those_that_can(options, words):
    with pytest.raises(RecipeError, match=words):
        UNetPP(**options)
