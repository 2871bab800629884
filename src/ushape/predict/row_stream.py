"""A network through which an image passes row by row: nothing is computed twice, and only a few rows are in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from ushape.models.segmenter import Segmenter
from ushape.predict.recording import record
from ushape.predict.row_layers import RowLayer, row_layer


class RowStream:
    """The exact logits of an image of this width and any height, whose rows are pushed in from the top.

    outline: of a network without values, into which rows without values are pushed: it tells what is in memory.
    Raises NotByRows for a network that cannot work so, SizeError for a width that it cannot take.
    """

    def __init__(self, model: Segmenter, width: int, *, outline: bool = False) -> None:
        footprint = model.footprint
        margin = footprint.margin if footprint.padded else 0
        layers = record(model, footprint.smallest_input, width, outline=outline)
        self._layers: list[RowLayer] = [row_layer(layer) for layer in layers]
        self._inputs = [layer.inputs for layer in layers]
        self._done_with = _last_uses(self._inputs)
        self._columns = slice(margin, width - margin)
        self._inexact_rows = margin  # of the logits, yet to come

    def push(self, rows: Tensor) -> Tensor | None:
        """(1, in_channels, h, width) next rows of the image → (1, K, h', w') next rows of its exact logits.

        They begin, and end, the margin below the image's first row and left of its last column; None as long as there
        are none. In evaluation mode only, and without gradients.
        """
        maps: list[Tensor | None] = [rows, *[None] * len(self._layers)]
        for number in range(1, len(maps)):
            self._make(number, maps)
        logits = maps[-1]
        if logits is None:
            return None
        skipped = min(self._inexact_rows, logits.shape[2])
        self._inexact_rows -= skipped
        return logits[:, :, skipped:, self._columns] if skipped < logits.shape[2] else None

    def _make(self, number: int, maps: list[Tensor | None]) -> None:
        """The next rows of one map; those that no later map needs are let go of."""
        inputs = self._inputs[number - 1]
        maps[number] = self._layers[number - 1].push(*(maps[i] for i in inputs))
        for done in self._done_with[number - 1]:
            maps[done] = None


class MeasuredStream(RowStream):
    """The same without values, which counts.

    most_elements: how many numbers were in memory at once. It counts what is a view of another map as well.
    """

    def __init__(self, model: Segmenter, width: int) -> None:
        super().__init__(model, width, outline=True)
        self._shape = (1, model.in_channels, 0, width)
        self.most_elements = 0

    def push_rows(self, rows: int) -> int:
        """Pushes so many; how many came out."""
        _, channels, _, width = self._shape
        answer = self.push(torch.empty(1, channels, rows, width, device="meta"))
        return 0 if answer is None else answer.shape[2]

    def _make(self, number: int, maps: list[Tensor | None]) -> None:
        given = sum(rows.numel() for i in self._inputs[number - 1] if (rows := maps[i]) is not None)
        before = sum(rows.numel() for rows in maps if rows is not None)
        super()._make(number, maps)
        made = maps[number]
        held = sum(layer.held for layer in self._layers)
        now = before + given + held + (0 if made is None else made.numel())  # a window's rows are copied to lie in one
        self.most_elements = max(self.most_elements, now)


def _last_uses(inputs: list[list[int]]) -> list[list[int]]:
    """For each layer the maps that no later one is given."""
    last = {given: place for place, numbers in enumerate(inputs) for given in numbers}
    return [[given for given, place in last.items() if place == here] for here in range(len(inputs))]
