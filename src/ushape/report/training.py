"""A run's folder → its report page: curves, scores, best and worst cases, what was trained on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape import checkpoint
from ushape.data.borders import separated
from ushape.data.pair import counted
from ushape.evaluate import Evaluation, Scoring
from ushape.geometry.tiles import Window
from ushape.labels import IGNORED
from ushape.metrics.families import Measures
from ushape.metrics.table import Figure, Row, Table
from ushape.predict.objects import find_objects
from ushape.predict.overlay import legend, overlay
from ushape.predict.tiled import Predictor
from ushape.report.charts import Series, line_chart
from ushape.report.page import Page, Picture, write
from ushape.report.reliability import reliability_chart
from ushape.report.stages import courses, stage_chart, stage_facts
from ushape.train.diary import read as read_log
from ushape.train.turned import FlipsChosen
from ushape.train.validate import Truth

_CASES = 3  # of the best, and of the worst
_SMOOTHING = 50  # the loss is drawn as the mean over a fiftieth of the steps
_SIDE_PX = 1024  # of a case; of larger images the middle is shown


def write_training_report(run: Path, predictor: Predictor, truths: Sequence[Truth]) -> Evaluation:
    """Score the best network on the validation images as a user's prediction would, and write RUN/report.html."""
    scoring = Scoring(predictor)
    for truth in truths:
        scoring.add(truth)
    evaluation, trained, stages = scoring.result(), predictor.trained, courses(run)
    about, on = trained.provenance, counted(len(truths), "validation image")
    notes = [f"Split: {about['split']}."]
    if trained.object_rule and about.get("object_images"):
        notes.append("How objects are found was chosen on the validation images, which flatters the scores of objects.")
    elif trained.object_rule:
        notes.append("No validation image has an object to choose by; objects are found as is usual.")
    if trained.labels.temperature != 1:
        notes.append("The temperature was fitted on the validation images, which flatters the calibration error.")
    page = Page(
        title=f"{trained.recipe.model.name} on {Path(str(about['data'])).name}",
        headline=_headline(evaluation),
        facts=[*_facts(trained, run), *_calibration(evaluation), *stage_facts(stages)],
        charts=[*_charts(run / "log.csv"), *_reliability(evaluation), *([stage_chart(stages)] if stages else [])],
        tables=[(f"Scores on {on}", evaluation.table)],
        measures=_measures(evaluation, on),
        galleries=_galleries(predictor, evaluation, truths),
        legend=legend(trained.labels, truth=True),
        command=str(about["command"]),
        notes=notes,
    )
    write(run / "report.html", page)
    return evaluation


def write_evaluation_report(path: Path, predictor: Predictor, evaluation: Evaluation, truths: Sequence[Truth]) -> None:
    """The same for an evaluation on other images."""
    on, notes = counted(len(evaluation.table.rows), "image"), []
    if evaluation.trained_on:
        notes.append(f"{len(evaluation.trained_on)} of these images were trained on; their scores flatter.")
    page = Page(
        title=f"{predictor.trained.recipe.model.name}: evaluation",
        headline=_headline(evaluation),
        facts=[*_facts(predictor.trained, None), *_calibration(evaluation)],
        charts=_reliability(evaluation),
        tables=[(f"Scores on {on}", evaluation.table)],
        measures=_measures(evaluation, on),
        galleries=_galleries(predictor, evaluation, truths),
        legend=legend(predictor.trained.labels, truth=True),
        notes=notes,
    )
    write(path, page)


def _measures(evaluation: Evaluation, on: str) -> list[tuple[str, Measures]]:
    return [(f"Scores of {measures.family} on {on}", measures) for measures in evaluation.measures]


def _calibration(evaluation: Evaluation) -> list[tuple[str, str]]:
    return [("calibration", evaluation.confidence.in_words())] if evaluation.confidence else []


def _reliability(evaluation: Evaluation) -> list[tuple[str, str]]:
    return [reliability_chart(evaluation.confidence)] if evaluation.confidence else []


def _headline(evaluation: Evaluation) -> list[tuple[str, str]]:
    summary = evaluation.table.summary()
    figures = [("Dice", summary.foreground.dice), ("IoU", summary.foreground.iou)]
    figures += [("F1 of objects", m.figures()["f1_50"]) for m in evaluation.measures if m.family == "objects"]
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
    borders = recipe.training.border_weights
    weighed = "" if borders == "none" else f" with border weights {borders}"
    facts = [
        ("network", f"{recipe.model.name} ({options}), {model.parameter_count:,} parameters"),
        ("classes", ", ".join(trained.labels.names)),
        *([("objects", trained.object_rule.in_words())] if trained.object_rule else []),
        *([("flips", FlipsChosen(**about["flips"]).in_words())] if "flips" in about else []),
        ("trained in", f"{about['data']} ({about['layout']})"),
        ("trained on", f"{counted(len(about['training']), 'image')}: {_few(about['training'])}"),
        ("held back", f"{counted(len(about['validation']), 'image')}: {_few(about['validation'])}"),
        ("training", f"{about['step']} steps in {about['seconds'] / 60:.1f} minutes on {about['device']}"),
        ("recipe", f"{recipe.training.optimiser}, {recipe.training.loss}{weighed}, seed {recipe.seed}"),
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
    judged = [r for r in validated if r.get("validation_objects")]
    objects = Series("objects", [float(r["step"]) for r in judged], [float(r["validation_objects"]) for r in judged])
    return [
        ("Loss in training", line_chart([loss], x_label="step", y_label="loss")),
        ("Scores in validation", line_chart([dice, iou, *[objects] * bool(judged)], x_label="step", y_label="score")),
    ]


def _galleries(
    predictor: Predictor, evaluation: Evaluation, truths: Sequence[Truth]
) -> list[tuple[str, list[Picture]]]:
    scores, by_name = evaluation.table, {truth.name: truth for truth in truths}
    ranked, count = evaluation.ranked(), min(_CASES, max(1, len(scores.rows) // 2))
    chosen = [("Worst cases", ranked[:count]), ("Best cases", ranked[::-1][:count])]
    if len(scores.rows) == 1:
        chosen = [("The one case", ranked)]
    return [
        (title, [_picture(predictor, by_name[row.name], _caption(row, evaluation)) for row in rows])
        for title, rows in chosen
    ]


def _caption(row: Row, evaluation: Evaluation) -> str:
    caption = f"{row.name}: Dice {Table([row], evaluation.table.class_names).pooled.mean_dice:.3f}"
    for measures in evaluation.measures:
        if measures.family == "objects":
            found = dict(zip(measures.names, measures.images, strict=True))[row.name]["f1_50"]
            caption += "" if np.isnan(found) else f", F1 of objects {found:.3f}"
    return caption


def _picture(predictor: Predictor, truth: Truth, caption: str) -> Picture:
    """The answer over its image, objects drawn apart where they are told apart."""
    if predictor.axes == 3:
        return _slice(predictor, truth, caption)
    classes, probability = predictor.whole(truth.source)
    wanted, rule = truth.classes, predictor.trained.object_rule
    if rule is not None:
        classes = (separated(find_objects(probability[1], rule)) > 0).astype(np.uint8)
        if truth.objects is not None:
            apart = (separated(truth.objects) > 0).astype(np.uint8)
            wanted = np.where(wanted == IGNORED, wanted, apart)
    return Picture(caption, _shown(predictor, truth.source.read(), classes, wanted))


def _slice(predictor: Predictor, truth: Truth, caption: str) -> Picture:
    """The same of a volume: the slice with most of the foreground."""
    foreground = (truth.classes > 0) & (truth.classes != IGNORED)
    number = int(foreground.sum(axis=(1, 2)).argmax())
    height, width = truth.source.plane_shape
    window = Window((number, 0, 0), (number + 1, height, width))
    classes, _ = predictor.whole(truth.source)
    pixels = _shown(predictor, truth.source.read(window)[0], classes[number], truth.classes[number])
    return Picture(f"{caption}, slice {number} of 0 to {len(classes) - 1}", pixels)


def _shown(
    predictor: Predictor, pixels: NDArray[np.generic], classes: NDArray[np.uint8], wanted: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """(H, W, C) pixels under (H, W) classes, the middle of large ones, small ones enlarged."""
    middle = tuple(slice(max(0, (n - _SIDE_PX) // 2), max(0, (n - _SIDE_PX) // 2) + _SIDE_PX) for n in classes.shape)
    enlarge = max(1, 512 // max(classes[middle].shape))
    return overlay(pixels[middle], classes[middle], predictor.trained.labels, truth=wanted[middle], enlarge=enlarge)
