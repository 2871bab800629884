"""One self-describing file: weights and all that is needed to use them, as safetensors and JSON, never pickle.

A checkpoint opens with no other argument: `read(path)` gives a network that is ready for images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from ushape.atomic import replacing
from ushape.errors import CheckpointError
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.models.segmenter import Segmenter
from ushape.object_rule import ObjectRule
from ushape.recipe import Recipe
from ushape.regions import Region, regions_of

FORMAT = "ushape checkpoint 1"
ENSEMBLE = "ensemble.json"
"""Names the run folders beside it whose networks answer together (ensemble.py)."""
_DTYPES = {  # as safetensors names them
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True)
class Trained:
    """A network with all that is needed to use it, and where it comes from.

    object_rule: how its foreground probability becomes objects; None where classes are the answer.
    provenance: plain values: versions, date, the images of the split, the scores of the validation.
    """

    model: Segmenter
    labels: Labels
    intensity: Intensity
    recipe: Recipe
    provenance: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    object_rule: ObjectRule | None = None

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions that its recipe declares; RecipeError where they do not fit the classes."""
        return regions_of(self.recipe.regions, self.labels)


def write(path: Path, trained: Trained, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write a checkpoint at once; `weights` instead of the model's own, where a running mean of them is the result."""
    about = {
        "model": {
            "name": trained.recipe.model.name,
            "in_channels": trained.model.in_channels,
            "classes": trained.model.classes,
            "options": dict(trained.recipe.model.options),
        },
        "labels": asdict(trained.labels),
        "intensity": asdict(trained.intensity),
        "recipe": trained.recipe.to_dict(),
        "object_rule": trained.object_rule.to_dict() if trained.object_rule else None,
        "provenance": dict(trained.provenance),
    }
    state = trained.model.state_dict() if weights is None else weights
    write_tensors(path, state, {"format": FORMAT, "about": json.dumps(about, allow_nan=False)})


def read(path: Path, device: torch.device | None = None) -> Trained:
    """The checkpoint in a file, or the best one of a run's folder, its network in evaluation mode.

    Raises CheckpointError, with the file and what to do, for a file that is missing, cut short, another program's, or
    inconsistent; and for a folder of several networks.
    """
    if (path / ENSEMBLE).exists():
        raise CheckpointError(
            f"{path} holds several networks, but one is asked for. Give the folder of one in it, or a file in that."
        )
    path = path / "best.safetensors" if path.is_dir() else path
    state, metadata = read_tensors(path)
    _check_format(metadata.get("format", ""), path)
    try:
        trained = _described(json.loads(metadata["about"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise CheckpointError(
            f"{path} describes a network that this version of ushape cannot build: {reason}. "
            "Use the version that wrote it, or train again."
        ) from error
    load_weights(trained.model, state, f"The weights in {path}")
    trained.model.eval().placed(device or torch.device("cpu"))
    return trained


def load_weights(model: Segmenter, state: Mapping[str, Tensor], whose: str) -> None:
    """Give a network these weights; CheckpointError, beginning with `whose` they are, lists all that do not fit."""
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in state.items()}
    if wanted == found:
        model.load_state_dict(dict(state))
        return
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    faults += [f"{name} is unknown" for name in sorted(found.keys() - wanted.keys())]
    faults += [
        f"{name} is {found[name]}, not {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    raise CheckpointError(f"{whose} do not fit the network: " + "; ".join(faults))


def is_checkpoint(path: Path) -> bool:
    """Whether a file says of itself that it is one of ours; False for one that is missing or anybody else's."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("format", "")).startswith(FORMAT.rstrip("0123456789"))
    except (safetensors.SafetensorError, OSError):
        return False


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file, whole or not at all, of equal bytes for equal content; OutputError where that cannot be."""
    with replacing(path) as temporary:
        put_tensors(temporary, tensors, metadata)


def put_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file where it stands; OSError where that cannot be.

    The format's own library writes the metadata in another order each time, keeps Python waiting meanwhile, and tells
    of a full disk by an exception that is no OSError; what it reads is written here.
    """
    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    whole = dict(sorted(whole.items(), key=lambda item: (-item[1].itemsize, item[0])))  # so that all begin aligned
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}  # Any: JSON
    end = 0
    for name, t in whole.items():
        begin, end = end, end + t.nbytes
        header[name] = {"dtype": _DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for t in whole.values():
            file.write(t.reshape(-1).view(torch.uint8).numpy().data)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; CheckpointError where there is none, or it is damaged."""
    if not path.is_file():
        raise CheckpointError(
            f"There is no checkpoint {path}. Give the folder that `ushape train --out` wrote, or a file in it."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a readable checkpoint: {error}. It was cut short, damaged, or written by another program "
            "(pickles such as .pth are never opened); take another copy, or train again."
        ) from error


def _check_format(found: str, path: Path) -> None:
    if found == FORMAT:
        return
    if found.startswith(FORMAT.rstrip("0123456789")):
        raise CheckpointError(f"{path} is an {found}; this version of ushape reads {FORMAT}. Install the newest one.")
    raise CheckpointError(
        f"{path} is a safetensors file, but not a checkpoint of ushape ({FORMAT!r} is missing from its metadata). "
        "Give the folder or a checkpoint that `ushape train` wrote."
    )


def _described(about: Mapping[str, Any]) -> Trained:
    """The network that the metadata describe, its weights not yet loaded; many an exception where they cannot be."""
    network, labels, intensity = about["model"], _labels(about["labels"]), _intensity(about["intensity"])
    one_for_two = network["classes"] == 1 and labels.classes == 2
    if network["in_channels"] != intensity.channels or (network["classes"] != labels.classes and not one_for_two):
        raise ValueError(
            f"it takes {network['in_channels']} channels and tells {network['classes']} classes apart, but comes with "
            f"the intensity of {intensity.channels} and the labels of {labels.classes}"
        )
    sizes = {name: network[name] for name in ("in_channels", "classes")}
    with torch.random.fork_rng(devices=[]):  # weights are drawn, to be replaced; the caller's numbers are the caller's
        model = build(network["name"], **sizes, **network["options"])
    return Trained(
        model,
        labels,
        intensity,
        Recipe.from_dict(about["recipe"]),
        about["provenance"],
        _object_rule(about.get("object_rule")),
    )


def _labels(values: Mapping[str, Any]) -> Labels:
    return Labels(
        names=tuple(values["names"]),
        values=tuple(values["values"]),
        ignored_values=tuple(values["ignored_values"]),
        coloured=values["coloured"],
        temperature=_temperature(values.get("temperature", 1.0)),
    )


def _temperature(value: Any) -> float:
    """1 in checkpoints from before there was one, which changes nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"its temperature is {value!r}, which is no number above 0")
    return float(value)


def _object_rule(values: Any) -> ObjectRule | None:
    """None where classes are the answer, and in checkpoints of the first days."""
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise ValueError(f"its object rule is {values!r}, which is no table of settings")
    return ObjectRule.from_dict(values)


def _intensity(values: Mapping[str, Any]) -> Intensity:
    return Intensity(mean=tuple(values["mean"]), deviation=tuple(values["deviation"]), dtype=values["dtype"])
