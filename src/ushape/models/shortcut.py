"""ResNet's shortcut, without parameters. He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. 2016."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Shortcut(nn.Module):
    """(N, C, H, W) map → (N, channels, h, w): what a block was given, as it is, to be added to what the block makes.

    stride: every so many-th pixel passes. rim: pixels that an unpadded block takes off at each edge.

    Channels that both maps have pass; those that come new are 0 (Section 3.3, option A). Those that are too many are
    dropped, which is ours, for ResNet knows no such block: given [copy, up] of a U, it is the copy that passes.
    """

    def __init__(self, channels: int, *, stride: int = 1, rim: int = 0) -> None:
        super().__init__()
        self.channels, self.stride, self.rim = channels, stride, rim

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (slice(self.rim, size - self.rim, self.stride) for size in x.shape[-2:])
        passed = x[:, : self.channels, rows, columns]
        new = self.channels - passed.shape[1]
        return F.pad(passed, (0, 0, 0, 0, 0, new)) if new else passed
