"""What there is to say of a plan and of a trained network, as (label, text) lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ushape.checkpoint import Trained
from ushape.data.pair import counted
from ushape.models import axes_of
from ushape.regions import region_facts
from ushape.train.plan import Plan


def plan_facts(plan: Plan) -> list[tuple[str, str]]:
    """What would be trained, and why."""
    model, training = plan.recipe.model, plan.recipe.training
    options = ", ".join(f"{name} {value}" for name, value in model.options.items()) or "as published"
    minutes = f"{training.minutes:g} minute{'s' * (training.minutes != 1)}"
    budget = minutes if training.minutes else counted(training.steps, "step")
    sizes = training.output_sizes(axes_of(model.name))
    side = str(training.output_size) if len(sizes) == 2 else " x ".join(map(str, sizes))
    patches = f"batches of {training.batch} patches of {side} px"
    borders = "" if training.border_weights == "none" else f" with border weights {training.border_weights}"
    return [
        ("network", f"{model.name}, {options}"),
        ("training", f"{budget}, {patches}, {training.optimiser}, {training.loss}{borders}"),
        *((f"why this {topic}", reason) for topic, reason in plan.reasons),
    ]


def trained_json(trained: Trained) -> dict[str, Any]:  # Any: JSON
    """All that a checkpoint holds beside the weights."""
    return {
        "labels": asdict(trained.labels),
        "intensity": asdict(trained.intensity),
        "recipe": trained.recipe.to_dict(),
        "object_rule": trained.object_rule.to_dict() if trained.object_rule else None,
        "provenance": dict(trained.provenance),
    }


def trained_facts(trained: Trained) -> list[tuple[str, str]]:
    """What a network tells apart, and where it comes from."""
    labels, about = trained.labels, trained.provenance
    values = (f"#{v:06x}" if labels.coloured else str(v) for v in labels.values)
    objects = [("objects", trained.object_rule.in_words())] if trained.object_rule else []
    calibrated = [("temperature", f"{labels.temperature:.3g}")] if labels.temperature != 1 else []
    return [
        (
            "classes",
            ", ".join(f"{name} (mask value {value})" for name, value in zip(labels.names, values, strict=True)),
        ),
        *region_facts(trained.regions, labels),
        *objects,
        *calibrated,
        ("images", f"{counted(trained.intensity.channels, 'channel')}, {trained.intensity.dtype}"),
        *(_adoption(about["published"]) if "published" in about else _training(about)),
    ]


def _training(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("trained on", f"{counted(len(about['training']), 'image')} of {about['data']}: {about['layout']}"),
        ("validated on", counted(len(about["validation"]), "image")),
        ("split", about["split"]),
        ("training", f"{counted(about['step'], 'step')}, {about['seconds']:.0f} s, {about['device']}, {about['date']}"),
        ("command", about["command"] or "–"),
    ]
    if "pruned" in about:
        facts.append(("pruned", "to level {level} of {of}, from {from}".format(**about["pruned"])))
    return facts


def _adoption(published: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of weights of others."""
    return [
        ("published as", "{name}, {source}, {licence}".format(**published)),
        ("weights", "{file}, SHA-256 {sha256}".format(**published)),
        ("made for", published["input"]),
    ]
