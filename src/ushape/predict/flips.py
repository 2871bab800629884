"""Averages of a network's answers over flips and quarter turns, which move pixels onto pixels.

Legal inputs differ by whole steps of the pooling grid, so that a flipped tile lies on the grid of the flipped image,
wherever it was cut: averaging keeps the law that the tile size never changes the answer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def flipped(x: Tensor, number: int) -> Tensor:
    """The eight symmetries of the square, 0 … 7, on the last two axes: quarter turns, the last four mirrored first."""
    x = x.flip(-1) if number >= 4 else x
    return torch.rot90(x, number % 4, (-2, -1))


def unflipped(x: Tensor, number: int) -> Tensor:
    """Undoes `flipped`."""
    x = torch.rot90(x, -(number % 4), (-2, -1))
    return x.flip(-1) if number >= 4 else x


def mean_over_flips(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The mean of `network` (N, C, H, W) → (N, K, h, w) over all eight, each turned back."""
    mean = network(x) / 8
    for number in range(1, 8):
        mean += unflipped(network(flipped(x, number)), number) / 8
    return mean
