from __future__ import annotations

import pytest
import torch
from torch import nn

from ushape.engines.folding import folded
from ushape.models import build
from ushape.models.segmenter import Segmenter

NORMALISED = {
    "unet": {"normalisation": "batch", "depth": 2},
    "unetpp": {"normalisation": "batch", "depth": 2},
    "resunet": {},
    "u2netp": {},
}
IN_FRONT = {"resunet": 9}  # normalisations before the convolution, or after a sum: they are no part of one before them


def trained(name: str, **options: object) -> Segmenter:
    """A network whose normalisations have seen something: means, deviations, scales and shifts of their own."""
    torch.manual_seed(0)
    net = build(name, in_channels=2, classes=3, width=4, **options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.3, 3)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return net.eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("name", NORMALISED)
def test_the_folded_network_computes_the_same(name):
    net = trained(name, **NORMALISED[name])
    before, footprint = norms(net), net.footprint
    x = torch.randn(1, 2, footprint.input_for(6), footprint.input_for(6) + footprint.multiple)
    with torch.inference_mode():
        expected, found = net(x), folded(net)(x)
    assert (found - expected).abs().max() < 1e-4 * expected.std()
    assert torch.equal(net(x), expected)
    assert norms(net) == before > norms(folded(net))
    assert norms(folded(net)) == 0 or name in IN_FRONT


def test_a_network_without_normalisation_is_itself():
    net = build("unet", depth=1, width=4)
    assert folded(net) is net


def test_a_network_in_training_is_folded_as_it_predicts_and_goes_on_training():
    net = trained("unet", normalisation="batch", depth=1)
    x = torch.randn(1, 2, 24, 24)
    with torch.inference_mode():
        expected = net(x)
        found = folded(net.train())(x)
    assert (found - expected).abs().max() < 1e-4 * expected.std()
    assert all(module.training for module in net.modules())
