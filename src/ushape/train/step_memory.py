"""The memory of a training step, known before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ushape.data.patches import Example, PatchSampler
from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.models import outlined
from ushape.models.segmenter import Segmenter
from ushape.recipe import Recipe

_MOMENTS = {"adamw": 2, "sgd": 1}  # numbers that an optimiser keeps of each weight


def network(recipe: Recipe, channels: int, labels: Labels) -> Segmenter:
    """A recipe's network without weights: its sizes can be asked, and it takes no memory."""
    return outlined(recipe.model.name, in_channels=channels, classes=labels.classes, **recipe.model.options)


def patch_px(model: Segmenter, recipe: Recipe) -> tuple[int, int]:
    """Sides of what a training's patches show the network, and of what they ask, along rows."""
    shown, asked = patch_sides(model, recipe)
    return shown[-1], asked[-1]


def patch_sides(model: Segmenter, recipe: Recipe) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same along every axis."""
    one = [1] * model.axes
    nothing = Example("nothing", torch.zeros(model.in_channels, *one), torch.zeros(*one, dtype=torch.uint8))
    sampler = PatchSampler(
        [nothing],
        model.footprints,
        output_size=recipe.training.output_sizes(model.axes),
        batch=recipe.training.batch,
        augmentation=recipe.augmentation,
        seed=0,
        device=torch.device("cpu"),
    )
    return sampler.input_sizes, sampler.output_sizes


def step_bytes(model: Segmenter, recipe: Recipe) -> int:
    """Bytes that a training step holds, in float32: weights, gradients, running mean, the optimiser's moments, and all
    maps that the way back needs, counted tensor by tensor. model: without weights, as `network` builds it.

    With the working memory of PyTorch, processes were seen to grow by 1.3 to 1.5 times as much. RecipeError where the
    patches are so few and small that there is nothing to normalise over.
    """
    seen_sides, _ = patch_sides(model, recipe)
    weights = [p for p in model.parameters() if p.requires_grad]
    of_weights = 4 * sum(p.numel() for p in weights)
    of_state: int = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    moments = _MOMENTS[recipe.training.optimiser]
    x = torch.empty(recipe.training.batch, model.in_channels, *seen_sides, device="meta")
    return 2 * of_state + (1 + moments) * of_weights + _kept_bytes(model, x)  # the state twice: its running mean


def _kept_bytes(model: Segmenter, x: Tensor) -> int:
    """Maps that wait for the way back, weights aside, and the answers."""
    kept: dict[int, Tensor] = {}
    state: Mapping[str, Tensor] = dict([*model.named_parameters(), *model.named_buffers()])
    known = {_storage(t) for t in state.values()}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(_storage(tensor), tensor)
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            answers = model.outputs(x)
    except ValueError as error:  # batch normalisation of a single number
        raise RecipeError(
            f"A batch of {len(x)} with patches of {x.shape[-1]} px leaves nothing to normalise over: {error}. Take a "
            "larger [training] batch or output_size."
        ) from error
    for answer in answers:
        keep(answer)
    return sum(int(t.untyped_storage().nbytes()) for key, t in kept.items() if key not in known)


def _storage(tensor: Tensor) -> int:
    """Equal for tensors that share their memory; those without pixels have no address to tell them by."""
    return int(tensor.untyped_storage()._cdata)
