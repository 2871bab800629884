"""Layers that are given the rows of a map from the top down, some at a time, and make the rows of theirs as they can.

Each keeps the few rows that its next answer still needs, so that no row of any map is computed twice. What it makes is
to the last row what it would make of the whole map, down to the bottom: there a map of rows simply breaks off, where
the layer would see its padding. `row_layer(layer)` gives the one for a recorded call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ushape.engines.minimal_filtering import filtered, minimal_convolution
from ushape.errors import UshapeError
from ushape.predict.recording import Layer, Map

_IN_EVERY_ROW: frozenset[Callable[..., Any]] = frozenset(
    [F.relu, F.batch_norm, F.dropout, F.log_softmax, F.pad, torch.logaddexp, Tensor.add, Tensor.sub, torch.cat]
)


class NotByRows(UshapeError):
    """A layer whose rows cannot be made one after another, by this module."""


class RowLayer(Protocol):
    """One layer; `held` counts the elements that it keeps."""

    def push(self, *rows: Tensor | None) -> Tensor | None:
        """(1, C, h, w) next rows of each map that it is given → next rows of what it makes; None stands for none."""
        ...

    @property
    def held(self) -> int: ...


class RowByRow:
    """Any function of one map that answers for each row by itself."""

    held = 0

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function

    def push(self, *rows: Tensor | None) -> Tensor | None:
        return None if rows[0] is None else self._function(rows[0])


class Together:
    """A function of several maps, row by row: the rows of one wait for those of the others."""

    def __init__(self, function: Callable[..., Tensor], maps: int) -> None:
        self._function = function
        self._waiting = [deque[Tensor]() for _ in range(maps)]

    def push(self, *rows: Tensor | None) -> Tensor | None:
        for waiting, new in zip(self._waiting, rows, strict=True):
            if new is not None:
                waiting.append(new)
        ready = min(sum(part.shape[2] for part in waiting) for waiting in self._waiting)
        return self._function(*(_taken(waiting, ready) for waiting in self._waiting)) if ready else None

    @property
    def held(self) -> int:
        return sum(part.numel() for waiting in self._waiting for part in waiting)


class Windowed:
    """Convolution and pooling: a row of the answer looks at `span` rows, the next begins `stride` rows below.

    padding: rows of zeros above the map.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, span: int, stride: int, padding: int = 0) -> None:
        self._function, self._span, self._stride, self._padding = function, span, stride, padding
        self._rest: Tensor | None = None

    def push(self, *rows: Tensor | None) -> Tensor | None:
        (new,) = rows
        if new is None:
            return None
        if self._rest is None:
            new = F.pad(new, (0, 0, self._padding, 0)) if self._padding else new
        elif self._rest.shape[2]:
            new = torch.cat([self._rest, new], dim=2)
        answers = (new.shape[2] - self._span) // self._stride + 1
        if answers < 1:
            self._rest = new
            return None
        used = answers * self._stride
        self._rest = new[:, :, used:].clone()  # a copy, so that the rows above it are let go of
        return self._function(new[:, :, : used - self._stride + self._span])

    @property
    def held(self) -> int:
        return 0 if self._rest is None else self._rest.numel()


class Filtered:
    """Minimal filtering, which takes the rows that it kept and the next ones without joining them."""

    def __init__(self, filters: Tensor, bias: Tensor, padding: int, rectified: bool) -> None:
        self._filters, self._bias, self._padding, self._rectified = filters, bias, padding, rectified
        self._above: Tensor | None = None

    def push(self, *rows: Tensor | None) -> Tensor | None:
        (new,) = rows
        if new is None:
            return None
        above = new.new_zeros(*new.shape[:2], self._padding, new.shape[3]) if self._above is None else self._above
        self._above = torch.cat([above, new[:, :, -2:]], dim=2)[:, :, -2:].clone()
        answers = above.shape[2] + new.shape[2] - 2
        if answers < 1:
            return None
        return filtered(
            above, new, self._filters, self._bias, rows=answers, padding=self._padding, rectified=self._rectified
        )

    @property
    def held(self) -> int:
        return 0 if self._above is None else self._above.numel()


class Enlarged:
    """Linear interpolation between pixel centres (`align_corners=False`), the first row repeated above the map."""

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._above: Tensor | None = None

    def push(self, *rows: Tensor | None) -> Tensor | None:
        (new,) = rows
        if new is None:
            return None
        first = 0 if self._above is None else self._factor - self._factor // 2
        new = new if self._above is None else torch.cat([self._above, new], dim=2)
        self._above = new[:, :, -1:].clone()
        enlarged = F.interpolate(new, scale_factor=self._factor, mode="bilinear", align_corners=False)
        answer = enlarged[:, :, first : enlarged.shape[2] - self._factor // 2]
        return answer if answer.shape[2] else None

    @property
    def held(self) -> int:
        return 0 if self._above is None else self._above.numel()


class Cropped:
    """The rows from `first` on, every `step`-th, and of these a part of the channels and columns."""

    held = 0

    def __init__(self, first: int, step: int, channels: slice, columns: slice) -> None:
        self._skip, self._step, self._channels, self._columns = first, step, channels, columns

    def push(self, *rows: Tensor | None) -> Tensor | None:
        (new,) = rows
        if new is None:
            return None
        kept = new[:, self._channels, self._skip :: self._step, self._columns]
        self._skip += kept.shape[2] * self._step - new.shape[2]
        return kept if kept.shape[2] else None


def row_layer(layer: Layer) -> RowLayer:
    """The layer by rows; NotByRows where it is none that this module knows."""
    maker = _MAKERS.get(layer.function)
    made = maker(layer) if maker else _row_by_row(layer)
    if made is None:
        raise NotByRows(f"{layer.function} with {layer.args[1:]} {layer.kwargs} does not work by rows.")
    return made


def _row_by_row(layer: Layer) -> RowLayer | None:
    if layer.function not in _IN_EVERY_ROW or not _leaves_rows_alone(layer):
        return None
    if layer.function is F.dropout:
        return None if _given(layer, 2, "training", True) else RowByRow(lambda rows: rows)
    maps = len(layer.inputs)
    return RowByRow(layer) if maps == 1 else Together(layer, maps)


def _leaves_rows_alone(layer: Layer) -> bool:
    if layer.function is F.pad:
        return all(n == 0 for n in layer.args[1][:4]) and len(layer.args) == 2
    if layer.function in (torch.cat, F.log_softmax):
        return bool(_given(layer, 1, "dim", None) == 1)
    return layer.function is not F.batch_norm or not _given(layer, 5, "training", False)


def _convolution(layer: Layer) -> RowLayer | None:
    weight, bias = _given(layer, 1, "weight", None), _given(layer, 2, "bias", None)
    stride, padding = _pair(_given(layer, 3, "stride", 1)), _given(layer, 4, "padding", 0)
    dilation, groups = _pair(_given(layer, 5, "dilation", 1)), _given(layer, 6, "groups", 1)
    if isinstance(padding, str):
        return None
    above, beside = _pair(padding)

    def convolve(rows: Tensor) -> Tensor:
        return F.conv2d(rows, weight, bias, stride, (0, beside), dilation, groups)

    return Windowed(convolve, span=dilation[0] * (weight.shape[2] - 1) + 1, stride=stride[0], padding=above)


def _minimal_convolution(layer: Layer) -> RowLayer:
    return Filtered(*layer.args[1:])


def _up_convolution(layer: Layer) -> RowLayer | None:
    kernel, stride = tuple(_given(layer, 1, "weight", None).shape[2:]), _pair(_given(layer, 3, "stride", 1))
    plain = layer.args[4:] in ((), (0, 0, 1, 1), ((0, 0), (0, 0), 1, (1, 1)))
    return RowByRow(layer) if kernel == stride and plain and not layer.kwargs else None


def _pooling(layer: Layer) -> RowLayer | None:
    kernel = _pair(_given(layer, 1, "kernel_size", None))
    stride = _pair(_given(layer, 2, "stride", None) or kernel)
    padding, whole = _pair(_given(layer, 3, "padding", 0)), not _given(layer, 5, "ceil_mode", False)
    dilation = _given(layer, 4, "dilation", 1) if layer.function is F.max_pool2d else 1
    plain = padding == (0, 0) and (whole or layer.function is not F.max_pool2d) and dilation in (1, (1, 1))
    return Windowed(layer, span=kernel[0], stride=stride[0]) if plain and kernel == stride else None


def _enlarging(layer: Layer) -> RowLayer | None:
    factor, mode = _given(layer, 2, "scale_factor", None), _given(layer, 3, "mode", "nearest")
    if not isinstance(factor, int) or _given(layer, 4, "align_corners", None):
        return None
    if mode == "nearest":
        return RowByRow(layer)
    return Enlarged(factor) if mode == "bilinear" else None


def _cropping(layer: Layer) -> RowLayer | None:
    parts = layer.args[1] if isinstance(layer.args[1], tuple) else (layer.args[1],)
    if parts[0] is Ellipsis:
        parts = (slice(None),) * (5 - len(parts)) + parts[1:]
    if not all(isinstance(part, slice) for part in parts):
        return None
    images, channels, rows, columns = parts + (slice(None),) * (4 - len(parts))
    first = rows.start or 0
    if images != slice(None) or first < 0:
        return None
    return Cropped(first, rows.step or 1, channels, columns)


_MAKERS: dict[Callable[..., Any], Callable[[Layer], RowLayer | None]] = {
    F.conv2d: _convolution,
    minimal_convolution: _minimal_convolution,
    F.conv_transpose2d: _up_convolution,
    F.max_pool2d: _pooling,
    F.avg_pool2d: _pooling,
    F.interpolate: _enlarging,
    Tensor.__getitem__: _cropping,
}


def _given(layer: Layer, place: int, name: str, default: Any) -> Any:
    """An argument, by its place or its name."""
    value = layer.kwargs.get(name, layer.args[place] if place < len(layer.args) else default)
    assert not isinstance(value, Map), layer
    return value


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _taken(waiting: deque[Tensor], rows: int) -> Tensor:
    """The first rows of those that wait, which they wait no more."""
    parts = []
    while rows:
        part = waiting.popleft()
        if part.shape[2] > rows:
            waiting.appendleft(part[:, :, rows:])
            part = part[:, :, :rows]
        parts.append(part)
        rows -= part.shape[2]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
