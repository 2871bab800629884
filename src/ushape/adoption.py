"""A file of weights that others published → what `ushape predict` takes.

    adopted = adopt("milesial-unet", Path("MODEL.pth"), values=(0, 255))
    checkpoint.write(Path("adopted.safetensors"), adopted)

What a checkpoint of ours holds beside the weights, the entry of the network in `ushape.models.published` knows, or its
user says: what the classes are called, which values stand for them in masks, and how images become the network's input.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from ushape.checkpoint import Trained
from ushape.errors import RecipeError
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models.published import Entry, entry_of, opened
from ushape.models.segmenter import Segmenter
from ushape.recipe import ModelRecipe, Recipe


def adopt(
    name: str,
    file: str | Path,
    *,
    names: Sequence[str] = (),
    values: Sequence[int] = (),
    intensity: Intensity | None = None,
) -> Trained:
    """A published network with all that is needed to use it on images of 8 bits, red, green and blue or grey.

    names, values: of the classes, and of their pixels in masks, the background first; left out, the entry's names, and
    0, 1, 2, … or, of two classes, 0 and 255. intensity: how images become the network's input, where they are prepared
    otherwise than the entry says.

    The answer is that of the network at the image's own size, in tiles where it is large; where the entry's `input`
    speaks of sizes, images must have been brought to them. RecipeError where names or values do not fit the network,
    and where no mean and deviation can say how its images were prepared; else as `published.load`.
    """
    entry = entry_of(name)
    network, options = opened(name, Path(file))
    labels = _labels(name, entry, network, names, values)
    if intensity is None:
        intensity = _intensity(name, entry, network)
    if intensity.channels != network.in_channels:
        raise RecipeError(
            f"The {name} of this file takes images of {network.in_channels} channels, but its intensity is of "
            f"{intensity.channels}. Give an intensity of {network.in_channels} channels."
        )
    if entry.blue_first:
        _reverse_channels(network)
    return Trained(
        network.placed(torch.device("cpu")),
        labels,
        intensity,
        Recipe(model=ModelRecipe(entry.model, options)),
        _provenance(name, entry, Path(file)),
    )


def _labels(name: str, entry: Entry, network: Segmenter, names: Sequence[str], values: Sequence[int]) -> Labels:
    count = max(2, network.classes)
    if not names:
        names = entry.class_names if len(entry.class_names) == count else ("background", "foreground")
        if len(names) != count:
            names = ("background", *(f"class {k}" for k in range(1, count)))
    values = values or ((0, 255) if count == 2 else range(count))
    if len(names) != count or len(values) != count or len(set(values)) != count:
        raise RecipeError(
            f"The {name} of this file tells {count} classes apart, the background one of them, but got "
            f"{len(names)} names and {len(set(values))} different values. Give {count} of each, the background first."
        )
    return Labels(tuple(names), tuple(values))


def _intensity(name: str, entry: Entry, network: Segmenter) -> Intensity:
    if entry.intensity is None:
        channels = network.in_channels
        raise RecipeError(
            f"The images of {name} were prepared in a way that no mean and deviation can say: it takes {entry.input}. "
            "Prepare yours so, save them as TIFF of float32, and adopt it with intensity = "
            f"Intensity((0.0,) * {channels}, (1.0,) * {channels}, 'float32')."
        )
    return entry.intensity(network.in_channels)


def _reverse_channels(network: Segmenter) -> None:
    """The network for images whose channels come in the other order."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        first.weight.copy_(first.weight.flip(1))


def _provenance(name: str, entry: Entry, file: Path) -> dict[str, object]:
    """That of every checkpoint, as far as it can be said; `published` says where the weights come from."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {
        "published": {
            "name": name,
            "source": entry.source,
            "licence": entry.licence,
            "file": str(file),
            "sha256": digest,
            "input": entry.input,
        },
        "data": entry.source,
        "layout": "weights published by others",
        "training": [],
        "training_digests": [],
        "validation": [],
        "split": "that of its authors",
        "step": 0,
        "seconds": 0.0,
        "device": "unknown",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "command": "",
        "validation_scores": {},
    }
