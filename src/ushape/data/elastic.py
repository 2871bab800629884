"""The elastic deformation of U-Net 2015, Section 3.1: random vectors on a coarse 3×3 grid, bicubic in between.

The paper's "bicubic interpolation" is read as what image processing calls by that name: separable cubic convolution
with the kernel of Keys (1981), a = −1/2, and the grid repeated beyond its rim. It passes through the vectors, and its
slope is continuous. The nine grid points lie on the patch's corners, the middles of its sides, and its centre; of a
volume there are 3×3×3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

GRID = 3
"""Grid points along each axis (Section 3.1)."""

STEEPEST = 0.5
"""Displacements change by about this many pixels per pixel at most: the image is stretched no more than twofold, and
since it is below 1, nothing folds."""

_SAMPLES = {2: 33, 3: 17}  # along each axis, by how many axes there are


def displacement(vectors: Tensor, *sizes: int) -> Tensor:
    """(N, 2, 3, 3) vectors (y, x) in pixels → (N, 2, height, width) displacements in pixels, through the vectors.

    Of volumes: (N, 3, 3, 3, 3) vectors (z, y, x) → (N, 3, depth, height, width).

    >>> displacement(torch.tensor([[[[0.0, 4.0, 8.0]] * 3] * 2]), 5, 3)[0, 1, 0].tolist()
    [0.0, 4.0, 8.0]
    """
    assert vectors.shape[1:] == (len(sizes), *(GRID for _ in sizes)), vectors.shape
    return _along_each(vectors, [_weights(size).to(vectors) for size in sizes])


def unfolded(vectors: Tensor, *sizes: int) -> Tensor:
    """The vectors, those of a field that is too steep for its patch made shorter, all of them by one factor.

    With the paper's σ of 10 px this touches no patch of the paper's size, nor of 380 px, and one in 30 of 256 px; at
    128 px vectors shrink to 3/4 in the median, and smaller patches are deformed in proportion to their size.
    """
    axes = range(len(sizes))
    count = _SAMPLES[len(sizes)]
    samples = _weights(count).to(vectors)
    slopes = samples.diff(dim=0) * (count - 1)
    between = (samples[1:] + samples[:-1]) / 2
    derivatives = [
        _along_each(vectors, [slopes if axis == along else between for axis in axes]) / max(sizes[along] - 1, 1)
        for along in axes
    ]
    steepest = _steepest_of_plane(*derivatives) if len(sizes) == 2 else _steepest(derivatives)
    return vectors * (STEEPEST / steepest.clamp(min=STEEPEST)).view(-1, *(1 for _ in vectors.shape[1:]))


def _along_each(vectors: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """(N, A, 3, …) with each axis of the grid multiplied by a matrix, the first axis first."""
    *others, last = matrices
    for axis, matrix in enumerate(others, start=2):
        vectors = (matrix @ vectors.movedim(axis, -2)).movedim(-2, axis)
    return vectors @ last.T


def _steepest_of_plane(down: Tensor, across: Tensor) -> Tensor:
    """(N,), the change per pixel in the steepest direction: the larger singular value of the derivative."""
    squares = down.square().sum(1) + across.square().sum(1)
    determinant = down[:, 0] * across[:, 1] - down[:, 1] * across[:, 0]
    return ((squares + (squares.square() - 4 * determinant.square()).clamp(min=0).sqrt()) / 2).amax((1, 2)).sqrt()


def _steepest(derivatives: Sequence[Tensor]) -> Tensor:
    """The same for any number of axes: (N, A, …) along each → (N,)."""
    jacobian = torch.stack([derivative.flatten(2) for derivative in derivatives], dim=1)  # (N, along, component, place)
    steepest: Tensor = torch.linalg.matrix_norm(jacobian.permute(0, 3, 2, 1), ord=2).amax(1)
    return steepest


@lru_cache(maxsize=64)
def _weights(size: int) -> Tensor:
    """(size, 3): how much each grid point counts at each pixel of an axis; rows sum to 1."""
    places = torch.linspace(0, GRID - 1, size, dtype=torch.float64)
    weights = torch.zeros(size, GRID, dtype=torch.float64)
    for point in range(-2, GRID + 2):
        weights[:, min(max(point, 0), GRID - 1)] += _cubic((places - point).abs())
    return weights


def _cubic(distance: Tensor) -> Tensor:
    """Keys's kernel with a = −1/2: 1 at distance 0, 0 at 1 and from 2 up."""
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))
