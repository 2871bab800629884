"""Random numbers of PyTorch's global generators that are a training's own."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import torch
from torch import Tensor


class Randomness:
    """A context in which the global generators go on with a sequence of its own; then they are as they were found.

    Initial weights and dropout draw from the global generators, which belong to whoever uses the library: without
    this, a training would change the numbers that others draw, and theirs would change the training.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        self._own = {kind: torch.Generator(kind).manual_seed(seed).get_state() for kind in {"cpu": 0, device.type: 0}}
        self._others: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        assert not self._others, "entered twice"
        self._others = self._exchanged(self._own)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._own, self._others = self._exchanged(self._others), {}

    def state(self) -> dict[str, Tensor]:
        """Where the sequence is, by the kind of device: "cpu", and the training's own if that is another."""
        return dict(self._own)

    def restore(self, states: Mapping[str, Tensor]) -> None:
        """Go on where a sequence was; on a device of a kind that it did not know, from the beginning."""
        self._own |= {kind: state for kind, state in states.items() if kind in self._own}

    def _exchanged(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the generators these states; theirs of before are returned."""
        found = {kind: self._found(kind) for kind in states}
        for kind, state in states.items():
            if kind == "cpu":
                torch.set_rng_state(state)
            elif kind == "mps":
                torch.mps.set_rng_state(state)
            else:
                torch.get_device_module(kind).set_rng_state(state, self._device)
        return found

    def _found(self, kind: str) -> Tensor:
        if kind == "cpu":
            return torch.get_rng_state()
        if kind == "mps":  # of which a machine has one
            return torch.mps.get_rng_state()
        state: Tensor = torch.get_device_module(kind).get_rng_state(self._device)
        return state
