"""Logits and class maps → one number to be made small. Ignored pixels count in none of them.

Where little is annotated, annotated pixels stand for all. People draw as much on objects as beside them, however small
the objects are, and a network that learned so many objects would answer with too many. So pixels of a class weigh its
share of all pixels over its share of the annotated ones. The former nobody knows; it is what the network answers, which
makes each step one of expectation maximisation for the shares (Saerens, Latinne and Decaestecker 2002). Where class
weights are asked for, they hold alone.

A batch may be shared by several processes: every sum over its pixels is then one over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ushape.labels import IGNORED, per_class
from ushape.metrics.scope import is_sparse
from ushape.process_group import ALONE, ProcessGroup

_MOST = 8.0

LossName = Literal["cross-entropy", "dice", "cross-entropy+dice"]


def loss(
    outputs: Sequence[Tensor],
    classes: Tensor,
    *,
    name: LossName,
    class_weights: Tensor | None,
    weights: Tensor | None,
    processes: ProcessGroup = ALONE,
) -> Tensor:
    """The named loss, averaged over all (N, K, h, w) outputs of a network; of volumes, (N, K, d, h, w).

    classes: (N, h, w) uint8. class_weights: (K,), of the cross-entropy. weights: (N, h, w), of the cross-entropy.
    processes: those that share the batch, of which all these are this one's share.
    """
    total = outputs[0].new_zeros(())
    stands_for = (
        None if class_weights is not None else stand_for(per_class(outputs[0].detach().float()), classes, processes)
    )
    for logits in outputs:
        logits = per_class(logits.float())
        if name != "dice":
            of_classes = class_weights if stands_for is None else stands_for
            total = total + cross_entropy(logits, classes, of_classes, weights, processes)
        if name != "cross-entropy":
            total = total + dice_loss(logits, classes, class_weights=stands_for, processes=processes)
    return total / len(outputs)


def stand_for(logits: Tensor, classes: Tensor, processes: ProcessGroup = ALONE) -> Tensor | None:
    """(K,), for how many pixels an annotated one of each class stands, 1 in the mean; None unless little is annotated.

    logits: (N, K, h, w), of all pixels. A class has at most eight times more or less of them than of the annotated.
    """
    counted = classes != IGNORED
    if not is_sparse(float(processes.total(counted.float().mean()) / processes.size)):
        return None
    present = processes.total(torch.bincount(classes[counted].flatten().long(), minlength=logits.shape[1]).float())
    answered = processes.total(torch.softmax(logits, dim=1).mean(dim=_all_but_classes(logits))) / processes.size
    annotated = present / present.sum().clamp(min=1)
    ratio = (answered / annotated.clamp(min=1e-6)).clamp(1 / _MOST, _MOST)
    return ratio / (ratio * annotated).sum().clamp(min=1e-6)


def cross_entropy(
    logits: Tensor,
    classes: Tensor,
    class_weights: Tensor | None,
    weights: Tensor | None,
    processes: ProcessGroup = ALONE,
) -> Tensor:
    """Mean over the counted pixels of -w(x) log p(x) (U-Net 2015, eq. 1, with the sign that makes it small)."""
    energy = F.cross_entropy(logits, classes.long(), weight=class_weights, ignore_index=IGNORED, reduction="none")
    if weights is not None:
        energy = energy * weights
    return processes.total(energy.sum()) / processes.total((classes != IGNORED).sum()).clamp(min=1)


def dice_loss(
    logits: Tensor,
    classes: Tensor,
    *,
    class_weights: Tensor | None = None,
    smooth: float = 1.0,
    processes: ProcessGroup = ALONE,
) -> Tensor:
    """1 - mean over the foreground classes of the batch's soft Dice, 2 Σ p·g / (Σ p + Σ g).

    class_weights: (K,), as how many pixels one of each class counts. `smooth` pixels are added above and below, so that
    a class in neither truth nor answer costs nothing.
    """
    known = classes.long().masked_fill(classes == IGNORED, 0)
    counts = (classes != IGNORED) if class_weights is None else (classes != IGNORED) * class_weights[known]
    truth = (F.one_hot(known, logits.shape[1]).movedim(-1, 1) * counts[:, None])[:, 1:]
    probability = torch.softmax(logits, dim=1)[:, 1:]
    over = _all_but_classes(logits)
    both = processes.total((probability * truth).sum(dim=over))
    either = processes.total((probability * counts[:, None]).sum(dim=over) + truth.sum(dim=over))
    return 1 - ((2 * both + smooth) / (either + smooth)).mean()


def _all_but_classes(logits: Tensor) -> list[int]:
    return [0, *range(2, logits.ndim)]
