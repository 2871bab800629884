"""What a network costs before it is trained: parameters, operations, and the memory of a training step."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ushape.labels import Labels
from ushape.models.anatomy import dissect
from ushape.recipe import Recipe
from ushape.train.step_memory import network, patch_px, step_bytes

_SIDE_PX = 1000  # of the answer whose operations are counted: a megapixel


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
    seen, asked = patch_px(model, recipe)
    of_each = [model] if not stages else [network(stage, channels, labels) for stage in stages]
    return Cost(
        parameters=model.parameter_count,
        multiply_adds_per_megapixel=anatomy.multiply_adds / answered**2 * 1e6,
        step_bytes=max(step_bytes(one, recipe) for one in of_each),
        patch_px=(seen, asked),
        trainings=max(1, len(stages)),
    )
