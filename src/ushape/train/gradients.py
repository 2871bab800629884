"""A batch → the gradients of its loss, in as few parts as the memory allows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ushape.data.patches import Batch
from ushape.device import Precision, autocast, laid_out
from ushape.models.segmenter import Segmenter
from ushape.process_group import ALONE, ProcessGroup
from ushape.recipe import TrainingRecipe
from ushape.train.convolution_gradients import fast_gradients
from ushape.train.losses import loss
from ushape.train.together import forward_of


class Gradients:
    """What a step of training asks of a network.

    parts: into how many a batch is divided, 1 at first. Where the memory of a GPU does not hold a batch, more: the
    gradients are then means over the parts, each with its own normalisation and its own sums in the loss.
    """

    def __init__(
        self,
        model: Segmenter,
        recipe: TrainingRecipe,
        *,
        precision: Precision,
        class_weights: Tensor | None = None,
        processes: ProcessGroup = ALONE,
    ) -> None:
        self.model, self.recipe, self.precision, self.class_weights = model, recipe, precision, class_weights
        self.processes, self.parts = processes, 1
        self._forward = forward_of(model, processes)

    def find(self, batch: Batch, *, statistics_kept: bool = False) -> float:
        """The loss of a batch, whose gradients are then in the model; OutOfMemoryError where one patch is too much.

        statistics_kept: batch normalisation normalises by those that it has gathered, as it will in prediction.
        """
        own = _divided(batch, self.processes.size)[self.processes.rank]
        self.model.train()
        if statistics_kept:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                    module.eval()
        while True:
            try:
                return sum(self._of_part(part) for part in _divided(own, self.parts))
            except torch.OutOfMemoryError:
                if self.processes.size > 1 or self.parts == len(own.image):
                    raise
            self.parts = next(n for n in range(self.parts + 1, len(own.image) + 1) if len(own.image) % n == 0)
            self.model.zero_grad()
            torch.cuda.empty_cache()

    def _of_part(self, part: Batch) -> float:
        """The share of a part in the loss."""
        device = part.image.device
        with autocast(device, self.precision):
            outputs = self._forward(laid_out(part.image))
        energy = loss(
            outputs,
            part.classes,
            name=self.recipe.loss,
            class_weights=self.class_weights,
            weights=part.weights,
            processes=self.processes,
        )
        with fast_gradients(device):
            (energy / self.parts).backward()  # type: ignore[no-untyped-call]
        return float(energy.detach()) / self.parts


def _divided(batch: Batch, parts: int) -> list[Batch]:
    weights = [None] * parts if batch.weights is None else batch.weights.chunk(parts)
    of_parts = zip(batch.image.chunk(parts), batch.classes.chunk(parts), weights, strict=True)
    return [Batch(image, classes, weights) for image, classes, weights in of_parts]
