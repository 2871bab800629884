"""Outlines are exact: what they enclose is the object, pixel for pixel, however its pixels touch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from numpy.typing import NDArray
from skimage.draw import polygon
from skimage.measure import label, regionprops

from ushape.errors import ImageError
from ushape.interchange.outlines import LARGEST_NUMBER, Polygon, outlines

ALL_BINARY_3_BY_3 = [np.array(bits).reshape(3, 3) for bits in product((0, 1), repeat=9)]
ALL_OF_TWO_OBJECTS_2_BY_3 = [np.array(numbers).reshape(2, 3) for numbers in product((0, 1, 2), repeat=6)]


def filled(rings: Sequence[NDArray[np.int32]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The even-odd rule at the centres of pixels: every vertical edge turns over all that lies to its right."""
    inside = np.zeros(shape, dtype=bool)
    for ring in rings:
        for (y, x), (next_y, _) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            inside[min(y, next_y) : max(y, next_y), x:] ^= True
    return inside


def signed_area(ring: NDArray[np.int32]) -> float:
    """Positive where (x, y) turn from the x axis to the y axis."""
    y, x = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def check_exact(objects: NDArray[np.integer]) -> None:
    found = dict(outlines(objects))
    assert list(found) == sorted(set(np.unique(objects).tolist()) - {0})
    for number, pieces in found.items():
        mask = objects == number
        assert np.array_equal(filled([ring for piece in pieces for ring in piece.rings], mask.shape), mask)
        assert len(pieces) == label(mask, connectivity=1).max()
        assert sum(piece.area_px for piece in pieces) == mask.sum()
        for piece in pieces:
            check_rings(piece)
            elsewhere = np.pad(~filled(piece.rings, mask.shape), 1, constant_values=True)
            assert len(piece.holes) == label(elsewhere, connectivity=1).max() - 1  # all but the outside


def check_rings(piece: Polygon) -> None:
    assert signed_area(piece.outer) > 0 and all(signed_area(hole) < 0 for hole in piece.holes)
    for ring in piece.rings:
        assert len(np.unique(ring, axis=0)) == len(ring) >= 4  # it does not meet itself
        steps = np.roll(ring, -1, axis=0) - ring
        assert ((steps == 0).sum(axis=1) == 1).all()  # along the edges of pixels
        assert ((steps[:, 0] == 0) != (np.roll(steps, 1, axis=0)[:, 0] == 0)).all()  # every corner is a turn


def corners_of(objects: Sequence[Sequence[int]]) -> dict[int, list[list[list[list[int]]]]]:
    found = outlines(np.array(objects))
    return {number: [[ring.tolist() for ring in piece.rings] for piece in pieces] for number, pieces in found}


def test_one_pixel_is_a_square_from_its_corner_to_the_next():
    assert corners_of([[0, 0, 0], [0, 0, 5]]) == {5: [[[[1, 2], [1, 3], [2, 3], [2, 2]]]]}


def test_a_straight_border_has_no_corners_within():
    assert corners_of([[3, 3, 3, 3], [3, 3, 3, 3]]) == {3: [[[[0, 0], [0, 4], [2, 4], [2, 0]]]]}


def test_an_outer_ring_runs_clockwise_on_the_screen_and_its_hole_the_other_way():
    ring = [[0, 0], [0, 3], [3, 3], [3, 0]]
    hole = [[2, 1], [2, 2], [1, 2], [1, 1]]
    assert corners_of([[1, 1, 1], [1, 0, 1], [1, 1, 1]]) == {1: [[ring, hole]]}


def test_pixels_that_share_a_corner_are_two_pieces_that_touch_there():
    assert corners_of([[1, 0], [0, 1]]) == {1: [[[[0, 0], [0, 1], [1, 1], [1, 0]]], [[[1, 1], [1, 2], [2, 2], [2, 1]]]]}


def test_a_hole_that_touches_the_outside_in_a_corner_is_a_ring_of_its_own():
    outer = [[0, 0], [0, 3], [2, 3], [2, 2], [3, 2], [3, 0]]
    hole = [[2, 1], [2, 2], [1, 2], [1, 1]]  # both have the corner (2, 2), and neither passes it twice
    assert corners_of([[1, 1, 1], [1, 0, 1], [1, 1, 0]]) == {1: [[outer, hole]]}


def test_an_object_in_the_hole_of_a_hole_is_a_piece_of_its_own():
    nested = np.zeros((9, 9), dtype=np.uint16)
    for inset, number in enumerate([7, 0, 7, 2]):
        nested[inset : 9 - inset, inset : 9 - inset] = number
    check_exact(nested)
    found = dict(outlines(nested))
    assert [len(piece.holes) for piece in found[7]] == [1, 1] and [len(piece.holes) for piece in found[2]] == [0]


@pytest.mark.parametrize(
    "maps", [ALL_BINARY_3_BY_3, ALL_OF_TWO_OBJECTS_2_BY_3], ids=["all of 3 x 3", "all of two objects in 2 x 3"]
)
def test_every_small_map_is_enclosed_exactly(maps: list[NDArray[np.integer]]):
    for objects in maps:
        check_exact(objects)


@given(stnp.arrays(np.int32, stnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4)))
def test_every_map_is_enclosed_exactly(objects: NDArray[np.int32]):
    check_exact(objects)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_the_type_of_the_map_does_not_matter_nor_its_order_in_memory(dtype: type):
    rng = np.random.default_rng(3)
    objects = rng.integers(0, 4, (15, 10)).astype(dtype)
    check_exact(objects)
    check_exact(objects.T)


def test_numbers_may_have_gaps_and_32_bits():
    objects = np.array([[LARGEST_NUMBER, 0, 70_000, 1]], dtype=np.uint32)
    assert [number for number, _ in outlines(objects)] == [1, 70_000, LARGEST_NUMBER]
    check_exact(objects)


def test_every_pixel_may_be_an_object_of_its_own():
    objects = np.arange(1, 201).reshape(10, 20)
    check_exact(objects)
    check_exact(np.indices((20, 10)).sum(axis=0) % 2)  # or a piece


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (3, 4)])
def test_a_map_without_objects_has_no_outlines(shape: tuple[int, int]):
    assert list(outlines(np.zeros(shape, dtype=np.uint16))) == []


def test_scikit_image_fills_the_same_pixels_and_counts_the_same_area():
    rng = np.random.default_rng(0)
    seeds = np.zeros((90, 120))
    seeds[rng.integers(0, 90, 25), rng.integers(0, 120, 25)] = 1
    blobs = label(np.abs(np.fft.ifft2(np.fft.fft2(seeds) * np.fft.fft2(np.outer(np.hanning(90), np.hanning(120))))) > 3)
    assert blobs.max() >= 1
    areas = {region.label: region.area for region in regionprops(blobs)}
    for number, pieces in outlines(blobs):
        drawn = np.zeros(blobs.shape, dtype=int)
        for piece in pieces:
            drawn[polygon(*(piece.outer.T - 0.5), blobs.shape)] += 1  # scikit-image counts from centres of pixels
            for hole in piece.holes:
                drawn[polygon(*(hole.T - 0.5), blobs.shape)] -= 1
        assert np.array_equal(drawn, blobs == number)
        assert sum(piece.area_px for piece in pieces) == areas[number]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (np.ones((4, 4), dtype=np.float32), "array of float32 with shape (4, 4); an object map holds whole numbers"),
        (np.ones((4, 4), dtype=bool), "array of bool with shape (4, 4)"),
        (np.ones((2, 4, 4), dtype=int), "shape (2, 4, 4); an object map holds whole numbers and has the shape"),
        (np.array([[-3, 2]]), "values from -3 to 2; objects have numbers from 1 to 4294967295, and 0 is no object"),
        (np.array([[0, 2**32]]), "values from 0 to 4294967296"),
        (np.array([[0, 2**64 - 1]], dtype=np.uint64), "values from 0 to 18446744073709551615"),
    ],
)
def test_what_is_no_object_map_is_refused(objects: NDArray[np.generic], words: str):
    with pytest.raises(ImageError) as refusal:
        outlines(objects)
    assert words in str(refusal.value)
    assert "Number" in str(refusal.value)  # what to do
