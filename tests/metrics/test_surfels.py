from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.metrics.surfels import areas, corner_codes, on_surface

LONG_VOXEL = (8.0, 1.25, 0.5)
CUBE = (2, 2, 2)
BLOCKS = [np.array(inside, dtype=bool).reshape(CUBE) for inside in product((0, 1), repeat=8)]


def surface_in(block: NDArray[np.bool_], spacing: tuple[float, ...] = (1, 1, 1)) -> float:
    """The area between the centres of one block of 2 pixels along each axis."""
    middle = (1,) * block.ndim
    return float(areas(spacing)[corner_codes(block)[middle]])


def surface_of(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> float:
    return float(areas(spacing)[corner_codes(mask)].sum())


def block_of(*inside: tuple[int, int, int]) -> NDArray[np.bool_]:
    block = np.zeros(CUBE, dtype=bool)
    block[tuple(zip(*inside, strict=True))] = True
    return block


# --- areas by hand, in the unit cube


@pytest.mark.parametrize(
    ("inside", "area"),
    [
        ([(0, 0, 0)], math.sqrt(3) / 8),  # an equilateral triangle of side √½
        ([(0, 0, 0), (0, 0, 1)], math.sqrt(1 / 2)),  # a rectangle of 1 by √½
        ([(0, 0, 0), (0, 1, 1)], 2 * math.sqrt(3) / 8),  # across a face: two triangles
        ([(0, 0, 0), (1, 1, 1)], 2 * math.sqrt(3) / 8),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0)], 1 / 2 + 3 * math.sqrt(3) / 8),  # a right triangle and a trapezium
        ([(0, 0, 0), (0, 0, 1), (1, 1, 0)], math.sqrt(1 / 2) + math.sqrt(3) / 8),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)], 1),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)], 6 * math.sqrt(3) / 8),  # a regular hexagon of side √½
        ([(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1)], 4 * math.sqrt(3) / 8 + math.sqrt(1 / 2)),  # the bent hexagon
        ([(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)], 4 * math.sqrt(3) / 8),
    ],
)
def test_the_surface_in_a_cube_is_that_worked_out_by_hand(inside: list[tuple[int, int, int]], area: float) -> None:
    assert surface_in(block_of(*inside)) == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize(
    ("block", "length"),
    [
        ([[1, 0], [0, 0]], 2.5),
        ([[1, 1], [0, 0]], 4),
        ([[1, 0], [1, 0]], 3),
        ([[1, 0], [0, 1]], 5),
        ([[1, 1], [1, 0]], 2.5),
    ],
)
def test_contours_in_the_plane_have_the_lengths_of_their_segments(block: list[list[int]], length: float) -> None:
    assert surface_in(np.array(block, dtype=bool), (3, 4)) == pytest.approx(length)


def test_on_a_line_each_end_counts_one() -> None:
    assert surface_of(np.array([True, True, False, True]), (7.0,)) == pytest.approx(4)


# --- shapes whose surface is known


def test_a_rectangle_has_its_sides_with_bevelled_corners() -> None:
    assert surface_of(np.ones((5, 9), dtype=bool), (2, 1.5)) == pytest.approx(2 * 4 * 2 + 2 * 8 * 1.5 + 2 * 2.5)


def test_a_box_has_its_faces_with_bevelled_edges_and_corners() -> None:
    lengths, (z, y, x) = (3, 4, 6), LONG_VOXEL
    depth, height, width = ((n - 1) * side for n, side in zip(lengths, LONG_VOXEL, strict=True))
    faces = 2 * (depth * height + depth * width + height * width)
    bevels = 4 * (depth * math.hypot(y, x) + height * math.hypot(z, x) + width * math.hypot(z, y)) / 2
    corners = 8 * math.hypot(z * y, z * x, y * x) / 8
    assert surface_of(np.ones(lengths, dtype=bool), LONG_VOXEL) == pytest.approx(faces + bevels + corners)


def test_a_slope_has_the_area_of_its_plane_and_not_of_its_stairs() -> None:
    mask = np.indices((20, 20, 20)).sum(axis=0) <= 28
    over_a_square = areas((1, 1, 1))[corner_codes(mask)[8:14, 8:14, 1:]].sum()  # not the border of the image below it
    assert over_a_square == pytest.approx(36 * math.sqrt(3))


# --- properties of all 256 blocks


def test_the_256_areas_do_not_depend_on_how_the_cube_is_turned_or_mirrored() -> None:
    area = np.array([surface_in(block, LONG_VOXEL) for block in BLOCKS])
    for axes in permutations(range(3)):
        turned_areas = areas([LONG_VOXEL[axis] for axis in axes])
        for mirrored in product((slice(None), slice(None, None, -1)), repeat=3):
            turned = [turned_areas[corner_codes(block.transpose(axes)[mirrored])[1, 1, 1]] for block in BLOCKS]
            assert np.array(turned) == pytest.approx(area, abs=1e-12)


def test_inside_and_outside_share_their_surface() -> None:
    for block in BLOCKS:
        assert surface_in(block, LONG_VOXEL) == pytest.approx(surface_in(~block, LONG_VOXEL), abs=1e-12)


def test_only_what_has_two_sides_has_a_surface() -> None:
    for block in BLOCKS:
        two_sides = block.any() and not block.all()
        assert bool(on_surface(corner_codes(block))[1, 1, 1]) == two_sides == (surface_in(block) > 0)


def test_areas_grow_with_the_square_of_the_voxel_and_lengths_with_the_pixel() -> None:
    assert areas((16, 2.5, 1)) == pytest.approx(4 * areas(LONG_VOXEL))
    planar = np.unique(corner_codes(np.indices((6, 6)).sum(axis=0) % 3 == 0))
    assert areas((3, 1))[planar] == pytest.approx(3 * areas((1, 1 / 3))[planar])


def test_codes_are_0_outside_and_255_inside_and_reach_one_past_the_mask() -> None:
    codes = corner_codes(np.ones((2, 3, 4), dtype=bool))
    assert codes.shape == (3, 4, 5)
    assert (codes == 255).sum() == 1 * 2 * 3
    assert not corner_codes(np.zeros((2, 3, 4), dtype=bool)).any()
