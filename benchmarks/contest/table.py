"""The results of the contest so far → Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from contest.data_sets import known, place_in_tables
from contest.methods import ENVIRONMENTS, METHODS

Outcome = Mapping[str, Any]  # Any: numbers and texts of one training, as results.json has them

_SECOND = {"v_rand_thinned": "V_Rand", "f1_50": "F1 of cells at IoU .5"}

RULE = (
    "Seconds of training run from the first step of the optimiser to the last, validations included; a step that has "
    "begun is ended. Preparation (imports, reading, planning, caching; by nnU-Net, planning and preprocessing when "
    "it first meets a data set) and prediction are told, and count for nobody. All methods read the same files, have "
    "the same processors, and are scored from their mask files by the same scorer: Dice of the foreground classes, "
    "mean over the test images. A mean over seeds stands before the lowest and the highest; the best mean is bold. "
    "Mpx/s: millions of pixels of patches trained on, a second."
)


def markdown(results: Mapping[str, Any]) -> str:
    """Terms, data sets, methods, and a row per data set, minutes and method; with what failed."""
    done: list[Outcome] = list(results["cells"].values())
    parts = [f"{results['machine']}; {results['threads']} threads.", RULE]
    parts += [_data_sets(results["data"]), _methods(dict.fromkeys(o["method"] for o in done))]
    parts.append(_scores(done))
    if results["failed"]:
        parts.append("\n".join(f"- failed: {key}: {reason}" for key, reason in results["failed"].items()))
    return "\n\n".join(parts) + "\n"


def _data_sets(data: Mapping[str, Any]) -> str:
    lines = [
        f"| {name} | {about['train']} | {about['test']} | {', '.join(about['classes'][1:])} | {about['split']} |"
        for name, about in data.items()
    ]
    return _table(["data", "images to train on", "to test on", "foreground", "split"], lines)


def _methods(names: Iterable[str]) -> str:
    lines = []
    for name in names:
        method = METHODS[name]
        pinned = ", ".join(ENVIRONMENTS.get(method.environment, ("this checkout",)))
        lines.append(f"| {name} | {method.name} | {pinned} | {method.about} |")
    return _table(["", "method", "environment", "settings"], lines)


def _scores(done: Sequence[Outcome]) -> str:
    titles = ["data", "minutes", "method", "seeds", "Dice", "second score", "steps", "Mpx/s", "training, s"]
    titles += ["preparation, s", "prediction, s", "notes"]
    lines = []
    contests = sorted({(o["data"], o["minutes"]) for o in done}, key=lambda each: (place_in_tables(each[0]), each[1]))
    for data, minutes in contests:
        entrants: dict[str, list[Outcome]] = {}
        for each in done:
            if (each["data"], each["minutes"]) == (data, minutes):
                entrants.setdefault(each["method"], []).append(each)
        ranked = sorted(entrants.items(), key=lambda e: -_mean(e[1], "dice"))
        for rank, (method, outcomes) in enumerate(ranked):
            bold = "**" if rank == 0 and len(ranked) > 1 else ""
            lines.append(f"| {data} | {minutes:g} | {method} | {_row(outcomes, data, bold)} |")
    return _table(titles, lines)


def _row(outcomes: Sequence[Outcome], data: str, bold: str) -> str:
    score = data_set.score if (data_set := known(data)) else None
    second = f"{_SECOND[score[1]]} {_spread(outcomes, 'second', '')}" if score else ""
    pixels = [o["steps"] * o["patches"] * 256**2 / 1e6 / o["training_s"] for o in outcomes]
    seconds = [f"{_mean(outcomes, name):.0f}" for name in ("training_s", "preparation_s", "prediction_s")]
    notes = "; ".join(dict.fromkeys(note for o in outcomes for note in o["notes"]))
    cells = [str(len(outcomes)), _spread(outcomes, "dice", bold), second, f"{_mean(outcomes, 'steps'):.0f}"]
    return " | ".join([*cells, f"{np.mean(pixels):.2f}", *seconds, notes])


def _spread(outcomes: Sequence[Outcome], name: str, bold: str) -> str:
    values = [o[name] for o in outcomes]
    span = f" ({_number(min(values))}–{_number(max(values))})" if len(values) > 1 else ""
    return f"{bold}{_number(float(np.mean(values)))}{bold}{span}"


def _number(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


def _mean(outcomes: Sequence[Outcome], name: str) -> float:
    return float(np.mean([o[name] for o in outcomes]))


def _table(titles: Sequence[str], lines: Sequence[str]) -> str:
    return "\n".join([f"| {' | '.join(titles)} |", "|" + "---|" * len(titles), *lines])
