"""Skips cut: one that is not used changes nothing, one that is used becomes its mean, and nothing stays behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ushape.models.unet import UNet
from ushape.study.cuts import Place, cut, skips_of


def network(**options: object) -> UNet:
    torch.manual_seed(0)
    net = UNet(**{"width": 3, "depth": 2, "padding": "same", "normalisation": "batch", **options}).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
    return net


def image() -> Tensor:
    return torch.randn(2, 1, 16, 20, generator=torch.Generator().manual_seed(1))


def test_every_skip_of_a_network_is_named():
    assert skips_of(network()) == [Place("long", 0), Place("long", 1)]
    assert skips_of(network(skip="none")) == []
    blocks = [Place("down", 0), Place("down", 1), Place("down", 2), Place("up", 1), Place("up", 0)]
    assert skips_of(network(skip="none", residual=True)) == blocks
    assert skips_of(network(residual=True)) == [Place("long", 0), Place("long", 1), *blocks]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("level", [0, 1])
def test_a_copy_that_the_decoder_does_not_look_at_can_be_cut(level, padding):
    net, x = network(padding=padding), torch.randn(1, 1, 44, 48)
    copied = 3 * 2**level
    net.expanding[level][0].weight.data[:, :copied] = 0
    expected = net(x)
    with cut(net, Place("long", level)):
        assert torch.equal(net(x), expected)


@pytest.mark.parametrize("skip", ["copy", "add"])
@pytest.mark.parametrize("level", [0, 1])
def test_what_a_long_skip_carries_becomes_the_mean_of_each_of_its_channels(skip, level):
    net, x = network(skip=skip), image()
    seen: dict[str, list[Tensor]] = {"copy": [], "up": [], "joined": []}
    net.contracting[level].register_forward_hook(lambda _m, _x, y: seen["copy"].append(y.detach()))
    net.up_convolutions[level].register_forward_hook(lambda _m, _x, y: seen["up"].append(y.detach()))
    with cut(net, Place("long", level)):
        net.expanding[level].register_forward_pre_hook(lambda _m, x: seen["joined"].append(x[0].detach()))
        net(x)
    (copy,), (up,), (joined,) = seen.values()
    mean = copy.mean(dim=(2, 3), keepdim=True).expand_as(copy)
    expected = torch.cat([mean, up], dim=1) if skip == "copy" else mean + up
    assert torch.allclose(joined, expected, atol=1e-5)


@pytest.mark.parametrize("place", skips_of(network(residual=True)))
def test_every_skip_matters_to_a_network_of_random_weights_and_is_whole_again_afterwards(place):
    net, x = network(residual=True), image()
    expected = net(x)
    with cut(net, place):
        assert not torch.allclose(net(x), expected, atol=1e-3)
    assert torch.equal(net(x), expected)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_shortcut_in_a_block_becomes_its_mean():
    net, x = network(residual=True), image()
    block, seen = net.contracting[1], []
    block.register_forward_pre_hook(lambda _m, x: seen.append(x[0].detach()))
    with cut(net, Place("down", 1)):
        block.register_forward_hook(lambda _m, _x, y: seen.append(y.detach()))
        net(x)
    given, made = seen
    passed = nn.functional.pad(given.mean(dim=(2, 3), keepdim=True), (0, 0, 0, 0, 0, 3))
    assert torch.allclose(made, torch.relu(block.branch(given) + passed), atol=1e-5)


def test_a_map_that_is_its_own_mean_is_not_missed():
    net, flat = network(residual=True), torch.ones(1, 1, 16, 16)
    with cut(net, Place("down", 0)):  # the image itself is what the first shortcut carries
        cut_answer = net(flat)
    assert torch.allclose(cut_answer, net(flat), atol=1e-5)


def test_an_error_within_leaves_the_network_whole():
    net = network()
    with pytest.raises(RuntimeError), cut(net, Place("long", 1)):
        raise RuntimeError
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
