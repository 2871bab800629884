"""3×3 convolutions in a quarter of the multiplications. Lavin, Gray: Fast Algorithms for Convolutional Neural Networks.
CVPR 2016, Section 4: F(4×4, 3×3), after Winograd's minimal filtering.

4×4 pixels of the answer look at 6×6 pixels. Both that tile and the filter are seen as polynomials and evaluated at six
points an axis; there convolution is multiplication, 36 in place of 144, and for all channels and tiles a matrix product
at each of the 36 places. The filters are transformed once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from ushape.engines.filtering_kernels import LANES, LARGE, PANEL, SMALL, SPAN, TILE, filter_tiles


class MinimalConvolution(nn.Module):
    """A convolution that `can_be_minimal`, and the ReLU behind it if `rectified`; of evaluation only."""

    filters: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, *, rectified: bool) -> None:
        super().__init__()
        assert can_be_minimal(convolution), convolution
        weight, bias = convolution.weight.detach(), convolution.bias
        self.register_buffer("filters", minimal_filters(weight))
        self.register_buffer("bias", weight.new_zeros(len(weight)) if bias is None else bias.detach())
        self.padding, self.rectified = int(convolution.padding[0]), rectified

    def forward(self, x: Tensor) -> Tensor:
        return minimal_convolution(x, self.filters, self.bias, self.padding, self.rectified)


def can_be_minimal(convolution: nn.Conv2d) -> bool:
    """Whether it is 3×3, goes pixel by pixel over plain or zero-padded maps, and its channels fill the vectors."""
    padding = convolution.padding
    return (
        (convolution.kernel_size, convolution.stride, convolution.dilation) == ((3, 3), (1, 1), (1, 1))
        and (convolution.groups, convolution.padding_mode) == (1, "zeros")
        and padding in ((0, 0), (1, 1))
        and convolution.in_channels % LANES == 0
        and convolution.out_channels % PANEL == 0
        and convolution.weight.dtype == torch.float32
    )


def minimal_filters(weight: Tensor) -> Tensor:
    """(K, C, 3, 3) weights → (36, K / PANEL, C, PANEL) filters at the points, computed in float64."""
    made, channels = weight.shape[:2]
    along = _evaluation()
    at_points = torch.from_numpy(np.kron(along, along).T).to(weight.device)
    filters = weight.new_empty(SPAN**2, made // PANEL, channels, PANEL)
    for number in range(made // PANEL):
        panel = weight[PANEL * number : PANEL * (number + 1)].double()
        filters[:, number] = (panel.flatten(2) @ at_points).permute(2, 1, 0)
    return filters


def minimal_convolution(x: Tensor, filters: Tensor, bias: Tensor, padding: int, rectified: bool) -> Tensor:
    """(N, C, H, W) map → (N, K, H + 2 padding − 2, W + 2 padding − 2), channels last."""
    if has_torch_function((x,)):  # a recorder notes it as one layer
        made: Tensor = handle_torch_function(minimal_convolution, (x,), x, filters, bias, padding, rectified)
        return made
    images, channels, height, width = x.shape
    above = x.new_zeros(images, channels, padding, width)
    return filtered(above, x, filters, bias, rows=height + 2 * padding - 2, padding=padding, rectified=rectified)


def filtered(
    above: Tensor, below: Tensor, filters: Tensor, bias: Tensor, *, rows: int, padding: int, rectified: bool
) -> Tensor:
    """The first rows of the convolution of a map whose rows are those above and those below, and then zeros.

    padding: columns of zeros at each side.
    """
    images, _, _, width = below.shape
    made = filters.shape[1] * filters.shape[3]
    shape = images, made, rows, width + 2 * padding - 2
    answer = torch.empty(shape, device=below.device, memory_format=torch.channels_last)
    if below.is_meta:
        return answer
    tiles = -(-shape[2] // TILE) * -(-shape[3] // TILE)
    for image in range(images):
        given = (_pixels(above[image]), _pixels(below[image]), filters.numpy(), bias.numpy())
        compute = partial(filter_tiles, *given, answer[image].permute(1, 2, 0).numpy(), padding, rectified)
        _in_shares(compute, tiles, torch.get_num_threads())
    return answer


def _in_shares(compute: Any, tiles: int, threads: int) -> None:
    """Every thread its share of the tiles."""
    if threads == 1:
        compute(0, tiles)
        return
    ends = [tiles * n // threads for n in range(threads + 1)]
    list(_threads(threads).map(compute, ends[:-1], ends[1:]))


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="minimal filtering")


def _pixels(image: Tensor) -> NDArray[np.float32]:
    """(C, h, w) → (h, w, C) in one piece, without a copy where they are laid out so."""
    pixels: NDArray[np.float32] = image.permute(1, 2, 0).contiguous().numpy()
    return pixels


def _evaluation() -> NDArray[np.float64]:
    """(6, 3): G, which evaluates a filter's three weights at the points, divided by what interpolation asks for."""
    lines = [[1 / (SMALL * LARGE) ** 2, 0, 0]]
    for point, other in ((SMALL, LARGE), (LARGE, SMALL)):
        share = 1 / (2 * point**2 * (point**2 - other**2))
        lines += [[share, share * at, share * at**2] for at in (point, -point)]
    return np.array([*lines, [0, 0, 1]])
