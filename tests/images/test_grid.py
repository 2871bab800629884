"""Grids are told apart by where their voxels lie."""

from __future__ import annotations

import numpy as np
import pytest

from ushape.images.grid import Grid


def grid(affine: np.ndarray, shape: tuple[int, int, int, int] = (100, 80, 10, 1)) -> Grid:
    return Grid(shape, affine, True)


def test_sizes_are_those_of_the_columns():
    turned = np.array([[0, -2, 0, 5], [0.5, 0, 0, 6], [0, 0, 8, 7], [0, 0, 0, 1.0]])
    assert grid(turned).voxel_mm == (0.5, 2, 8)
    assert grid(turned).spacing == (2000, 500)
    assert grid(turned).slice_spacing == 8000
    assert Grid((100, 80, 10, 1), turned, False).spacing is None
    assert grid(turned, (100, 80, 1, 1)).slice_spacing is None


def test_grids_differ_by_their_farthest_corner():
    unit = np.eye(4)
    turned = np.eye(4)
    turned[0, 1] = 0.01  # 0.79 mm at the last row, nothing at the first
    assert grid(unit).shift_mm(grid(turned)) == pytest.approx(0.79)
    assert grid(unit).difference(grid(turned)) == "as many voxels, but up to 0.79 mm apart in the patient"
    turned[0, 1] = 0.001
    assert grid(unit).difference(grid(turned)) is None
    assert grid(unit).difference(grid(unit, (100, 80, 9, 1))) == "100 x 80 x 10 voxels against 100 x 80 x 9"
