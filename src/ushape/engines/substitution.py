"""A network → one that computes the same with minimal filtering in place of convolutions, where that pays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ushape.device import channels_last
from ushape.engines.agreement import agreement, noise
from ushape.engines.minimal_filtering import MinimalConvolution, can_be_minimal
from ushape.models.segmenter import Segmenter, evaluating

MOST_NOISE = 1e-5
"""Root mean square of the difference, in standard deviations of the logits. Both ways are 3e-6 from float64."""
_LEAST_GAIN = 1.2  # times as fast as the convolution; below, another day's clock would choose otherwise
_MEASURED_CHANNELS = 128  # what is gained with more is more
_MEASURED_TILES = 48
_GROWTH = 4  # filters at 36 points, of 9 weights


def minimal(model: Segmenter, most_bytes: int) -> Segmenter:
    """A copy, for evaluation on a processor, whose convolutions are minimal where this machine gains by it.

    most_bytes: what the filters of all may take, beyond the weights; convolutions of fine maps, whose filters are
    small, come first. The network itself where no convolution qualifies, or where its answer to noise would differ by
    more than rounding does.
    """
    chosen = list(_chosen(model, most_bytes))
    if not chosen:
        return model
    rectifiers = _rectifiers(model)
    copy = deepcopy(model, {id(p): p for p in model.parameters()}).eval()  # the weights are the network's own
    for name in chosen:
        convolution = copy.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        _replace(copy, name, MinimalConvolution(convolution, rectified=name in rectifiers))
    for name in {rectifier for of, rectifier in rectifiers.items() if of in chosen}:
        _replace(copy, name, nn.Identity())
    return copy if _agree(model, copy) else model


def filter_bytes(model: nn.Module) -> int:
    """What the filters of its minimal convolutions take."""
    return sum(m.filters.nbytes for m in model.modules() if isinstance(m, MinimalConvolution))


def _chosen(model: Segmenter, most_bytes: int) -> Iterator[str]:
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and can_be_minimal(m)}
    for name in sorted(found, key=lambda name: found[name].weight.numel()):
        most_bytes -= _GROWTH * found[name].weight.nbytes
        if most_bytes < 0:
            return
        if _gain(*(min(n, _MEASURED_CHANNELS) for n in found[name].weight.shape[:2])) >= _LEAST_GAIN:
            yield name


@cache
def _gain(made: int, channels: int) -> float:
    """How many times as fast as PyTorch's convolution, by a few thousandths of a second of each, in turn."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():  # the caller's random numbers are the caller's
        direct = channels_last(nn.Conv2d(channels, made, 3, padding=1))
        x = torch.ones(1, channels, 8, 2 * _MEASURED_TILES).contiguous(memory_format=torch.channels_last)
        ways: list[Callable[[Tensor], Tensor]] = [
            lambda x: F.relu_(direct(x)),
            MinimalConvolution(direct, rectified=True),
        ]
        rounds: list[list[float]] = [[_seconds(way, x) for way in ways] for _ in range(7)]
    return min(one for one, _ in rounds) / min(other for _, other in rounds)


def _seconds(way: Callable[[Tensor], Tensor], x: Tensor) -> float:
    begin = time.perf_counter()
    way(x)
    return time.perf_counter() - begin


def _rectifiers(model: Segmenter) -> dict[str, str]:
    """Convolution → the ReLU that works in place on what it gave, and on nothing else."""
    given: list[tuple[Tensor, str]] = []  # the tensors are held, so that no two have the same identity
    called: dict[str, list[str | None]] = {}
    hooks = []

    def note_convolution(name: str) -> Callable[..., None]:
        return lambda _, inputs, output: given.append((output, name))

    def note_rectifier(name: str) -> Callable[..., None]:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            called.setdefault(name, []).append(next((of for tensor, of in given if tensor is inputs[0]), None))

        return note

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(note_convolution(name)))
        elif isinstance(module, nn.ReLU) and module.inplace:
            hooks.append(module.register_forward_pre_hook(note_rectifier(name)))
    side = model.footprint.smallest_input
    x = torch.empty(1, model.in_channels, side, side, device="meta")
    values = [*model.named_parameters(), *model.named_buffers()]
    try:
        with evaluating(model):
            functional_call(model, {name: torch.empty_like(v, device="meta") for name, v in values}, x)
    finally:
        for hook in hooks:
            hook.remove()
    return {of[0]: name for name, of in called.items() if len(of) == 1 and of[0] is not None}


def _agree(model: Segmenter, copy: Segmenter) -> bool:
    x = noise(model, *[model.footprint.smallest_input] * 2)
    with torch.inference_mode(), evaluating(model):
        expected, found = model(x), copy(x)
    off = (found - expected).square().mean().sqrt()
    return agreement(expected, found).holds and float(off) <= MOST_NOISE * max(float(expected.std()), 1e-6)


def _replace(model: nn.Module, name: str, by: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, by)
