"""What a prediction will cost: how an image is divided, what is computed twice, memory and time."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ushape.geometry.tiles import plan
from ushape.models.segmenter import Segmenter, evaluating
from ushape.predict.recording import Layer, record
from ushape.predict.row_stream import RowStream
from ushape.predict.strategy import Strategy
from ushape.predict.tile_memory import bytes_per_pixel

_TIMED_COLUMNS = 512  # of the answer; a machine's pace is the same on wider maps


@dataclass(frozen=True)
class Outlook:
    """One network on an image of one size.

    parts: blocks of bands, or tiles, of this (height, width) each at most; by_rows: which. rows: pushed at a time.
    waste: multiply-adds done, by those of one pass over the whole image; 1 where nothing is computed twice.
    bytes: about what is in memory at most, beyond weights, image and mask. multiply_adds: of all parts.
    """

    by_rows: bool
    parts: int
    part_shape: tuple[int, int]
    rows: int
    waste: float
    bytes: int
    multiply_adds: int


def outlook(model: Segmenter, shape: tuple[int, int], strategy: Strategy) -> Outlook:
    """Of a (height, width) image; nothing is computed. RecipeError where the memory is too little."""
    bands, height = strategy.bands(shape), shape[0]
    whole = multiply_adds(model, *(f.input_for(n) for f, n in zip(strategy.footprints, shape, strict=True)))
    if bands is not None:
        blocks = strategy.blocks(shape)
        kept, sides = (
            (blocks.step[0], blocks.step[1]),
            [blocks.window(n).shape[0] for n in range(0, len(blocks), len(bands.bands))],
        )
        downwards = [strategy.footprints[0].input_for(side) for side in sides]
        reads = Counter((down, band.right - band.left) for band in bands.bands for down in downwards)
        rows, taken = bands.rows, bands.bytes
    else:
        keep = strategy.keep(shape)
        reads = Counter((tile.read.shape[0], tile.read.shape[1]) for tile in plan(shape, strategy.footprints, keep))
        kept = (min(keep[0], height), min(keep[1], shape[1]))
        rows, taken = 0, int(bytes_per_pixel(model) * max(math.prod(read) for read in reads))
    done = sum(number * multiply_adds(model, *read) for read, number in reads.items())
    return Outlook(bands is not None, sum(reads.values()), kept, rows, done / whole, taken, done)


def multiply_adds(model: Segmenter, height: int, width: int) -> int:
    """Of all convolutions of one pass over an input of this size."""
    layers = record(model, height, width, outline=True)
    shapes = [torch.Size([1, model.in_channels, height, width]), *[layer.shape for layer in layers]]
    return sum(_multiply_adds(layer, shapes[layer.inputs[0]]) for layer in layers)


def pace(model: Segmenter) -> float:
    """Multiply-adds per second that the network reaches here, by rows, or in one pass where it sees edges."""
    height, width = model.footprint.smallest_input, model.footprint.input_for(_TIMED_COLUMNS)
    image = torch.zeros(1, model.in_channels, height, width, device=model.device)
    image = image.contiguous(memory_format=torch.channels_last)

    def once() -> float:
        begin = time.perf_counter()
        answer = model.exact(image) if model.footprint.sees_edges else RowStream(model, width).push(image)
        if answer is not None:
            float(answer.sum())  # reading a number waits for the device
        return time.perf_counter() - begin

    with torch.inference_mode(), evaluating(model):
        once()
        return multiply_adds(model, height, width) / once()


def _multiply_adds(layer: Layer, given: torch.Size) -> int:
    if layer.function not in (F.conv2d, F.conv_transpose2d):
        return 0
    weight: Tensor = layer.args[1]
    looked_at = layer.shape.numel() * weight.shape[1] if layer.function is F.conv2d else given.numel() * weight.shape[1]
    return looked_at * math.prod(weight.shape[2:])
