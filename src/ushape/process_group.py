"""Several processes, on one machine or many, that train one network together.

    torchrun --nproc-per-node 4 -m ushape train DATA --out RUN

Each computes its share of every batch. What is a sum or a mean over the batch (loss, gradient, normalisation) is one
over all processes, so that the training is that of a single process. Process 0 leads: it alone plans, validates,
writes and speaks. The others do what it tells them, and leave when it says so or is gone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from ushape.errors import RecipeError, TrainingError

_LONGEST_WAIT = timedelta(hours=2)  # for the leader, who plans and validates while the others wait
_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Dismissed(Exception):
    """The leader needs this process no more."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process, number `rank` of `size`; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that plans, validates, writes and speaks."""
        return self.rank == 0

    def require_shares(self, batch: int) -> None:
        """RecipeError unless the processes can share a batch of so many patches alike."""
        if batch % self.size:
            raise RecipeError(
                f"{self.size} processes cannot share batches of {batch} patches alike. Set batch under [training] to a "
                f"multiple of {self.size}, or start another number of processes."
            )

    def share(self, batch: Tensor) -> Tensor:
        """(N, …) → the (N / size, …) that are this process's."""
        return batch if self.size == 1 else batch.chunk(self.size)[self.rank]

    def total(self, x: Tensor) -> Tensor:
        """The sum over all processes, in each of them. Its gradient is the sum of the gradients in all of them."""
        if self.size == 1:
            return x
        with lost_processes_named():
            total: Tensor = _Total.apply(x)  # type: ignore[no-untyped-call]
        return total

    def agree(self, number: float) -> float:
        """The leader's number, in each process; Dismissed where it has left instead."""
        if self.size == 1:
            return number
        told = torch.tensor(number, dtype=torch.float64)
        with lost_processes_named():
            distributed.broadcast(told, 0)
        if math.isnan(told):
            raise Dismissed
        return float(told)

    def tell(self, message: bytes = b"") -> bytes:
        """The leader's message, in each process; Dismissed where it has left instead."""
        if self.size == 1:
            return message
        told = torch.empty(int(self.agree(len(message))), dtype=torch.uint8)
        if self.leads and message:
            told.copy_(torch.frombuffer(bytearray(message), dtype=torch.uint8))
        with lost_processes_named():
            distributed.broadcast(told, 0)
        return told.numpy().tobytes()

    def dismiss(self) -> None:
        """The leader's last word, wherever the others wait for its next; nothing where they are gone already."""
        with suppress(Dismissed, TrainingError):  # each hears it, the leader too; or nobody is left to hear it
            self.agree(math.nan)
        self.leave()

    def leave(self) -> None:
        """Close the connections."""
        if self.size > 1:
            distributed.destroy_process_group()


ALONE = ProcessGroup()


def joined() -> ProcessGroup:
    """The group in which torchrun, or what sets its variables, started this process; ALONE where nothing did."""
    if not is_several():
        return ALONE
    backend = "gloo"
    if torch.cuda.is_available():
        local, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if local >= gpus:
            raise RecipeError(
                f"Process {local} of this machine has no GPU: there are {gpus}. Start --nproc-per-node {gpus}."
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    with lost_processes_named():
        distributed.init_process_group(backend, timeout=_LONGEST_WAIT)
    return ProcessGroup(distributed.get_rank(), distributed.get_world_size())


def is_several() -> bool:
    """Whether this process was started as one of several, joined or not."""
    return all(name in os.environ for name in _SET_BY_TORCHRUN) and os.environ["WORLD_SIZE"] != "1"


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """A context in which it is a TrainingError that the processes no longer hear each other."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise TrainingError(
            "Another process of this training ended, or can no longer be reached. What was saved, a minute of work ago "
            "at most, is whole: start the same processes again with --resume."
        ) from error


class _Total(torch.autograd.Function):
    """The sum over the processes, whose gradient is again a sum over the processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # Any: autograd's own
        total = x.detach().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
