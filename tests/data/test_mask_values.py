"""Interiors tell classes and objects from blurred edges."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ushape.data.mask_values import Tally, main_values, nearest, together


def test_the_inside_of_a_square_is_two_smaller() -> None:
    mask = np.zeros((10, 12), dtype=np.uint8)
    mask[2:7, 3:8] = 9
    tally = Tally.of(mask)
    assert tally.values.tolist() == [0, 9]
    assert tally.pixels.tolist() == [95, 25]
    assert tally.inner[1] == 9


def test_pixels_that_do_not_count_are_left_out() -> None:
    mask = np.arange(12, dtype=np.uint16).reshape(3, 4)
    counted = mask % 2 == 0
    assert Tally.of(mask, counted).values.tolist() == [0, 2, 4, 6, 8, 10]


@given(arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 70_000, 255])))
def test_tallies_count_every_pixel_of_any_type(mask: np.ndarray) -> None:
    values, pixels = np.unique(mask, return_counts=True)
    for tally in (Tally.of(mask), together([Tally.of(mask[:2]), Tally.of(mask[2:])])):
        assert tally.values.tolist() == values.tolist()
        assert tally.pixels.tolist() == pixels.tolist()


@given(arrays(np.uint8, (4, 5)), st.sets(st.integers(0, 255), min_size=1, max_size=5))
def test_every_value_goes_to_a_nearest_main_value(mask: np.ndarray, mains: set[int]) -> None:
    ordered = sorted(mains)
    found = nearest(mask, ordered)
    assert set(found.ravel().tolist()) <= mains
    distances = np.abs(mask[..., np.newaxis].astype(int) - ordered)
    assert (np.abs(found - mask.astype(int)) == distances.min(axis=-1)).all()


def test_blurred_colours_go_to_the_nearest_colour() -> None:
    mask = np.zeros((50, 50), dtype=np.int32)
    mask[:, 20:] = 0xFF0000
    mask[::3, 20] = 0x800000
    mask[1::3, 20] = 0x400000
    mask[2::3, 20] = 0xC00000
    tally = Tally.of(mask)
    assert main_values(tally, coloured=True) == (0, 0xFF0000)
    assert set(nearest(mask, (0, 0xFF0000), coloured=True)[:, 20].tolist()) == {0, 0xFF0000}


def test_a_thin_class_of_its_own_value_is_kept() -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[10:50, 10:50] = 255
    mask[10:50, [10, 49]] = 128
    assert main_values(Tally.of(mask)) == ()
