"""Each layer by rows against the same function of the whole map, its rows pushed in parts of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from ushape.predict.recording import Layer, Map
from ushape.predict.row_layers import NotByRows, RowLayer, row_layer


def layer(function: Callable[..., Tensor], *args: object, **kwargs: object) -> Layer:
    return Layer(function, (Map(0), *args), kwargs, torch.Size([1, 3, 40, 17]))


WEIGHT = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
ONE_BY_ONE = torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(1))
UP = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
STATISTICS = (torch.tensor([0.1, -0.2, 0.3]), torch.tensor([1.0, 2.0, 0.5]))

LAYERS = {
    "convolution": layer(F.conv2d, WEIGHT, None, 1, 0),
    "padded": layer(F.conv2d, WEIGHT, torch.ones(4), (1, 1), (1, 1), (1, 1), 1),
    "dilated": layer(F.conv2d, WEIGHT, None, 1, 2, 2),
    "strided": layer(F.conv2d, WEIGHT, None, 2, 1),
    "one by one": layer(F.conv2d, ONE_BY_ONE),
    "up-convolution": layer(F.conv_transpose2d, UP, None, 2),
    "largest": layer(F.max_pool2d, 2, 2, 0, 1, ceil_mode=False, return_indices=False),
    "largest of nine": layer(F.max_pool2d, 3),
    "mean": layer(F.avg_pool2d, 2),
    "linear 2": layer(F.interpolate, scale_factor=2, mode="bilinear"),
    "linear 3": layer(F.interpolate, None, 3, "bilinear"),
    "linear 4": layer(F.interpolate, scale_factor=4, mode="bilinear", align_corners=False),
    "nearest": layer(F.interpolate, scale_factor=2),
    "rectified": layer(F.relu),
    "normalised": layer(F.batch_norm, *STATISTICS, None, None, False),
    "no dropout": layer(F.dropout, 0.5, False),
    "channels added": layer(F.pad, (0, 0, 0, 0, 0, 2)),
    "logarithm": layer(F.log_softmax, dim=1),
    "cropped": layer(Tensor.__getitem__, (..., slice(3, 36), slice(2, 15))),
    "a channel": layer(Tensor.__getitem__, (slice(None), slice(1))),
    "every second": layer(Tensor.__getitem__, (slice(None), slice(2), slice(1, 39, 2), slice(1, 16, 2))),
}


def pushed(by_rows: RowLayer, image: Tensor, parts: Sequence[int]) -> Tensor:
    answers, top = [], 0
    for part in parts:
        if top >= image.shape[2]:
            break
        answer = by_rows.push(image[:, :, top : top + part])
        if answer is not None:
            assert answer.shape[2], "no rows are None"
            answers.append(answer)
        top += part
    return torch.cat(answers, dim=2)


@pytest.mark.parametrize("name", LAYERS)
def test_rows_are_those_of_the_whole_map(name: str):
    image = torch.randn(1, 3, 40, 17, generator=torch.Generator().manual_seed(3))
    whole = LAYERS[name](image)

    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.integers(1, 15), min_size=40, max_size=40))
    def holds(parts: list[int]) -> None:
        by_rows = pushed(row_layer(LAYERS[name]), image, parts)
        missing = whole.shape[2] - by_rows.shape[2]
        assert missing <= 2 or "linear" in name, "only what the bottom decides: padding, and repeated rows"
        common = min(whole.shape[2], by_rows.shape[2])  # what is cropped at the bottom comes, and waits for nothing
        assert torch.allclose(by_rows[:, :, :common], whole[:, :, :common], atol=1e-5)

    holds()


def test_only_rows_that_later_ones_need_are_kept():
    by_rows = row_layer(LAYERS["padded"])
    by_rows.push(torch.zeros(1, 3, 500, 17))
    assert by_rows.held == 3 * 2 * 17
    assert by_rows.push(None) is None


@pytest.mark.parametrize("join", [lambda a, b: torch.cat([a, b], dim=1), torch.logaddexp, Tensor.add])
def test_maps_wait_for_each_other(join: Callable[[Tensor, Tensor], Tensor]):
    concatenating = join(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)).shape[1] == 2
    maps = (Map(0), Map(1))
    given = (
        Layer(torch.cat, (list(maps), 1), {}, torch.Size()) if concatenating else Layer(join, maps, {}, torch.Size())
    )
    a, b = torch.randn(1, 2, 10, 4), torch.randn(1, 2, 10, 4)
    together = row_layer(given)
    assert together.push(a[:, :, :7], None) is None and together.held == 2 * 7 * 4
    assert torch.equal(together.push(None, b[:, :, :2]), join(a[:, :, :2], b[:, :, :2]))
    assert torch.equal(together.push(a[:, :, 7:], b[:, :, 2:9]), join(a[:, :, 2:9], b[:, :, 2:9]))
    assert together.held == 2 * 4, "the tenth row waits"


@pytest.mark.parametrize(
    "unfit",
    [
        layer(F.max_pool2d, 2, ceil_mode=True),
        layer(F.max_pool2d, 3, 2),
        layer(F.max_pool2d, 2, padding=1),
        layer(F.interpolate, size=(80, 34), mode="bilinear"),
        layer(F.interpolate, scale_factor=2, mode="bilinear", align_corners=True),
        layer(F.interpolate, scale_factor=2, mode="bicubic"),
        layer(F.conv2d, WEIGHT, padding="same"),
        layer(F.conv_transpose2d, UP, None, 1),
        layer(F.conv_transpose2d, UP, None, 2, 1),
        layer(F.batch_norm, *STATISTICS, None, None, True),
        layer(F.dropout, 0.5, True),
        layer(F.pad, (1, 1, 1, 1)),
        layer(F.pad, (0, 0, 0, 0, 0, 2), "reflect"),
        layer(F.log_softmax, dim=2),
        layer(F.softmax, dim=1),
        layer(Tensor.__getitem__, (slice(None), slice(None), slice(-8, None))),
        layer(Tensor.__getitem__, (0,)),
    ],
    ids=lambda unfit: f"{unfit.function.__name__} {unfit.args[1:]} {unfit.kwargs}"[:60],
)
def test_what_needs_more_than_the_rows_so_far_is_refused(unfit: Layer):
    with pytest.raises(NotByRows):
        row_layer(unfit)
