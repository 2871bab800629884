from __future__ import annotations

import pytest
import torch

from ushape.engines import onnx_runtime, open_vino
from ushape.engines.agreement import noise
from ushape.engines.engine import ENGINES, Engine, Network, build
from ushape.engines.onnx_graph import onnx_graph
from ushape.errors import RecipeError
from ushape.models import MODELS
from ushape.models import build as build_model
from ushape.models.segmenter import Segmenter
from ushape.models.unet import UNet

FOREIGN = ("onnxruntime", "openvino")


def normalised_unet() -> Segmenter:
    torch.manual_seed(0)
    net = UNet(2, 3, depth=1, width=4, normalisation="batch")
    with torch.inference_mode():
        net.train()(torch.randn(2, 2, 30, 30))  # so that means and deviations are not 0 and 1
    return net.eval()


@pytest.fixture(scope="module")
def engines() -> tuple[Segmenter, dict[str, Engine]]:
    """A network and all engines of it; its graph is made once, which takes longest."""
    net = normalised_unet()
    graph = onnx_graph(net)
    with pytest.MonkeyPatch.context() as patch:
        for module in (onnx_runtime, open_vino):
            patch.setattr(module, "onnx_graph", lambda _: graph)
        return net, {name: build(name, net) for name in ENGINES}


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_computes_the_network_at_every_legal_size(engines, name):
    net, engine = engines[0], engines[1][name]
    assert engine.name == name
    for height, width in [(20, 20), (22, 36), (64, 28)]:
        x = noise(net, height, width)
        with torch.inference_mode():
            found, expected = engine(x), net(x)
        assert found.shape == (1, 3, height - 16, width - 16)
        assert (found - expected).abs().max() < 1e-4 * expected.std()
        assert torch.equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("name", FOREIGN)
def test_an_answer_is_not_written_over_by_the_next(engines, name):
    net, engine = engines[0], engines[1][name]
    first = engine(noise(net, 20, 24))
    kept = first.clone()
    engine(noise(net, 24, 20))
    engine(-noise(net, 20, 24))
    assert torch.equal(first, kept)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.axes == 2])
@pytest.mark.parametrize("engine", FOREIGN)
def test_foreign_engines_compute_every_network(name, engine):
    torch.manual_seed(0)
    net = build_model(name, in_channels=2, classes=3, width=4).eval()
    for module in net.modules():  # FCN's scores begin at 0: all answers would be
        if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
            torch.nn.init.kaiming_normal_(module.weight)
    built, smallest = build(engine, net), net.footprint.smallest_input
    for rows, columns in [(0, 0), (1, 4), (3, 2)]:
        x = noise(net, smallest + rows * net.footprint.multiple, smallest + columns * net.footprint.multiple)
        with torch.inference_mode():
            found, expected = built(x), net(x)
        assert (found - expected).abs().max() < 1e-4 * expected.std()


def test_the_network_computes_with_the_weights_that_it_has_then_and_stays_in_its_mode():
    net = normalised_unet().train()
    engine, x = Network(net), noise(net, 20, 24)
    with torch.inference_mode():
        before = engine(x)
        net.head.bias += 1
        assert torch.allclose(engine(x), before + 1, atol=1e-5)
    assert all(module.training for module in net.modules())


def test_bfloat16_is_for_pytorch():
    net = UNet(depth=1, width=4).eval()
    x = noise(net, 20, 20)
    with torch.inference_mode():
        rounded, exact = build("torch", net, "bfloat16")(x), build("torch", net)(x)
    assert 1e-5 < (rounded - exact).abs().max() / exact.std() < 0.1
    with pytest.raises(RecipeError, match=r"openvino computes float32 on the processor, and bfloat16 on cpu is asked"):
        build("openvino", net, "bfloat16")
