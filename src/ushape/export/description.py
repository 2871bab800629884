"""What an exported file says of itself: all that its user needs beside the weights, as texts of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version

from ushape.checkpoint import Trained

FORMAT = "ushape export 1"
PREFIX = "ushape."


def description(trained: Trained) -> dict[str, str]:
    """Keys that begin with "ushape.", and JSON; docs/formats.md explains each."""
    footprint = trained.model.footprint
    cut = 0 if footprint.padded else footprint.margin
    about = {
        "format": FORMAT,
        "version": version("ushape"),
        "model": {"name": trained.recipe.model.name, "options": dict(trained.recipe.model.options)},
        "intensity": asdict(trained.intensity),
        "labels": asdict(trained.labels),
        "geometry": {**asdict(footprint), "output": f"input - {2 * cut}" if cut else "input"},
        "object_rule": trained.object_rule.to_dict() if trained.object_rule else None,
        "provenance": dict(trained.provenance),
    }
    return {f"{PREFIX}{key}": json.dumps(value, ensure_ascii=False) for key, value in about.items()}
