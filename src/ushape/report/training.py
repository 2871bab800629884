"""A run's folder → its report page: curves, scores, best and worst cases, what was trained on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ushape import checkpoint
from ushape.data.pair import counted
from ushape.evaluate import Evaluation
from ushape.metrics.table import Figure, Row, Table
from ushape.predict.overlay import legend, overlay
from ushape.predict.tiled import Predictor
from ushape.report.charts import Series, line_chart
from ushape.report.page import Page, Picture, write
from ushape.train.diary import read as read_log
from ushape.train.validate import Truth, table

_CASES = 3  # of the best, and of the worst
_SMOOTHING = 50  # the loss is drawn as the mean over a fiftieth of the steps
_SIDE_PX = 1024  # of a case; of larger images the middle is shown


def write_training_report(run: Path, predictor: Predictor, truths: Sequence[Truth]) -> Table:
    """Score the best network on the validation images as a user's prediction would, and write RUN/report.html."""
    scores = table(predictor, truths)
    trained = predictor.trained
    about = trained.provenance
    page = Page(
        title=f"{trained.recipe.model.name} on {Path(str(about['data'])).name}",
        headline=_headline(scores),
        facts=_facts(trained, run),
        charts=_charts(run / "log.csv"),
        tables=[(f"Scores on {counted(len(scores.rows), 'validation image')}", scores)],
        galleries=_galleries(predictor, scores, truths),
        legend=legend(trained.labels, truth=True),
        command=str(about["command"]),
        notes=[f"Split: {about['split']}."],
    )
    write(run / "report.html", page)
    return scores


def write_evaluation_report(path: Path, predictor: Predictor, evaluation: Evaluation, truths: Sequence[Truth]) -> None:
    """The same for an evaluation on other images."""
    scores = evaluation.table
    notes = []
    if evaluation.trained_on:
        notes.append(f"{len(evaluation.trained_on)} of these images were trained on; their scores flatter.")
    page = Page(
        title=f"{predictor.trained.recipe.model.name}: evaluation",
        headline=_headline(scores),
        facts=_facts(predictor.trained, None),
        tables=[(f"Scores on {counted(len(scores.rows), 'image')}", scores)],
        galleries=_galleries(predictor, scores, truths),
        legend=legend(predictor.trained.labels, truth=True),
        notes=notes,
    )
    write(path, page)


def _headline(scores: Table) -> list[tuple[str, str]]:
    summary = scores.summary()
    figures = [("Dice", summary.foreground.dice), ("IoU", summary.foreground.iou)]
    return [(name, _with_interval(f)) for name, f in figures] + [
        ("pixel accuracy", f"{summary.pixel_accuracy.mean:.3f}"),
        ("images", str(summary.images)),
    ]


def _with_interval(figure: Figure) -> str:
    if np.isnan(figure.low):
        return f"{figure.mean:.3f}"
    return f"{figure.mean:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def _facts(trained: checkpoint.Trained, run: Path | None) -> list[tuple[str, str]]:
    about: Any = trained.provenance
    recipe, model = trained.recipe, trained.model
    options = ", ".join(f"{k} {v}" for k, v in recipe.model.options.items()) or "as published"
    facts = [
        ("network", f"{recipe.model.name} ({options}), {model.parameter_count:,} parameters"),
        ("classes", ", ".join(trained.labels.names)),
        ("trained in", f"{about['data']} ({about['layout']})"),
        ("trained on", f"{counted(len(about['training']), 'image')}: {_few(about['training'])}"),
        ("held back", f"{counted(len(about['validation']), 'image')}: {_few(about['validation'])}"),
        ("training", f"{about['step']} steps in {about['seconds'] / 60:.1f} minutes on {about['device']}"),
        ("recipe", f"{recipe.training.optimiser}, {recipe.training.loss}, seed {recipe.seed}"),
        ("date", str(about["date"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
    ]
    return facts if run is None else [*facts, ("run", str(run))]


def _few(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _charts(log: Path) -> list[tuple[str, str]]:
    rows = read_log(log)
    losses = np.array([[float(r["step"]), float(r["loss"])] for r in rows if r["loss"]]).reshape(-1, 2)
    stride = max(1, len(losses) // _SMOOTHING)
    means = losses[: len(losses) // stride * stride].reshape(-1, stride, 2).mean(axis=1)
    loss = Series("loss", means[:, 0].tolist(), means[:, 1].tolist())
    validated = [r for r in rows if r["validation_dice"]]
    at = [float(r["step"]) for r in validated]
    dice = Series("Dice", at, [float(r["validation_dice"]) for r in validated])
    iou = Series("IoU", at, [float(r["validation_iou"]) for r in validated])
    return [
        ("Loss in training", line_chart([loss], x_label="step", y_label="loss")),
        ("Scores in validation", line_chart([dice, iou], x_label="step", y_label="score")),
    ]


def _galleries(predictor: Predictor, scores: Table, truths: Sequence[Truth]) -> list[tuple[str, list[Picture]]]:
    by_name = {truth.name: truth for truth in truths}
    count = min(_CASES, max(1, len(scores.rows) // 2))
    chosen = [("Worst cases", scores.worst(count)), ("Best cases", scores.best(count))]
    if len(scores.rows) == 1:
        chosen = [("The one case", scores.worst(1))]
    return [(title, [_picture(predictor, row, by_name[row.name], scores) for row in rows]) for title, rows in chosen]


def _picture(predictor: Predictor, row: Row, truth: Truth, scores: Table) -> Picture:
    classes, _ = predictor.whole(truth.source)
    middle = tuple(slice(max(0, (n - _SIDE_PX) // 2), max(0, (n - _SIDE_PX) // 2) + _SIDE_PX) for n in classes.shape)
    labels = predictor.trained.labels
    enlarge = max(1, 512 // max(classes[middle].shape))
    pixels = overlay(truth.source.read()[middle], classes[middle], labels, truth=truth.classes[middle], enlarge=enlarge)
    dice = Table([row], scores.class_names).pooled.mean_dice
    return Picture(f"{row.name}: Dice {dice:.3f}", pixels)
