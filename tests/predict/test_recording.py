from __future__ import annotations

import pytest
import torch

from ushape.errors import SizeError
from ushape.models import MODELS, build
from ushape.predict.recording import record

WIDTHS = {"unet": 4, "unetpp": 4, "resunet": 4, "fcn32s": 4, "fcn16s": 4, "fcn8s": 4, "u2netp": None, "u2net": None}


def small(name: str) -> torch.nn.Module:
    options = {} if WIDTHS.get(name) is None else {"width": WIDTHS[name]}
    torch.manual_seed(0)
    return build(name, in_channels=2, classes=2, **options).eval()


def replayed(layers, image: torch.Tensor) -> torch.Tensor:
    maps = [image]
    for layer in layers:
        maps.append(layer(*(maps[number] for number in layer.inputs)))
        assert maps[-1].shape == layer.shape
    return maps[-1]


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if name != "u2net" and model.axes == 2])
def test_the_layers_called_again_are_the_network(name: str):
    model = small(name)
    height = model.footprint.smallest_input + model.footprint.multiple
    image = torch.randn(1, 2, height, height + model.footprint.multiple)
    with torch.inference_mode():
        assert torch.equal(replayed(record(model, *image.shape[2:]), image.clone()), model(image))


def test_what_the_answer_does_not_depend_on_is_left_out():
    accurate = build("unetpp", classes=2, width=4, answer="accurate").eval()
    fast = build("unetpp", classes=2, width=4, answer="fast").eval()
    size = accurate.footprint.smallest_input
    assert len(record(fast, size, size)) < len(record(accurate, size, size)), "the other heads, and their mean"


def test_weights_are_the_networks_own_and_none_are_made_for_an_outline():
    model = small("unet")
    size = model.footprint.smallest_input
    (first, *_), (outlined, *_) = record(model, size, size), record(model, size, size, outline=True)
    assert first.args[1].data_ptr() == model.contracting[0][0].weight.data_ptr()
    assert outlined.args[1].device.type == "meta" and outlined.args[1].shape == first.args[1].shape


def test_an_illegal_size_is_refused():
    with pytest.raises(SizeError, match="573 pixels"):
        record(small("unet"), 573, 572)
