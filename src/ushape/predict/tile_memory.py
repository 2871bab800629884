"""How large a tile may be, for the memory that a pass takes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ushape.errors import RecipeError
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import keep_within, keep_within_image, largest_read
from ushape.models.segmenter import Segmenter

_LARGEST_TILE = 2048  # pixels of input a side: beyond, a tile saves next to nothing and progress gets coarse
_MEASURED: WeakKeyDictionary[Segmenter, float] = WeakKeyDictionary()  # a second's work for U²-Net, asked per image


def largest_keep(model: Segmenter, footprints: Sequence[Footprint], memory_bytes: int) -> tuple[int, ...]:
    """The largest kept part per axis whose tile needs at most this much memory, by the model's own measure."""
    per_pixel = bytes_per_pixel(model)
    pixels = min(memory_bytes / per_pixel, _LARGEST_TILE ** len(footprints))
    smallest = [f.input_for(f.multiple) for f in footprints]
    if pixels < np.prod(smallest):
        least = int(np.prod(smallest) * per_pixel / 2**20) + 1
        raise RecipeError(
            f"{memory_bytes / 2**20:.0f} MiB are too little for this network: its smallest tile, "
            f"{'x'.join(map(str, smallest))} pixels, takes about {least} MiB. Allow at least that."
        )
    return keep_within(int(pixels), footprints)


def largest_keep_of_image(
    model: Segmenter, footprints: Sequence[Footprint], memory_bytes: int, shape: tuple[int, int]
) -> tuple[int, ...]:
    """The same for a network that sees the edges of an image, in which tiles read no farther than it reaches."""
    per_pixel = bytes_per_pixel(model)
    keep = keep_within_image(int(memory_bytes / per_pixel), footprints, shape)
    needed = largest_read(shape, footprints, keep) * per_pixel
    if needed > memory_bytes:
        height, width = shape
        raise RecipeError(
            f"{memory_bytes / 2**20:.0f} MiB are too little for {height} x {width} pixels: this network looks "
            f"{footprints[0].margin} px around, so that its smallest tile takes about {needed / 2**20 + 1:.0f} MiB. "
            "Allow that with --memory, or make the image smaller."
        )
    return keep


def largest_keep_of_volume(model: Segmenter, memory_bytes: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The largest kept part per axis of a tile of a volume that needs at most this much memory, cubes as far as the
    volume reaches; each is measured on its own, since of an unpadded network little is left of a small cube.

    RecipeError where even the smallest needs more.
    """
    footprints = model.footprints
    step = max(footprint.multiple for footprint in footprints)

    def keep(steps: int) -> tuple[int, ...]:
        return tuple(
            min(steps * step, -(-size // f.multiple) * f.multiple) for size, f in zip(shape, footprints, strict=True)
        )

    def needed(steps: int) -> int:
        return pass_bytes(model, [f.input_for(n) for f, n in zip(footprints, keep(steps), strict=True)])

    most = -(-max(shape) // step)
    fitting = bisect_right(range(1, most + 1), memory_bytes, key=needed)
    if not fitting:
        raise RecipeError(
            f"{memory_bytes / 2**20:.0f} MiB are too little for this network: its smallest tile takes about "
            f"{needed(1) / 2**20 + 1:.0f} MiB. Allow that with --memory, or train a narrower or shallower network."
        )
    return keep(fitting)


def smallest_tile_bytes(model: Segmenter) -> int:
    """What a tile takes that keeps one step of the pooling grid."""
    step = max(footprint.multiple for footprint in model.footprints)
    return pass_bytes(model, [footprint.input_for(step) for footprint in model.footprints])


def bytes_per_pixel(model: Segmenter) -> float:
    """About how much memory a float32 pass takes per input pixel, from the sizes of the maps that it makes.

    Twice the largest layer's input and output together (frameworks reorder both), four times the largest map beside
    them for the copies that wait for the expanding path, and four times the image and the answer, which flips turn and
    add up. What passes really take, by benchmarks/prediction_memory.py, is 40 to 95 % of this.
    """
    if model not in _MEASURED:
        _MEASURED[model] = _measured(model)
    return _MEASURED[model]


def _measured(model: Segmenter) -> float:
    side = model.footprint.input_for(_LARGEST_TILE)  # unpadded, a small tile would shrink to next to nothing
    return pass_bytes(model, [side, side]) / side**2


def pass_bytes(model: Segmenter, sides: Sequence[int]) -> int:
    """The same of a pass over a tile of these sides."""
    sizes: list[tuple[int, int]] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append((inputs[0].numel(), output.numel()))

    leaves = [m for m in model.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    x = torch.empty(1, model.in_channels, *sides, device="meta")  # where tensors have sizes and no values
    values = [*model.named_parameters(), *model.named_buffers()]
    try:
        answer: Tensor = functional_call(model, {name: torch.empty_like(v, device="meta") for name, v in values}, x)
    finally:
        for hook in hooks:
            hook.remove()
    largest_layer, largest_map = max(a + b for a, b in sizes), max(b for _, b in sizes)
    return 4 * (2 * largest_layer + 4 * largest_map + 4 * (x.numel() + answer.numel()))
