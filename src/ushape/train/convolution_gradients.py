"""The way back through convolutions as products of matrices: the slow half of a float32 training step, faster.

On processors with AVX2 and no more, oneDNN finds the gradient of a 3×3 convolution's weights at a quarter of the speed
at which it convolves (16 of 66 GFLOP/s for 32 channels, channels-last); cut into pieces that stay in the cache, it is a
plain product, and the BLAS has 50 to 70. A 2×2 up-convolution is one product from the outset, 2.0 to 3.7 times as fast.
docs/results.md has what a whole step gains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_PIECE = 2**19  # numbers that are laid out for one product: 2 MiB, of the order of a cache
_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward.default


def fast_gradients(device: torch.device) -> AbstractContextManager[object]:
    """A context in which the backward pass takes the faster way, where the device is one that has it.

    Results agree with PyTorch's own to the rounding of float32, and are the same bits from run to run.
    """
    slow = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return _MatrixProducts() if slow else nullcontext()  # type: ignore[no-untyped-call]


def weight_gradient(gradient: Tensor, image: Tensor, padding: Sequence[int]) -> Tensor:
    """(N, K, h, w) gradient of a 3×3 convolution's output, (N, C, H, W) input → (K, C, 3, 3) gradient of its weights.

    H + 2 × padding = h + 2, and likewise W: stride and dilation are 1.
    """
    outputs, inputs = gradient.shape[1], image.shape[1]
    width = gradient.shape[3]
    of_output = gradient.permute(0, 2, 3, 1).contiguous()
    padded = _padded(image.permute(0, 2, 3, 1), *padding)
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


def up_gradients(gradient: Tensor, image: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a 2×2 up-convolution's input, (N, C, h, w), and weights, (C, K, 2, 2).

    gradient: (N, K, 2h, 2w), of its output. image: (N, C, h, w), its input. No two of its windows overlap.
    """
    images, inputs, height, width = image.shape
    outputs = weight.shape[1]
    rows = gradient.permute(0, 2, 3, 1).contiguous().view(images, height, 2, width, 2 * outputs)
    windows = rows.transpose(2, 3).reshape(-1, 4 * outputs)
    flat = image.permute(0, 2, 3, 1).reshape(-1, inputs)
    of_image = windows @ weight.permute(0, 2, 3, 1).reshape(inputs, 4 * outputs).t()
    of_weight = flat.t() @ windows
    return (
        of_image.view(images, height, width, inputs).permute(0, 3, 1, 2),
        of_weight.view(inputs, 2, 2, outputs).permute(0, 3, 1, 2),
    )


def _padded(image: Tensor, down: int, right: int) -> Tensor:
    """(N, H, W, C) → with a rim of zeros; only the rim is cleared, which takes a fifth of the time."""
    images, height, width, channels = image.shape
    padded = image.new_empty(images, height + 2 * down, width + 2 * right, channels)
    inner = padded[:, down : down + height, right : right + width]
    for rim in (padded[:, :down], padded[:, down + height :], padded[:, :, :right], padded[:, :, right + width :]):
        rim.zero_()
    inner.copy_(image)
    return padded


def _three_in_a_row(rows: Tensor, width: int) -> Tensor:
    """(h, W, C) → (h, width, 3 C): beside each pixel its two neighbours to the right."""
    down, right, _ = rows.stride()
    return rows.as_strided((len(rows), width, 3 * rows.shape[2]), (down, right, 1), rows.storage_offset()).contiguous()


class _MatrixProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers the backward pass of the convolutions that it can, and leaves everything else as it is."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # Any: whatever PyTorch's operators take and give
        call = _Backward(*args) if func is _CONVOLUTION_BACKWARD else None
        if call is None or not (call.is_three_by_three or call.is_up_convolution):
            return func(*args, **(kwargs or {}))
        of_image, _, of_bias = call.wanted
        bias = call.gradient.sum(dim=(0, 2, 3)) if of_bias else None
        if call.is_up_convolution:
            return *up_gradients(call.gradient, call.image, call.weight), bias
        image = func(*args[:-1], [True, False, False])[0] if of_image else None
        return image, weight_gradient(call.gradient, call.image, call.padding), bias


class _Backward(NamedTuple):
    """A call of PyTorch's operator for the way back through a convolution; wanted: of input, weights, bias."""

    gradient: Tensor
    image: Tensor
    weight: Tensor
    bias_sizes: Sequence[int] | None
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    transposed: bool
    output_padding: Sequence[int]
    groups: int
    wanted: Sequence[bool]

    @property
    def is_three_by_three(self) -> bool:
        """Whether this is a plain 3×3 convolution, with enough channels to be worth it."""
        plain = self.weight.shape[2:] == (3, 3) and set(self.stride) == {1} and not self.transposed
        return plain and self.image.shape[1] >= 8 and self._is_taken

    @property
    def is_up_convolution(self) -> bool:
        """Whether this is an up-convolution whose windows lie side by side."""
        side_by_side = self.weight.shape[2:] == (2, 2) and set(self.stride) == {2}
        return side_by_side and self.transposed and {*self.padding, *self.output_padding} == {0} and self._is_taken

    @property
    def _is_taken(self) -> bool:
        in_float32 = self.gradient.dtype == self.image.dtype == torch.float32
        return in_float32 and self.wanted[1] and self.groups == 1 and set(self.dilation) == {1}
