"""Recipe → optimiser, learning rate, and the running mean of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ushape.recipe import TrainingRecipe

_RISE = 0.1  # share of a one-cycle schedule in which the learning rate rises
_SHORT_RISE = 0.02  # the same of a training that may end long before its budget
FALL = 0.2  # share of such a training, whenever it ends, in which the learning rate falls


def optimiser(model: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """SGD with momentum (U-Net 2015, Section 3), or AdamW; weight decay spares biases and normalisation.

    A group's "rate" is what the learning rate is multiplied by: FCN's biases learn twice as fast.
    """
    learning = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": recipe.weight_decay, "rate": 1.0},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0, "rate": recipe.bias_rate},
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def learning_rate(recipe: TrainingRecipe, progress: float) -> float:
    """The rate at a share 0 … 1 of the training."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "until-flat":
        return recipe.learning_rate * min(0.05 + 0.95 * progress / _SHORT_RISE, 1.0, (1 - progress) / FALL)
    if progress < _RISE:
        return recipe.learning_rate * (0.05 + 0.95 * progress / _RISE)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - _RISE) / (1 - _RISE))))


class RunningMean:
    """An exponential mean of a network's weights over the steps, biased towards the latest while it is young."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = {name: t.detach().clone() for name, t in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        now = model.state_dict()
        floats = [name for name, t in now.items() if t.is_floating_point()]
        torch._foreach_lerp_([self.weights[n] for n in floats], [now[n] for n in floats], 1 - decay)
        for name in now.keys() - set(floats):
            self.weights[name].copy_(now[name])

    def restore(self, weights: dict[str, Tensor], steps: int) -> None:
        """Go on from weights that were saved; KeyError if one is missing."""
        self.steps = steps
        for name, value in self.weights.items():
            value.copy_(weights[name])
