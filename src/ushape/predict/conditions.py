"""What decides the bytes of a prediction: the network, how it is asked, and the programs that compute; as plain values.

Masks are told apart by it, so that those of one network are never taken for those of another. How many processes share
the work is no part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ushape.checkpoint import Trained
from ushape.predict.tiled import Predictor

Conditions = Mapping[str, Any]  # Any: JSON


def conditions_of(predictor: Predictor, **wanted: object) -> dict[str, Any]:
    """Of a predictor, and whatever else is wanted by name: plain values, equal after a journey through JSON."""
    network = predictor.trained.recipe.model.name
    found = {
        "network": f"{network} {digest_of(*predictor.members)}",
        "flips": predictor.flips,
        "precision": predictor.precision,
        "engine": predictor.engines[0].name,
        "device": predictor.trained.model.device.type,
        "memory": predictor.memory_bytes,
        "tile": predictor.keep_px,
        "one_piece": [region.name for region in predictor.one_piece],
        "pieces_in": predictor.pieces_in,
        **wanted,
        "ushape": version("ushape"),
        "torch": torch.__version__,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def digest_of(*networks: Trained) -> str:
    """16 hexadecimal digits of all that decides what networks answer: weights, labels, intensity, object rule."""
    digest = hashlib.blake2b(digest_size=8)
    for each in networks:
        about = [each.recipe.to_dict()["model"], asdict(each.labels), asdict(each.intensity)]
        about.append(each.object_rule.to_dict() if each.object_rule else None)
        digest.update(json.dumps(about, sort_keys=True).encode())
        for name, tensor in sorted(each.model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_of_files(place: Path) -> str:
    """16 hexadecimal digits of the names, sizes and times of a file, or of those in a folder."""
    return hashlib.blake2b(json.dumps(fingerprint(place)).encode(), digest_size=8).hexdigest()


def differences(before: Conditions, now: Conditions) -> Iterator[str]:
    """What is otherwise, in words.

    >>> list(differences({"flips": False, "tile": 64}, {"flips": True, "tile": 64}))
    ['flips was False and is True']
    """
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name)!r} and is {now.get(name)!r}"


def fingerprint(image: Path) -> list[list[Any]]:
    """By which a changed image is recognised: size and time of its file, or of the files in its folder's top level."""
    files = sorted(path for path in image.iterdir() if path.is_file()) if image.is_dir() else [image]
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
