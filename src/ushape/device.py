"""Where to compute and in which precision; measured on the machine at hand, not looked up."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from ushape.errors import RecipeError, TrainingError

Precision = Literal["float32", "bfloat16"]
Module = TypeVar("Module", bound=nn.Module)

_MEMORY_OF_LINUX = Path("/proc/meminfo")
_MEMORY_OF_CONTAINER = Path("/sys/fs/cgroup/memory.max")  # what a container or a job of a cluster may take


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Raises RecipeError for a device that this machine, or this build of PyTorch, does not have.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))  # "meta" makes tensors too, but holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0].split(". ")[0].rstrip(".")
        raise RecipeError(
            f"The device {name!r} cannot be used here: {reason}. "
            "Take cpu, or leave the device out to choose the best there is."
        ) from error
    return device


def faster_precision(device: torch.device) -> Precision:
    """bfloat16 where a 3×3 convolution in it takes at most two thirds of the time in float32, else float32."""
    if device.type == "mps":
        return "float32"
    with torch.random.fork_rng(devices=[]):  # its weights are drawn, and the caller's random numbers are the caller's
        convolution = channels_last(nn.Conv2d(64, 64, 3).to(device))
    x = torch.ones(1, 64, 128, 128, device=device).to(memory_format=torch.channels_last)
    seconds = {precision: _seconds(convolution, x, precision) for precision in ("float32", "bfloat16")}
    return "bfloat16" if seconds["bfloat16"] < 2 / 3 * seconds["float32"] else "float32"


def free_bytes(device: torch.device) -> int | None:
    """Memory that a training may take on this device now; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    told = [*_available(_MEMORY_OF_LINUX), *_available(_MEMORY_OF_CONTAINER)]
    return min(told, default=None)


@contextmanager
def lost_device_named() -> Iterator[None]:
    """A context in which a GPU that computes no more is a TrainingError."""
    try:
        yield
    except RuntimeError as error:
        if "CUDA error" not in str(error):
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise TrainingError(
            f"The GPU is lost: {reason}. What was saved, a minute of work ago at most, is whole: go on with --resume, "
            "here or on another --device."
        ) from error


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which convolutions run in this precision; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def channels_last(module: Module) -> Module:
    """The module with its weights laid out channels-last, which convolutions read fastest."""
    layout = _channels_last_of(max((p.ndim for p in module.parameters()), default=4))
    return module.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]  # not in the stubs


def laid_out(x: Tensor) -> Tensor:
    """(N, C, H, W), or (N, C, D, H, W) → the same in the layout of `channels_last`."""
    return x.contiguous(memory_format=_channels_last_of(x.ndim))


def _channels_last_of(dimensions: int) -> torch.memory_format:
    return torch.channels_last_3d if dimensions == 5 else torch.channels_last


def _available(place: Path) -> list[int]:
    """The bytes that a file of the system tells of, if there is such a file and it does."""
    try:
        text = place.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return []
    kilobytes = re.search(r"^MemAvailable: +(\d+) kB", text, re.MULTILINE)
    if kilobytes:
        return [1024 * int(kilobytes[1])]
    return [int(text)] if text.strip().isdigit() else []  # "max": no limit


def _seconds(convolution: nn.Module, x: Tensor, precision: Precision) -> float:
    """The shortest of a few runs, the first two left out."""
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        with torch.inference_mode(), autocast(x.device, precision):
            float(convolution(x).float().sum())  # reading the number waits for the device
        times.append(time.perf_counter() - begin)
    return min(times[2:])
