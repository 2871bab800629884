"""Commands that torchrun started in several processes: one leads and speaks, the others do as it says, silently."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import typer

from ushape.device import choose_device
from ushape.errors import RecipeError, UshapeError
from ushape.process_group import ProcessGroup, is_several, joined


@contextmanager
def together(device: str | None) -> Iterator[tuple[ProcessGroup, torch.device]]:
    """The processes that work on this command, and the device of this one; the others leave when the leader does."""
    processes = joined()
    place = choose_device(device)
    if processes.size > 1 and place.index is not None:
        raise RecipeError(
            f"--device {device} is one for {processes.size} processes; leave it out, and each has its own."
        )
    if not processes.leads:
        for number in (signal.SIGINT, signal.SIGTERM):  # the leader ends its step, saves, and lets them go
            signal.signal(number, signal.SIG_IGN)
        yield processes, place
        return
    try:
        yield processes, place
    except (UshapeError, typer.Exit):
        processes.dismiss()
        raise
    processes.dismiss()  # after other errors nobody knows what the others wait for: they leave as the connection ends


def require_one_process(why: str) -> None:
    """RecipeError where torchrun started several."""
    if is_several():
        raise RecipeError(f"Several processes train one network together, and {why}. Start it without torchrun.")
