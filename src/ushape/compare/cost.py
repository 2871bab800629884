"""What a network costs before it is trained: parameters, operations, and the memory of a training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ushape.data.patches import Example, PatchSampler
from ushape.labels import Labels
from ushape.models import build
from ushape.models.anatomy import dissect
from ushape.models.segmenter import Segmenter
from ushape.recipe import Recipe

_SIDE_PX = 1000  # of the answer whose operations are counted: a megapixel
_MOMENTS = {"adamw": 2, "sgd": 1}  # numbers that an optimiser keeps of each weight


@dataclass(frozen=True)
class Cost:
    """A network in figures; of a training in stages, those of its last network, and the memory of the largest step.

    multiply_adds_per_megapixel: of an answer of 1000 × 1000 pixels, with the context that it takes.
    step_bytes: what a training step holds: weights, gradients, running mean, the optimiser's moments, and all maps that
    the way back needs, counted tensor by tensor in float32, and so the same on every machine. With the working memory
    of PyTorch, processes were seen to grow by 1.3 to 1.5 times as much.
    patch_px: side of what the network sees of a patch, and of what it answers. trainings: stages, or 1.
    """

    parameters: int
    multiply_adds_per_megapixel: float
    step_bytes: int
    patch_px: tuple[int, int]
    trainings: int

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def cost(recipe: Recipe, channels: int, labels: Labels) -> Cost:
    """Of a recipe's network on such images; nothing is trained, and no pixel computed.

    RecipeError or SizeError for a network that cannot be built.
    """
    model, stages = network(recipe, channels, labels), [recipe.of_stage(n) for n in range(len(recipe.stages))]
    footprint = model.footprint
    wanted = _SIDE_PX if footprint.sees_edges else footprint.input_for(_SIDE_PX)
    anatomy = dissect(model, wanted)
    answered = footprint.exact_output(anatomy.input_size[0])
    seen, asked = _patch(model, recipe)
    of_each = [model] if not stages else [network(stage, channels, labels) for stage in stages]
    return Cost(
        parameters=model.parameter_count,
        multiply_adds_per_megapixel=anatomy.multiply_adds / answered**2 * 1e6,
        step_bytes=max(_step_bytes(one, recipe, seen) for one in of_each),
        patch_px=(seen, asked),
        trainings=max(1, len(stages)),
    )


def network(recipe: Recipe, channels: int, labels: Labels) -> Segmenter:
    """A recipe's network without weights: its sizes can be asked, and it takes no memory."""
    with torch.device("meta"):
        return build(recipe.model.name, in_channels=channels, classes=labels.classes, **recipe.model.options)


def _patch(model: Segmenter, recipe: Recipe) -> tuple[int, int]:
    """What a training's patches show the network, and what they ask."""
    nothing = Example("nothing", torch.zeros(model.in_channels, 1, 1), torch.zeros(1, 1, dtype=torch.uint8))
    sampler = PatchSampler(
        [nothing],
        model.footprint,
        output_size=recipe.training.output_size,
        batch=recipe.training.batch,
        augmentation=recipe.augmentation,
        seed=0,
        device=torch.device("cpu"),
    )
    return sampler.input_size, sampler.output_size


def _step_bytes(model: Segmenter, recipe: Recipe, seen_px: int) -> int:
    weights = [p for p in model.parameters() if p.requires_grad]
    of_weights = 4 * sum(p.numel() for p in weights)
    of_state: int = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    moments = _MOMENTS[recipe.training.optimiser]
    x = torch.empty(recipe.training.batch, model.in_channels, seen_px, seen_px, device="meta")
    return 2 * of_state + (1 + moments) * of_weights + _kept_bytes(model, x)  # the state twice: its running mean


def _kept_bytes(model: Segmenter, x: Tensor) -> int:
    """Maps that wait for the way back, weights aside, and the answers."""
    kept: dict[int, Tensor] = {}
    state: Mapping[str, Tensor] = dict([*model.named_parameters(), *model.named_buffers()])
    known = {_storage(t) for t in state.values()}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(_storage(tensor), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answers = model.outputs(x)
    for answer in answers:
        keep(answer)
    return sum(int(t.untyped_storage().nbytes()) for key, t in kept.items() if key not in known)


def _storage(tensor: Tensor) -> int:
    """Equal for tensors that share their memory; those without pixels have no address to tell them by."""
    return int(tensor.untyped_storage()._cdata)
