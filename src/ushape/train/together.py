"""Networks in training by several processes: layers that look at a whole batch, of which each process has a share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from ushape.models.segmenter import Segmenter
from ushape.process_group import ProcessGroup, lost_processes_named

Forward = Callable[[Tensor], Sequence[Tensor]]


def forward_of(model: Segmenter, processes: ProcessGroup) -> Forward:
    """What a training step calls for the model's outputs; its gradients are the means over all processes.

    Several processes: the model's layers of normalisation and dropout are replaced by such as look at the whole batch,
    with the same weights under the same names, and all processes take over the leader's weights.
    """
    if processes.size == 1:
        return model.outputs
    _replace(model, processes)
    with lost_processes_named():
        forward: Forward = DistributedDataParallel(_Outputs(model))
    return forward


class GroupBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by mean and variance of the whole batch, (N, C, h, w) of which each process has as much; of
    volumes too.
    """

    def __init__(self, like: nn.BatchNorm2d | nn.BatchNorm3d, processes: ProcessGroup) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats)
        self.processes = processes
        self.weight, self.bias = like.weight, like.bias
        self.running_mean, self.running_var = like.running_mean, like.running_var
        self.num_batches_tracked = like.num_batches_tracked

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        size = self.processes.size
        space = range(2, x.ndim)
        own_variance, own_mean = torch.var_mean(x.float(), dim=(0, *space), correction=0)
        mean = self.processes.total(own_mean) / size
        variance = self.processes.total(own_variance + (own_mean - mean).square()) / size
        self._remember(mean.detach(), variance.detach(), size * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        of_channel = (slice(None), *(None for _ in space))
        return (x * scale[of_channel] + shift[of_channel]).to(x.dtype)

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of axes will do."""

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.momentum is not None and self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


class GroupDropout(nn.Dropout):
    """Dropout that draws for the whole batch, as one process would, and uses the numbers of its own share."""

    def __init__(self, like: nn.Dropout, processes: ProcessGroup) -> None:
        super().__init__(like.p)
        self.processes = processes

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        whole = x.new_ones((len(x) * self.processes.size, *x.shape[1:]))
        if x.is_contiguous(memory_format=torch.channels_last):
            whole = whole.contiguous(memory_format=torch.channels_last)
        return x * self.processes.share(F.dropout(whole, self.p))


class _Outputs(nn.Module):
    """A model whose call gives all that training looks at, for what knows of calls alone."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        return self.model.outputs(x)

    def named_buffers(self, *_: object, **__: object) -> Iterator[tuple[str, Tensor]]:
        """None that anybody would have to send around: they are alike in all processes, and stay so."""
        return iter(())


def _replace(module: nn.Module, processes: ProcessGroup) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d | nn.BatchNorm3d):
            setattr(module, name, GroupBatchNorm(child, processes))
        elif isinstance(child, nn.Dropout):
            setattr(module, name, GroupDropout(child, processes))
        else:
            _replace(child, processes)
