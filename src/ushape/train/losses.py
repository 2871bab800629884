"""Logits and class maps → one number to be made small. Ignored pixels count in none of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ushape.labels import IGNORED, per_class

LossName = Literal["cross-entropy", "dice", "cross-entropy+dice"]


def loss(
    outputs: Sequence[Tensor], classes: Tensor, *, name: LossName, class_weights: Tensor | None, weights: Tensor | None
) -> Tensor:
    """The named loss, averaged over all (N, K, h, w) outputs of a network.

    classes: (N, h, w) uint8. class_weights: (K,), of the cross-entropy. weights: (N, h, w), of the cross-entropy.
    """
    total = outputs[0].new_zeros(())
    for logits in outputs:
        logits = per_class(logits.float())
        if name != "dice":
            total = total + cross_entropy(logits, classes, class_weights, weights)
        if name != "cross-entropy":
            total = total + dice_loss(logits, classes)
    return total / len(outputs)


def cross_entropy(logits: Tensor, classes: Tensor, class_weights: Tensor | None, weights: Tensor | None) -> Tensor:
    """Mean over the counted pixels of -w(x) log p(x) (U-Net 2015, eq. 1, with the sign that makes it small)."""
    energy = F.cross_entropy(logits, classes.long(), weight=class_weights, ignore_index=IGNORED, reduction="none")
    if weights is not None:
        energy = energy * weights
    return energy.sum() / (classes != IGNORED).sum().clamp(min=1)


def dice_loss(logits: Tensor, classes: Tensor, *, smooth: float = 1.0) -> Tensor:
    """1 - mean over the foreground classes of the batch's soft Dice, 2 Σ p·g / (Σ p + Σ g).

    `smooth` pixels are added above and below, so that a class in neither truth nor answer costs nothing.
    """
    counted = (classes != IGNORED)[:, None]
    truth = F.one_hot(classes.long().masked_fill(classes == IGNORED, 0), logits.shape[1]).movedim(-1, 1)
    truth = (truth * counted)[:, 1:]
    probability = (torch.softmax(logits, dim=1) * counted)[:, 1:]
    both = (probability * truth).sum(dim=(0, 2, 3))
    either = probability.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    return 1 - ((2 * both + smooth) / (either + smooth)).mean()
