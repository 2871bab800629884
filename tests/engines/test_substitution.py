from __future__ import annotations

import pytest
import torch
from torch import nn

from ushape.engines import minimal_filtering, substitution
from ushape.engines.agreement import agreement, noise
from ushape.engines.engine import build
from ushape.engines.minimal_filtering import MinimalConvolution
from ushape.engines.substitution import MOST_NOISE, filter_bytes, minimal
from ushape.models import build as build_model
from ushape.models.segmenter import Segmenter
from ushape.predict.row_stream import RowStream

PLENTY = 1 << 30
NETWORKS = {
    "unet": {"depth": 2, "width": 16},
    "unetpp": {"depth": 2, "width": 16, "normalisation": "batch"},
    "resunet": {"width": 16},
    "fcn8s": {"width": 16},
    "u2netp": {},
}


@pytest.fixture(autouse=True)
def _it_pays(monkeypatch: pytest.MonkeyPatch):
    """Whatever the clock says here."""
    monkeypatch.setattr(substitution, "_gain", lambda made, channels: 2.0)


def network(name: str, **options: object) -> Segmenter:
    torch.manual_seed(0)
    net = build_model(name, in_channels=1, classes=2, **options).eval()
    for module in net.modules():  # FCN's scores begin at 0: all answers would be
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.kaiming_normal_(module.weight)
    return net


def minimal_layers(net: nn.Module) -> list[MinimalConvolution]:
    return [module for module in net.modules() if isinstance(module, MinimalConvolution)]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_computes_the_same(name: str):
    net = network(name, **NETWORKS[name])
    x = noise(net, net.footprint.smallest_input, net.footprint.smallest_input + net.footprint.multiple)
    with torch.inference_mode():
        expected = net(x)
        quick = minimal(net, PLENTY)
        assert len(minimal_layers(quick)) >= 5
        assert agreement(expected, quick(x)).difference < 1e-4
        assert torch.equal(net(x), expected), "the network itself stays what it is"


def test_a_rectifier_behind_a_convolution_is_part_of_it():
    quick = minimal(network("unet", depth=1, width=16), PLENTY)
    assert sum(layer.rectified for layer in minimal_layers(quick)) == 5
    assert sum(isinstance(module, nn.ReLU) for module in quick.modules()) == 1, (
        "that behind the image's own convolution"
    )


def test_filters_take_no_more_than_they_may_and_fine_maps_come_first():
    net = network("unet", depth=2, width=16)
    whole = filter_bytes(minimal(net, PLENTY))
    convolutions = [
        m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.in_channels > 1
    ]
    assert whole == sum(4 * convolution.weight.nbytes for convolution in convolutions)
    some = minimal(net, whole // 2)
    assert 0 < filter_bytes(some) <= whole // 2
    assert isinstance(some.contracting[0][2], MinimalConvolution)
    assert isinstance(some.contracting[2][2], nn.Conv2d)
    assert minimal(net, 0) is net


def test_where_it_is_not_faster_nothing_is_put_in_place(monkeypatch: pytest.MonkeyPatch):
    net = network("unet", depth=1, width=16)
    monkeypatch.setattr(substitution, "_gain", lambda made, channels: 1.1)
    assert minimal(net, PLENTY) is net


def test_a_network_whose_answer_would_change_stays_as_it_is(monkeypatch: pytest.MonkeyPatch):
    net, filters = network("unet", depth=1, width=16), minimal_filtering.minimal_filters
    for wrong, taken in ((0.01 * MOST_NOISE, True), (100 * MOST_NOISE, False)):
        monkeypatch.setattr(minimal_filtering, "minimal_filters", lambda weight, w=wrong: filters(weight) * (1 + w))
        assert (minimal(net, PLENTY) is not net) == taken


def test_it_goes_by_rows_of_any_number():
    net = network("unet", depth=2, width=16, padding="same")
    quick, width = minimal(net, PLENTY), net.footprint.input_for(24)
    image = torch.randn(1, 1, net.footprint.input_for(40), width)
    with torch.inference_mode():
        exact = net.exact(image)
        for rows in (1, 5, 16):
            stream = RowStream(quick, width)
            answers = [stream.push(image[:, :, top : top + rows]) for top in range(0, image.shape[2], rows)]
            streamed = torch.cat([answer for answer in answers if answer is not None], dim=2)[:, :, :40]
            assert (streamed - exact).abs().max() < 1e-4 * exact.std()


def test_the_engine_takes_it_in_float32_alone():
    net = network("unet", depth=1, width=16)
    assert minimal_layers(build("torch", net).model)
    assert not minimal_layers(build("torch", net, filter_bytes=0).model)
    assert not minimal_layers(build("torch", net, "bfloat16").model)


def test_the_clock_finds_that_many_channels_gain_more_than_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    state = torch.random.get_rng_state()
    assert 0.1 < substitution._gain(32, 32) < 100
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers"
