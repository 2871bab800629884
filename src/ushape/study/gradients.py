"""Batches → how strong the gradient is that arrives in each part of a network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ushape.data.patches import Batch
from ushape.models.segmenter import Segmenter

Energy = Callable[[Sequence[Tensor], Batch], Tensor]
"""What a training makes small: of a network's outputs for a batch, one number."""


def gradient_norms(model: Segmenter, parts: Sequence[str], batches: Sequence[Batch], energy: Energy) -> list[float]:
    """The Euclidean norm of the energy's gradient by all weights of each named part, as a mean over the batches.

    Batches are normalised by themselves, as in training; nothing is dropped out, so that the same batches give the same
    norms. The network stays what it is.
    """
    model = copy.deepcopy(model).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    sums = [0.0] * len(parts)
    for batch in batches:
        model.zero_grad()
        energy(model.outputs(batch.image), batch).backward()  # type: ignore[no-untyped-call]
        for number, part in enumerate(parts):
            gradients = [p.grad.flatten() for p in model.get_submodule(part).parameters() if p.grad is not None]
            sums[number] += float(torch.cat(gradients).norm())
    return [total / len(batches) for total in sums]
