"""Smaller copies: the most frequent number, no number that was not there, means of floats, odd edges."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ushape.images.pyramid import halved, levels_of

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 4), (6, 9), (33, 33)])
@pytest.mark.parametrize("values", [2, 3, 200])
def test_every_pixel_is_the_most_frequent_of_four(shape: tuple[int, int], values: int) -> None:
    pixels = RNG.integers(0, values, shape).astype(np.uint32)
    half = halved(pixels)
    assert half.shape == (-(-shape[0] // 2), -(-shape[1] // 2)) and half.dtype == np.uint32
    for (y, x), found in np.ndenumerate(half):
        block = [pixels[min(2 * y + dy, shape[0] - 1), min(2 * x + dx, shape[1] - 1)] for dy in (0, 1) for dx in (0, 1)]
        counts = Counter(block)  # in the order of their first place, which decides between equals
        assert found == max(counts, key=counts.__getitem__)


def test_colours_stay_whole() -> None:
    red, mixed = [255, 0, 0], [255, 1, 0]
    pixels = np.array([[mixed, red], [[0, 0, 0], red]], dtype=np.uint8)
    np.testing.assert_array_equal(halved(pixels), [[red]])


def test_floats_become_their_mean() -> None:
    pixels = np.array([[0, 1, 0.5], [0, 1, 0.25]], dtype=np.float32)
    np.testing.assert_array_equal(halved(pixels), np.array([[0.5, 0.375]], dtype=np.float32))


def test_the_last_level_fits_a_tile() -> None:
    assert levels_of((512, 3)) == [(512, 3)]
    assert levels_of((2, 1025)) == [(2, 1025), (1, 513), (1, 257)]
