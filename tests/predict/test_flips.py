"""The eight symmetries of the square, and the mean over them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ushape.checkpoint import Trained
from ushape.images.source import from_array
from ushape.predict.flips import flipped, mean_over_flips, unflipped
from ushape.predict.tiled import Predictor

SQUARE = torch.tensor([[[[1.0, 2], [3, 4]]]])


def test_they_are_the_eight_symmetries():
    seen = [flipped(SQUARE, number).flatten().int().tolist() for number in range(8)]
    assert seen == [
        [1, 2, 3, 4], [2, 4, 1, 3], [4, 3, 2, 1], [3, 1, 4, 2],
        [2, 1, 4, 3], [1, 3, 2, 4], [3, 4, 1, 2], [4, 2, 3, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(8))
def test_each_is_undone(number: int):
    x = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    turned = flipped(x, number)
    assert turned.shape == ((2, 3, 4, 5) if number % 2 == 0 else (2, 3, 5, 4))
    assert (unflipped(turned, number) == x).all()


def test_the_mean_is_over_all_eight_turned_back():
    weight = torch.tensor([[[[1.0, 2], [4, 8]]]])

    def corner_weighted(x: torch.Tensor) -> torch.Tensor:
        return x * weight

    expected = sum(unflipped(corner_weighted(flipped(SQUARE, n)), n) for n in range(8)) / 8
    torch.testing.assert_close(mean_over_flips(corner_weighted, SQUARE), expected)
    torch.testing.assert_close(expected, SQUARE * 15 / 4)  # each weight comes to each corner twice


def test_the_image_is_left_alone():
    x = SQUARE.clone()
    mean = mean_over_flips(lambda tensor: tensor, x)
    assert (x == SQUARE).all() and (mean == SQUARE).all()


@pytest.mark.parametrize(("padding", "side"), [("valid", 44), ("same", 48)])
def test_a_flipped_image_has_the_flipped_answer(make_trained: Callable[..., Trained], padding: str, side: int):
    """On sizes whose pooling grid looks the same from either end, though tiles are cut from one."""
    predictor = Predictor(make_trained(depth=3, padding=padding), flips=True, keep_px=16)
    footprint = predictor.trained.model.footprint
    assert footprint.input_for(side) == side + 2 * footprint.margin
    image = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (side, side), dtype=np.uint8))
    _, answer = predictor.whole(from_array(image.numpy()))
    for number in range(8):
        _, turned = predictor.whole(from_array(flipped(image, number).numpy()))
        assert np.abs(unflipped(torch.from_numpy(turned), number).numpy() - answer).max() <= 1e-5
