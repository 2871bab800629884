"""Coarse axes, and the levels at which a network leaves them alone, against a simulation of the poolings."""

from __future__ import annotations

import itertools

import pytest

from ushape.geometry.anisotropy import coarse_axes, flat_levels


def test_an_axis_is_coarse_beyond_twice_the_finest():
    assert coarse_axes((2.0, 1.0, 1.0)) == (False, False, False)
    assert coarse_axes((2.1, 1.0, 1.0)) == (True, False, False)
    assert coarse_axes((1.0, 5.0, 1.0)) == (False, True, False)
    assert coarse_axes((0.3, 0.1)) == (True, False)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_levels_are_those_of_poolings_played_through(depth):
    """Level by level, voxels are pooled along all axes that are not coarse then, until z joins in."""
    for ratio in (1, 1.9, 2, 2.5, 4, 5, 8, 9, 100):
        sizes, played = [float(ratio), 1.0, 1.0], 0
        for _ in range(depth):
            if coarse_axes(sizes)[0]:
                played += 1
                sizes = [sizes[0], 2 * sizes[1], 2 * sizes[2]]
        assert flat_levels((ratio, 1, 1), (512, 512, 512), depth) == (played, 0, 0), ratio


def test_a_thin_volume_keeps_four_voxels_in_the_lowest_maps():
    for size, depth in itertools.product(range(1, 70), (1, 2, 3, 4)):
        (flat, *_) = flat_levels((1, 1, 1), (size, 512, 512), depth)
        pooled = depth - flat
        assert pooled == 0 or size / 2**pooled >= 4
        assert flat == 0 or size / 2 ** (pooled + 1) < 4


def test_every_axis_may_be_the_coarse_one():
    assert flat_levels((1, 1, 6), (128, 128, 128), 3) == (0, 0, 2)
    assert flat_levels((6, 1, 6), (128, 128, 128), 3) == (2, 0, 2)
