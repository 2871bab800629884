"""Several networks as one: the mean of their probabilities. DIR/ensemble.json names the run folders in DIR.

    read(path)       the networks of such a folder, or the one of a run's folder or of a checkpoint file

Its members must tell the same classes apart in the same kind of image by the same network: each has weights and
an intensity of its own. What stands for all of them:

flips           as most of them predict
temperature     the geometric mean of theirs, on the mean of their probabilities, so that it never changes a mask
object rule     `common_rule` of theirs. It cannot be fitted anew: of a cross-validation there is no image that all
                members have not seen, and on images that they have seen any rule looks good
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import torch

from ushape import checkpoint
from ushape.checkpoint import ENSEMBLE, Trained
from ushape.errors import CheckpointError
from ushape.object_rule import common_rule

FORMAT = "ushape ensemble 1"
_NAME = re.compile(r"[\w-]+")  # of a folder in the ensemble's own; nothing leads out of it


@dataclass(frozen=True)
class Ensemble:
    """Networks that answer together; of one alone, it is `trained`.

    trained: what is the same for all, and what is known of all of them: the first one's network stands for its like.
    """

    members: tuple[Trained, ...]
    trained: Trained

    @staticmethod
    def of(members: Mapping[str, Trained]) -> Ensemble:
        """Of networks by their names; CheckpointError, with every difference, where they do not fit together."""
        first, *others = members
        differences = [words for name in others for words in _differences(first, name, members)]
        if differences:
            raise CheckpointError(
                f"These networks cannot answer together: {'; '.join(differences)}. Give those of one recipe and one "
                "folder, or use each alone."
            )
        return Ensemble(tuple(members.values()), _together(members) if others else members[first])


def read(path: Path, device: torch.device | None = None) -> Ensemble:
    """The networks of an ensemble's folder, or the one of a run's folder or a file, in evaluation mode.

    CheckpointError, with what to do, for an ensemble whose trainings are not all done, and for all that a checkpoint
    is refused for.
    """
    if not (path / ENSEMBLE).exists():
        return Ensemble.of({str(path): checkpoint.read(path, device)})
    names, finished = members_in(path)
    missing = [name for name in names if name not in finished]
    if missing:
        done = f"; or give one that is done: {path / finished[0]}" if finished else ""
        raise CheckpointError(
            f"Of the {len(names)} networks of {path}, {len(missing)} are not trained to the end yet: "
            f"{', '.join(missing)}. Go on with the command that began them{done}."
        )
    return Ensemble.of({name: checkpoint.read(path / name, device) for name in names})


def members_in(path: Path) -> tuple[list[str], list[str]]:
    """The folders in an ensemble's folder, and those of them whose training is done; CheckpointError for a bad file."""
    place = path / ENSEMBLE
    try:
        values = json.loads(place.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"it is no {FORMAT}")
        names, finished = list(values["members"]), list(values["finished"])
        odd = [name for name in (*names, *finished) if not _NAME.fullmatch(name)]
        if odd or not names:
            raise ValueError(f"{odd[0]!r} names no folder in it" if odd else "it names no network")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise CheckpointError(
            f"{place} is damaged: {reason}. Give one of the networks in {path} alone, or train again with --overwrite."
        ) from error
    return names, finished


def _differences(first: str, name: str, members: Mapping[str, Trained]) -> Iterable[str]:
    ours, theirs = (_described(members[which]) for which in (name, first))
    for what, words in ours.items():
        if words != theirs[what]:
            yield f"{what} of {name} is {words}, but of {first} {theirs[what]}"


def _described(trained: Trained) -> dict[str, str]:
    """In words, what members must have in common."""
    labels, model, intensity = trained.labels, trained.recipe.model, trained.intensity
    options = ", ".join(f"{name} {value}" for name, value in model.options.items()) or "as published"
    values = (f"#{value:06x}" if labels.coloured else str(value) for value in labels.values)
    return {
        "the network": f"{model.name} ({options})",
        "the classes": ", ".join(f"{name} {value}" for name, value in zip(labels.names, values, strict=True)),
        "the image": f"{intensity.channels} x {intensity.dtype}",
        "the answer": "objects" if trained.object_rule else "classes",
    }


def _together(members: Mapping[str, Trained]) -> Trained:
    every = list(members.values())
    first = every[0]
    rules = [trained.object_rule for trained in every if trained.object_rule is not None]
    temperature = geometric_mean(trained.labels.temperature for trained in every)
    flips = 2 * sum(trained.recipe.prediction.flips is True for trained in every) > len(every)
    return replace(
        first,
        recipe=first.recipe.changed(prediction={"flips": flips}),
        labels=replace(first.labels, temperature=temperature),
        provenance=_provenance(members),
        object_rule=common_rule(rules) if rules else None,
    )


def _provenance(members: Mapping[str, Trained]) -> dict[str, Any]:
    """The first one's, with all images that any was trained on, and the steps of all."""
    every = [trained.provenance for trained in members.values()]
    about = dict(every[0])
    for key in ("training", "training_digests", "validation"):
        about[key] = list(dict.fromkeys(item for of in every for item in of.get(key, ())))
    for key in ("step", "seconds"):
        about[key] = sum(of.get(key, 0) for of in every)
    return {**about, "ensemble": list(members), "split": f"one for each of {len(every)} networks"}
