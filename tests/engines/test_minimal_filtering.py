"""Against PyTorch's convolution in float64."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ushape.engines import minimal_filtering
from ushape.engines.filtering_kernels import LARGE, SMALL, filter_tiles
from ushape.engines.minimal_filtering import MinimalConvolution, can_be_minimal, filtered, minimal_filters

SIZES = [(3, 3), (4, 6), (5, 40), (9, 7), (13, 18), (30, 11)]
CHANNELS = [(8, 16), (24, 32), (136, 48)]  # more than are summed in a row


def convolution(channels: int, made: int, padding: int, **options: object) -> nn.Conv2d:
    torch.manual_seed(channels + made)
    return nn.Conv2d(channels, made, 3, padding=padding, **options).requires_grad_(False)


def exact(layer: nn.Conv2d, x: Tensor, *, rectified: bool) -> Tensor:
    bias = None if layer.bias is None else layer.bias.double()
    answer = F.conv2d(x.double(), layer.weight.double(), bias, padding=layer.padding)
    return answer.relu() if rectified else answer


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("channels", CHANNELS)
def test_it_is_the_convolution_to_rounding(channels: tuple[int, int], padding: int):
    layer = convolution(*channels, padding, bias=padding == 1)
    for number, (height, width) in enumerate(SIZES):
        x = torch.randn(2, channels[0], height, width)
        for laid_out in (x, x.contiguous(memory_format=torch.channels_last)):
            found = MinimalConvolution(layer, rectified=number % 2 == 1)(laid_out)
            expected = exact(layer, x, rectified=number % 2 == 1)
            assert found.shape == expected.shape
            assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_rows_in_two_parts_are_the_rows_of_the_whole():
    layer = convolution(16, 16, 1)
    minimal, x = MinimalConvolution(layer, rectified=False), torch.randn(1, 16, 14, 10)
    whole = exact(layer, x, rectified=False)
    for kept in range(1, 8):
        rows = 14 - 2  # none of those that see the bottom's padding
        parts = x[:, :, :kept], x[:, :, kept:]
        found = filtered(*parts, minimal.filters, minimal.bias, rows=rows, padding=1, rectified=False)
        assert (found - whole[:, :, 1 : 1 + rows]).abs().max() < 1e-5 * whole.abs().max()


def test_threads_share_the_tiles_and_change_no_bit(monkeypatch: pytest.MonkeyPatch):
    minimal, x = MinimalConvolution(convolution(8, 16, 1), rectified=True), torch.randn(1, 8, 23, 17)
    alone, shares = minimal(x), []

    class Threads:
        def map(self, compute, firsts, lasts) -> list[Future[None]]:
            shares.extend(zip(firsts, lasts, strict=True))
            return [compute(first, last) for first, last in zip(firsts, lasts, strict=True)]

    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(minimal_filtering, "_threads", lambda number: Threads())
    assert torch.equal(minimal(x), alone)
    assert shares == [(0, 7), (7, 15), (15, 22), (22, 30)], "6 × 5 tiles, each once"


def test_a_share_of_the_tiles_writes_no_other():
    layer = convolution(8, 16, 0)
    x = np.random.default_rng(0).normal(size=(10, 14, 8)).astype(np.float32)
    above, answer = np.zeros((0, 14, 8), np.float32), np.full((8, 12, 16), 7, np.float32)
    filters, bias = minimal_filters(layer.weight).numpy(), layer.bias.numpy()
    filter_tiles(above, x, filters, bias, answer, 0, False, 2, 4)
    untouched = answer == 7
    assert untouched[:4, :8].all() and untouched[4:, 4:].all()
    assert not untouched[:4, 8:].any() and not untouched[4:, :4].any()


def test_a_value_that_is_no_number_is_not_hidden_by_the_rectifier():
    x = torch.zeros(1, 8, 8, 8)
    x[0, 3, 2, 2] = torch.nan
    assert MinimalConvolution(convolution(8, 16, 1), rectified=True)(x)[0, :, 2, 2].isnan().all()


def test_the_points_round_less_than_whole_numbers_do():
    assert pytest.approx(1) == SMALL * LARGE
    layer = convolution(64, 64, 0)
    x = torch.randn(1, 64, 34, 34)
    expected = exact(layer, x, rectified=False)
    errors = [
        (way(x) - expected).abs().max() / expected.std() for way in (layer, MinimalConvolution(layer, rectified=False))
    ]
    assert errors[1] < 3 * errors[0], "with 0, ±1, ±2 it is 5 to 10 times as much"


@pytest.mark.parametrize(
    "unfit",
    [
        nn.Conv2d(8, 16, 1),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.Conv2d(8, 16, 3, dilation=2, padding=2),
        nn.Conv2d(8, 16, 3, padding=2),
        nn.Conv2d(16, 16, 3, groups=2),
        nn.Conv2d(8, 16, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 16, 3, padding="same"),
        nn.Conv2d(12, 16, 3),
        nn.Conv2d(8, 24, 3),
        nn.Conv2d(8, 16, 3).double(),
    ],
    ids=str,
)
def test_other_convolutions_stay_what_they_are(unfit: nn.Conv2d):
    assert can_be_minimal(nn.Conv2d(8, 16, 3)) and can_be_minimal(nn.Conv2d(8, 16, 3, padding=1))
    assert not can_be_minimal(unfit)
