"""What must be as it was for a training to go on: the recipe, but for its budget, and the images with their masks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.data.pair import listed
from ushape.errors import CheckpointError
from ushape.recipe import Recipe
from ushape.train.prepare import Prepared

BUDGET = ("minutes", "steps", "validations")

Plain = dict[str, Any]  # Any: JSON


def settled(began: Recipe, wanted: Recipe, out: Path) -> Recipe:
    """The recipe that a run began with, with the budget, regions and way of predicting that are wanted now.

    CheckpointError with every difference, where more is wanted otherwise.
    """
    budget = {name: getattr(wanted.training, name) for name in BUDGET}
    before = replace(began.changed(training=budget), prediction=wanted.prediction, regions=wanted.regions)
    if wanted.training.precision == "auto":
        wanted = wanted.changed(training={"precision": before.training.precision})
    different = list(_differences(before, wanted))
    if different:
        raise CheckpointError(
            f"The training in {out} began with other settings: {'; '.join(different)}. Resume with what it began with: "
            f"only the budget, [prediction] and [regions] may change. Put it back into {out / 'recipe.toml'}, or start "
            "anew with --overwrite."
        )
    return before


def _differences(before: Recipe, now: Recipe) -> Iterator[str]:
    if before.seed != now.seed:
        yield f"seed was {before.seed} and is {now.seed}"
    for table in ("model", "data", "augmentation", "training"):
        for key, value in before.to_dict()[table].items():
            if now.to_dict()[table][key] != value:
                yield f"{table}.{key} was {value!r} and is {now.to_dict()[table][key]!r}"
    if len(before.stages) != len(now.stages):
        first, second = (", ".join(stage.model for stage in each.stages) or "none" for each in (before, now))
        yield f"stages were {first} and are {second}"
        return
    for number, (old, new) in enumerate(zip(before.stages, now.stages, strict=True), start=1):
        for key, value in vars(old).items():
            if getattr(new, key) != value:
                yield f"{key} of stage {number} was {value!r} and is {getattr(new, key)!r}"


def fingerprint(prepared: Prepared) -> Plain:
    """All that a training sees of a folder, as names and digests."""
    masks = {
        e.name: _digest(e.classes.numpy(), e.objects.numpy() if e.objects is not None else None)
        for e in prepared.examples
    }
    masks |= {truth.name: _digest(truth.classes, truth.objects) for truth in prepared.truths}
    return {
        "training": [example.name for example in prepared.examples],
        "validation": [truth.name for truth in prepared.truths],
        "pixels": {name: prepared.survey.images[name].digest for name in masks},
        "masks": masks,
        "intensity": [list(prepared.intensity.mean), list(prepared.intensity.deviation), prepared.intensity.dtype],
        "labels": [list(prepared.annotation.labels.names), list(prepared.annotation.labels.values)],
    }


def require_same_images(before: Plain, now: Plain) -> None:
    """CheckpointError with every difference, where a training would go on with other images or masks.

    before, now: fingerprints.
    """
    if before == now:
        return
    names, new = before["masks"].keys(), now["masks"].keys()
    both = sorted(names & new)
    moved = [name for name in both if _sides(name, before) != _sides(name, now)]
    differences = [
        _told("Gone", sorted(names - new)),
        _told("New", sorted(new - names)),
        _told("Now on the other side of the split", moved),
        _told("Other pixels", [name for name in both if before["pixels"][name] != now["pixels"][name]]),
        "Their classes have changed." if before["labels"] != now["labels"] else "",
        _told("Other masks", [name for name in both if before["masks"][name] != now["masks"][name]]),
    ]
    if not any(differences):
        differences = ["Their values or their order have changed."]
    raise CheckpointError(
        f"The training to be resumed was on other images. {' '.join(d for d in differences if d)} "
        "Resume with the images it began with, or start anew with --overwrite."
    )


def _sides(name: str, images: Plain) -> list[bool]:
    """Whether an image is trained on, and whether it is scored on; where none is held back, it may be both."""
    return [name in images[side] for side in ("training", "validation")]


def _told(what: str, names: Sequence[str]) -> str:
    return f"{what}: {listed(names, most=20)}." if names else ""


def _digest(*arrays: NDArray[Any] | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is not None:
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
