"""Files of weights that others published → their tensors by name; nothing in a file is ever run.

    read_state(path)        → {"stage1.rebnconvin.conv_s1.weight": Tensor, …}, on the processor, types as stored

safetensors, and PyTorch's .pth as far as it holds numbers alone (`weights_only`). Which of the two a file is says its
beginning, not its name. Checkpoints of our own, which describe themselves, are `ushape.checkpoint`'s.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from ushape.errors import CheckpointError

_ENTRIES = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "weights",
)  # what trainers call the weights among the rest
_DATA_PARALLEL = "module."  # in front of every name, where a network was trained on several GPUs
_PICKLES = (b"PK\x03\x04", b"\x80")  # torch.save since 1.6, and before

# What PyTorch raises for files that are cut short or damaged, found by damaging files byte by byte,
_DAMAGE = (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
           UnpicklingError, struct.error)  # fmt: skip
_OBJECTS = (
    "Unsupported global",
    "Unsupported class",
    "TorchScript",
)  # and what it says where there is more than numbers


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names, without what frameworks put in front of these.

    Raises CheckpointError, with what to do, for a file that is missing, damaged, no file of weights, or that could
    only be opened by running what is in it.
    """
    if not path.is_file():
        what = "is a folder, not a file of weights" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}. Give a .safetensors or .pth file.")
    try:
        with path.open("rb") as file:
            beginning = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror}. Check that you may read it.") from error
    if beginning.startswith(_PICKLES):
        state = _weights_among(_numbers(path), path)
    elif beginning[8:] == b"{":
        state = _safe_tensors(path)
    else:
        raise CheckpointError(
            f"{path} is no file of weights that we know: it begins with {beginning!r}. We read safetensors, and .pth "
            "files that PyTorch saved; take another copy, or convert it."
        )
    if not state:
        raise CheckpointError(f"{path} holds no tensor. Give the file that holds the network's weights.")
    prefix = _DATA_PARALLEL if all(name.startswith(_DATA_PARALLEL) for name in state) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _safe_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no readable safetensors file: {error}. It was cut short or damaged; take another copy."
        ) from error


def _numbers(path: Path) -> Any:  # Any: whatever plain values were saved
    """What torch.save wrote, if it is made of tensors and plain values."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():  # a file, for its name decides nothing
            warnings.simplefilter("ignore")  # of TorchScript archives, which are refused in words of our own
            return torch.load(file, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        if any(words in str(error) for words in _OBJECTS):
            raise _refused(path) from error
        words = str(error).partition("WeightsUnpickler error: ")[2] or str(error) or type(error).__name__
        raise CheckpointError(
            f"{path} is cut short, damaged, or no file that PyTorch saved ({words.splitlines()[0]:.100}). "
            "Take another copy of it."
        ) from error


def _refused(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} holds more than weights: Python objects, which run code of their own when they are opened, so that we "
        "never do. Where you trust it, and have the code that wrote it, save its weights alone: "
        "torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW_FILE), for a whole network; or "
        'torch.save(torch.load(FILE, weights_only=False)["state_dict"], NEW_FILE), for a training\'s state.'
    )


def _weights_among(saved: Any, path: Path) -> dict[str, Tensor]:
    """The mapping of names to tensors that was saved, alone or as one entry of a training's state."""
    found = [saved] if not isinstance(saved, Mapping) else [saved, *(saved[e] for e in _ENTRIES if e in saved)]
    for entry in found:
        if isinstance(entry, Mapping) and _is_table_of_weights(entry):
            return {str(name): t.detach() for name, t in entry.items() if isinstance(t, Tensor)}
    held = (
        f"the entries {', '.join(map(str, saved))[:200]}" if isinstance(saved, Mapping) else f"a {type(saved).__name__}"
    )
    raise CheckpointError(
        f"{path} holds {held}, but no table of weights by name, alone or as one of {', '.join(_ENTRIES)}. "
        "Save the network's state_dict() alone."
    )


def _is_table_of_weights(entry: Mapping[Any, Any]) -> bool:
    """Whether it is tensors by name; plain values may stand beside them (milesial's U-Net: `mask_values`)."""
    tensors = [isinstance(value, Tensor) for value in entry.values()]
    return not any(isinstance(value, Mapping) for value in entry.values()) and (any(tensors) or not tensors)
