from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from ushape.data.elastic import STEEPEST, displacement, unfolded


def drawn(count: int, *, sigma: float = 10.0, seed: int = 0) -> Tensor:
    return torch.randn(count, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) * sigma


def keys(x: float) -> float:
    """The cubic convolution kernel as R. Keys prints it (1981, equation 15)."""
    x = abs(x)
    if x < 1:
        return 3 / 2 * x**3 - 5 / 2 * x**2 + 1
    return -1 / 2 * x**3 + 5 / 2 * x**2 - 4 * x + 2 if x < 2 else 0.0


@pytest.mark.parametrize(("height", "width"), [(13, 9), (8, 31)])
def test_equals_the_sum_over_sixteen_neighbours_pixel_by_pixel(height: int, width: int) -> None:
    grid = drawn(1).double()
    ours = displacement(grid, height, width)
    for y in range(height):
        for x in range(width):
            v, u = 2 * y / (height - 1), 2 * x / (width - 1)
            expected = torch.zeros(2, dtype=torch.float64)
            for j in range(int(v) - 1, int(v) + 3):
                for i in range(int(u) - 1, int(u) + 3):
                    neighbour = grid[0, :, min(max(j, 0), 2), min(max(i, 0), 2)]
                    expected += keys(v - j) * keys(u - i) * neighbour
            assert torch.allclose(ours[0, :, y, x], expected, atol=1e-12)


def test_equals_scipys_hermite_splines_whose_slopes_are_central_differences() -> None:
    def along(values: np.ndarray, size: int) -> np.ndarray:
        repeated = np.concatenate([values[:1], values, values[-1:]])
        slopes = (repeated[2:] - repeated[:-2]) / 2
        return CubicHermiteSpline([0, 1, 2], values, slopes)(np.linspace(0, 2, size))

    grid = drawn(1).double()
    expected = along(along(grid[0, 0].numpy(), 40).T, 57).T
    np.testing.assert_allclose(displacement(grid, 40, 57)[0, 0].numpy(), expected, atol=1e-12)


def test_passes_through_the_vectors_at_corners_sides_and_centre() -> None:
    grid = drawn(3)
    torch.testing.assert_close(displacement(grid, 41, 17)[:, :, ::20, ::8], grid)


def test_equal_vectors_move_all_pixels_alike() -> None:
    grid = torch.tensor([3.0, -7.0])[None, :, None, None].expand(1, 2, 3, 3)
    field = displacement(grid, 30, 20)
    torch.testing.assert_close(field[0, 0], torch.full((30, 20), 3.0))
    torch.testing.assert_close(field[0, 1], torch.full((30, 20), -7.0))


def test_no_vectors_displace_nothing_to_the_last_bit() -> None:
    assert not displacement(torch.zeros(2, 2, 3, 3), 33, 32).any()


def test_a_patch_of_one_pixel_has_a_displacement() -> None:
    assert displacement(unfolded(drawn(2), 1, 1), 1, 1).isfinite().all()


@pytest.mark.parametrize("size", [380, 572])
def test_the_papers_deformation_is_left_as_drawn_at_the_papers_patch_sizes(size: int) -> None:
    grid = drawn(500)
    assert torch.equal(unfolded(grid, size, size), grid)


@pytest.mark.parametrize(("height", "width", "sigma"), [(16, 16, 10.0), (128, 128, 10.0), (64, 256, 40.0)])
def test_no_field_folds_the_patch(height: int, width: int, sigma: float) -> None:
    field = displacement(unfolded(drawn(50, sigma=sigma), height, width).double(), height, width)
    down = (field[:, :, 1:] - field[:, :, :-1])[..., :-1]
    across = (field[..., 1:] - field[..., :-1])[:, :, :-1]
    derivative = torch.stack([down, across], -1).permute(0, 2, 3, 1, 4)
    assert torch.linalg.matrix_norm(derivative, 2).max() < 1.05 * STEEPEST  # steepness is sampled at 32 × 32 places
    assert torch.linalg.det(derivative + torch.eye(2)).min() > 0


def test_a_steep_field_is_made_smaller_as_a_whole() -> None:
    grid = drawn(20)
    ratio = unfolded(grid, 64, 64) / grid
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    assert (ratio < 1).any() and (ratio > 0).all()
