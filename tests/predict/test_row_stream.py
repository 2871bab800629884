from __future__ import annotations

import pytest
import torch

from ushape.models import MODELS, build
from ushape.models.segmenter import Segmenter
from ushape.predict.row_layers import NotByRows
from ushape.predict.row_stream import MeasuredStream, RowStream

VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "unet": ("unet", {}),
    "shallow": ("unet", {"depth": 1}),
    "summed": ("unet", {"skip": "add", "padding": "same", "normalisation": "batch"}),
    "no skip": ("unet", {"skip": "none"}),
    "residual": ("unet", {"residual": True, "depth": 3}),
    "residual, padded": ("unet", {"residual": True, "padding": "same", "depth": 2}),
    "reduced": ("unet", {"padding": "same", "reduction": 2, "depth": 2}),
    "unetpp": ("unetpp", {"depth": 3, "normalisation": "batch"}),
    "unetpp, fast": ("unetpp", {"depth": 2, "answer": "fast"}),
    "resunet": ("resunet", {}),
}


def network(name: str, options: dict[str, object]) -> Segmenter:
    torch.manual_seed(0)
    model = build(name, in_channels=1, classes=3, width=4, **options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("rows", [5, 32, 1000])
@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_pushed_through_are_the_exact_answer(variant: str, rows: int):
    model = network(*VARIANTS[variant])
    height = model.footprint.input_for(61)
    width = model.footprint.input_for(20)
    image = torch.randn(1, 1, height, width)
    stream, answers = RowStream(model, width), []
    with torch.inference_mode():
        exact = model.exact(image)
        for top in range(0, height, rows):
            answer = stream.push(image[:, :, top : top + rows])
            answers += [] if answer is None else [answer]
    streamed = torch.cat(answers, dim=2)[:, :, : exact.shape[2]]
    assert streamed.shape == exact.shape
    assert (streamed - exact).abs().max() <= 1e-4 * exact.std()


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.axes == 2])
def test_every_network_passes_by_rows_but_those_that_see_edges(name: str):
    options = {} if name.startswith("u2net") else {"width": 4}
    model = build(name, classes=2, **options)
    size = model.footprint.smallest_input
    if model.footprint.sees_edges:
        with pytest.raises(NotByRows):
            RowStream(model, size)
    else:
        RowStream(model, size)


def test_two_streams_of_one_network_do_not_mix():
    model = network("unet", {"depth": 2})
    size = model.footprint.input_for(40)
    one, other = torch.randn(2, 1, 1, size, size)
    with torch.inference_mode():
        exact = [model.exact(one), model.exact(other)]
        streams = [RowStream(model, size), RowStream(model, size)]
        answers: list[list[torch.Tensor]] = [[], []]
        for top in range(0, size, 8):
            for stream, image, made in zip(streams, (one, other), answers, strict=True):
                answer = stream.push(image[:, :, top : top + 8])
                made += [] if answer is None else [answer]
    for made, expected in zip(answers, exact, strict=True):
        assert torch.allclose(torch.cat(made, dim=2), expected, atol=1e-4)


def test_memory_is_counted_as_it_grows_and_then_grows_no_more():
    model = network("unet", {"depth": 2})
    width = model.footprint.input_for(100)
    stream, largest = MeasuredStream(model, width), []
    for _ in range(12):
        stream.push_rows(16)
        largest.append(stream.most_elements)
    assert largest[0] < largest[3] == largest[-1], "the image may be as high as it likes"
    copy_waiting = 4 * (width - 4) * 16  # of the first level, whose rows wait for the deeper levels' answers
    assert copy_waiting < largest[-1] < 40 * copy_waiting
    wider = MeasuredStream(model, model.footprint.input_for(500))
    for _ in range(12):
        wider.push_rows(16)
    assert 3 < wider.most_elements / largest[-1] < 500 / 100
