"""record(model, height, width) → the layers that a network calls, in order, with the sizes of their maps.

The networks here are written to be read, in plain calls of PyTorch; what is called, one pass over tensors without
values tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ushape.models.segmenter import Segmenter, evaluating


@dataclass(frozen=True)
class Map:
    """The map that layer `number` makes, standing for it among a later layer's arguments; number 0 is the image."""

    number: int


@dataclass(frozen=True)
class Layer:
    """One call: the function, its arguments, in which maps are `Map`s and weights are the network's own, and the
    (N, C, H, W) shape of the map that it makes.
    """

    function: Callable[..., Tensor]
    args: tuple[Any, ...]  # Any: what PyTorch's functions take
    kwargs: dict[str, Any]
    shape: torch.Size

    @property
    def inputs(self) -> list[int]:
        """The numbers of the maps that it is given, in the order of its arguments."""
        return [m.number for m in _maps([*self.args, *self.kwargs.values()])]

    def __call__(self, *maps: Tensor) -> Tensor:
        """The map that it makes of the maps that it is given."""
        given = iter(maps)
        args = [_filled(value, given) for value in self.args]
        made: Tensor = _called(
            self.function, args, {name: _filled(value, given) for name, value in self.kwargs.items()}
        )
        return made


def record(model: Segmenter, height: int, width: int, *, outline: bool = False) -> list[Layer]:
    """The layers that make (1, K, h, w) logits of a (1, in_channels, height, width) image, the logits last, as in
    evaluation.

    Layers whose answer nothing depends on are left out. outline: with weights that have sizes and no values, on
    PyTorch's "meta" device. SizeError for a size that the network cannot take.
    """
    values = dict([*model.named_parameters(), *model.named_buffers()])
    outlines = {name: torch.empty_like(value, device="meta") for name, value in values.items()}
    image = torch.empty(1, model.in_channels, height, width, device="meta")
    weights = {} if outline else {id(outlines[name]): value.detach() for name, value in values.items()}
    recorder = _Recorder(image, weights)
    with torch.inference_mode(), evaluating(model), recorder:
        logits = functional_call(model, outlines, image)
    return _needed(recorder.layers, recorder.number_of(logits))


class _Recorder(TorchFunctionMode):
    """Notes the calls that make a tensor of tensors."""

    def __init__(self, image: Tensor, weights: dict[int, Tensor]) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self._weights = weights
        self._kept = [image]  # while a tensor lives, no other has its id
        self._numbers = {id(image): 0}

    def __torch_function__(
        self, function: Callable[..., Any], _: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = _called(function, args, kwargs or {})
        named = [self._named(value) for value in args], {k: self._named(v) for k, v in (kwargs or {}).items()}
        if isinstance(made, Tensor) and _maps([*named[0], *named[1].values()]):
            self.layers.append(Layer(function, tuple(named[0]), named[1], made.shape))
            self._kept.append(made)
            self._numbers[id(made)] = len(self.layers)  # a call in place makes the same tensor anew
        return made

    def number_of(self, made: Tensor) -> int:
        return self._numbers[id(made)]

    def _named(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            number = self._numbers.get(id(value))
            return self._weights.get(id(value), value) if number is None else Map(number)
        return type(value)(self._named(v) for v in value) if type(value) in (list, tuple) else value


def _called(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What the function makes. PyTorch takes 30 ms to normalise a map without values, which keeps its size."""
    if function is F.batch_norm and args[0].is_meta:
        return torch.empty_like(args[0])
    return function(*args, **kwargs)


def _needed(layers: list[Layer], last: int) -> list[Layer]:
    """The layers up to `last` that it depends on, numbered anew."""
    needed, wanted = set[int](), [last]
    while wanted:
        number = wanted.pop()
        if number and number not in needed:
            needed.add(number)
            wanted += layers[number - 1].inputs
    numbers = {0: 0} | {old: new for new, old in enumerate(sorted(needed), start=1)}

    def renumbered(value: Any) -> Any:
        if isinstance(value, Map):
            return Map(numbers[value.number])
        return type(value)(renumbered(v) for v in value) if type(value) in (list, tuple) else value

    return [
        Layer(one.function, renumbered(one.args), {k: renumbered(v) for k, v in one.kwargs.items()}, one.shape)
        for one in (layers[number - 1] for number in sorted(needed))
    ]


def _maps(values: list[Any] | tuple[Any, ...]) -> list[Map]:
    found: list[Map] = []
    for value in values:
        if isinstance(value, Map):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _maps(value)
    return found


def _filled(value: Any, maps: Iterator[Tensor]) -> Any:
    if isinstance(value, Map):
        return next(maps)
    return type(value)(_filled(v, maps) for v in value) if type(value) in (list, tuple) else value
