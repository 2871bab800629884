"""The gradient of 3×3 convolutions' weights as products of matrices: the slow half of a float32 training step, faster.

On processors with AVX2 and no more, oneDNN finds this gradient at a quarter of the speed at which it convolves (16 of
66 GFLOP/s for 32 channels, channels-last); cut into pieces that stay in the cache, it is a plain product, and the BLAS
has 50 to 70. docs/results.md has what a whole step gains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

_PIECE = 2**19  # numbers that are laid out for one product: 2 MiB, of the order of a cache
_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default


def fast_weight_gradients(device: torch.device) -> AbstractContextManager[object]:
    """A context in which the backward pass takes the faster way, where the device is one that has it.

    Results agree with PyTorch's own to the rounding of float32, and are the same bits from run to run.
    """
    slow = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return _WeightGradients() if slow else nullcontext()  # type: ignore[no-untyped-call]


def weight_gradient(gradient: Tensor, image: Tensor, padding: Sequence[int]) -> Tensor:
    """(N, K, h, w) gradient of a 3×3 convolution's output, (N, C, H, W) input → (K, C, 3, 3) gradient of its weights.

    H + 2 × padding = h + 2, and likewise W: stride and dilation are 1.
    """
    outputs, inputs = gradient.shape[1], image.shape[1]
    width = gradient.shape[3]
    of_output = gradient.permute(0, 2, 3, 1).contiguous()
    padded = F.pad(image.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0])).contiguous()
    rows = max(1, _PIECE // (width * 3 * inputs))
    total = padded.new_zeros(3, outputs, 3 * inputs)
    for one_image, one_gradient in zip(padded, of_output, strict=True):
        for top, piece in enumerate(one_gradient.split(rows)):
            height = len(piece)
            neighbours = _three_in_a_row(one_image[top * rows : top * rows + height + 2], width)
            flat = piece.reshape(height * width, outputs).t()
            for down in range(3):
                total[down].addmm_(flat, neighbours[down : down + height].view(height * width, 3 * inputs))
    return total.view(3, outputs, 3, inputs).permute(1, 3, 0, 2)


def _three_in_a_row(rows: Tensor, width: int) -> Tensor:
    """(h, W, C) → (h, width, 3 C): beside each pixel its two neighbours to the right."""
    down, right, _ = rows.stride()
    return rows.as_strided((len(rows), width, 3 * rows.shape[2]), (down, right, 1), rows.storage_offset()).contiguous()


class _WeightGradients(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers the backward pass of the convolutions that it can, and leaves everything else as it is."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # Any: whatever PyTorch's operators take and give
        if func is not _CONVOLUTION_BACKWARD or not _is_ours(*args):
            return func(*args, **(kwargs or {}))
        gradient, image, _, _, _, padding, _, _, _, _, (of_image, _, of_bias) = args
        from_pytorch, _, _ = func(*args[:-1], [True, False, False]) if of_image else (None, None, None)
        bias = gradient.sum(dim=(0, 2, 3)) if of_bias else None
        return from_pytorch, weight_gradient(gradient, image, padding), bias


def _is_ours(
    gradient: Tensor,
    image: Tensor,
    weight: Tensor,
    _bias: Any,
    stride: Sequence[int],
    _padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Any,
    groups: int,
    wanted: Sequence[bool],
) -> bool:
    """Whether this is a plain 3×3 convolution in float32 with enough channels to be worth it."""
    plain = weight.shape[2:] == (3, 3) and set(stride) == {1} == set(dilation) and not transposed and groups == 1
    return plain and wanted[1] and gradient.dtype == image.dtype == torch.float32 and weight.shape[1] >= 8
