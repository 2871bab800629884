"""A cross-validation, or a training with several seeds → DIR/report.html, results.json and results.csv."""

from __future__ import annotations

import math

from ushape.compare.results import TITLES
from ushape.data.pair import counted
from ushape.metrics.table import INTERVAL_RULE
from ushape.repetition import Repetition, Results
from ushape.repetition.results import REPORT, Judged
from ushape.report.chapter import Chapter, Grid
from ushape.report.charts import Series, line_chart
from ushape.report.page import Page, write
from ushape.train.diary import read as read_log

_HEADINGS = {"cross-validation": "Fold by fold", "seeds": "Seed by seed", "learning-curve": "Part by part"}
_KINDS = {"seeds": "several seeds", "learning-curve": "learning curve"}


def write_repetition(repetition: Repetition, command: str) -> Results:
    """Write what all members scored, once their events have come to an end; the results are those written."""
    results, out = repetition.results(), repetition.out
    results.write(out)
    write(out / REPORT, repetition_page(repetition, results, command))
    return results


def repetition_page(repetition: Repetition, results: Results, command: str) -> Page:
    """The whole page."""
    apart = results.kind != "learning-curve"  # there, each image is judged several times
    on = counted(len(results.evaluation.table.rows), "image")
    network = repetition.plan.recipe.model.name
    kind = _KINDS.get(results.kind, f"{len(results.members)}-fold cross-validation")
    return Page(
        title=f"{network} on {repetition.data.absolute().name}: {kind}",
        headline=_headline(results),
        sections=[_members(results).section()],
        facts=_facts(repetition),
        charts=[*_curve(results), ("Scores in validation, while training", _courses(repetition))],
        tables=[(f"Scores on {on}, each by the network judged on it", results.evaluation.table)] if apart else [],
        measures=[(f"Scores of {each.family} on {on}", each) for each in results.evaluation.measures if apart],
        command=command,
        notes=_notes(results),
    )


def _headline(results: Results) -> list[tuple[str, str]]:
    if results.kind == "learning-curve":
        last = results.members[-1]
        return [(TITLES[score], _number(last.means[score])) for score in results.shown[:3]]
    figures = []
    for score in results.shown[:3]:
        of = results.figure(score)
        interval = "" if math.isnan(of.low) else f" ({of.low:.3f}–{of.high:.3f})"
        figures.append((TITLES[score], f"{_number(of.mean)}{interval}"))
    return [*figures, ("networks", str(len(results.members)))]


def _members(results: Results) -> Chapter:
    shown = results.shown
    rows = [_row(member, shown) for member in results.members]
    groups = len({image.group for member in results.members for image in member.images})
    images = sum(len(member.images) for member in results.members)
    means = [_number(results.figure(score).mean) for score in shown]
    if results.kind != "learning-curve":
        rows.append(["all", str(images), str(groups), *means, "", ""])
        spreads = [_number(results.deviation(score)) for score in shown]
        rows.append(["deviation between means", "", "", *spreads, "", ""])
    titles = ["", "images scored", "groups", *(TITLES[score] for score in shown), "steps", "seconds"]
    rule = "" if results.kind == "learning-curve" else f"All: the mean over all images at once. {INTERVAL_RULE}"
    return Chapter(_HEADINGS[results.kind], list(results.findings()), rule, grids=[Grid(titles, rows)])


def _row(member: Judged, shown: list[str]) -> list[str]:
    means = [_number(member.means[score]) for score in shown]
    took = [f"{member.steps:,}", f"{member.seconds:.0f}"]
    return [member.name, str(len(member.images)), str(member.groups), *means, *took]


def _curve(results: Results) -> list[tuple[str, str]]:
    """Of a learning curve, the score against the number of images."""
    if results.kind != "learning-curve":
        return []
    sizes, scores = results.curve
    title = TITLES[results.primary]
    drawn = line_chart([Series(title, list(map(float, sizes)), scores)], x_label="images to train on", y_label=title)
    return [("What more images brought", drawn)]


def _courses(repetition: Repetition) -> str:
    """A line per member: the score by which its best network was chosen."""
    lines = []
    for member in repetition.members:
        rows = [row for row in read_log(repetition.out / member.name / "log.csv") if row["validation_dice"]]
        scores = [float(row.get("validation_objects") or row["validation_dice"]) for row in rows]
        lines.append(Series(member.name, [float(row["step"]) for row in rows], scores))
    return line_chart(lines, x_label="step", y_label="validation score")


def _facts(repetition: Repetition) -> list[tuple[str, str]]:
    recipe = repetition.plan.recipe
    options = ", ".join(f"{name} {value}" for name, value in recipe.model.options.items()) or "as published"
    training = recipe.training
    is_curve = repetition.kind == "learning-curve"
    judged = [(member.name, _few([pair.name for pair in member.judged])) for member in repetition.members]
    together = f"{repetition.out}, which `ushape predict` takes: the mean of their probabilities"
    budget = counted(training.steps, "step") if training.steps else f"{training.minutes:g} min"
    return [
        ("images", f"{repetition.data} ({repetition.found.layout})"),
        ("grouping", repetition.found.grouping),
        ("division", repetition.rule),
        *([("scored on", judged[0][1])] if is_curve else judged),
        ("network", f"{recipe.model.name} ({options})"),
        ("training of each", f"{budget}, {training.optimiser}, {training.loss}, {training.precision}"),
        ("classes", ", ".join(repetition.annotation.labels.names)),
        *([] if is_curve else [("networks together", together)]),
    ]


def _few(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _notes(results: Results) -> list[str]:
    if results.kind == "learning-curve":
        return [
            "All trainings have the same budget and are judged on the same images, which took no part in any. What "
            "twice as many would bring is read off a power law through these few scores: another draw of images may "
            "say less or more."
        ]
    if results.kind == "seeds":
        return [
            "Each seed draws its own split, patches and first weights. The images that it is judged on also chose its "
            "best network, which flatters; a cross-validation, `ushape crossvalidate`, does not."
        ]
    return [
        "Within each fold, the best network was chosen by some of the images trained on; those of the fold took no "
        "part. Settings that were left open were planned once, from the sizes and class shares of all images.",
        "The scores are of the single networks. All of them together, as `ushape predict` uses them, have seen every "
        "image, so that these images cannot score them.",
    ]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
