"""Results as tables: scores, a proof, the layers of a network, a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ushape.cli.text import say, say_facts
from ushape.compare.results import TITLES, Results
from ushape.data.pair import counted, listed
from ushape.evaluate import Evaluation
from ushape.metrics.agreement import Agreement
from ushape.metrics.families import Measures
from ushape.models.anatomy import Anatomy, Layer
from ushape.predict.files import MaskWritten
from ushape.predict.outlook import Outlook
from ushape.predict.proof import Compared
from ushape.prune import Levels
from ushape.repetition import Results as Repeated

Scores = Mapping[str, Any]  # Any: JSON, as metrics.table.Table.to_dict makes it
_MENDED_SAID = 8
_WIDTH = 110  # where there is no terminal, so that no line is broken


def say_scores(scores: Scores) -> None:
    """The figures of a folder: a line per class, and the images with the lowest Dice."""
    summary = scores["summary"]
    table = _table("class", "images", "Dice (95 % interval)", "IoU (95 % interval)", "precision", "recall")
    background, *foreground = summary["classes"]
    rows = [*foreground, *([summary["foreground"]] if len(foreground) > 1 else []), background]
    for row in rows:
        intervals = [_with_interval(row[measure]) for measure in ("dice", "iou")]
        table.add_row(
            row["name"], str(row["images"]), *intervals, _score(row["precision"]["mean"]), _score(row["recall"]["mean"])
        )
    _print(table)
    accuracy, error = summary["pixel_accuracy"], summary["pixel_error"]
    say(f"  {_images(summary)}; pixel accuracy {_with_interval(accuracy)}, error {_score(error['mean'])}")
    if scores["scope"]:
        say(f"  {scores['scope']}")
    ranked = sorted((row for row in scores["rows"] if row["mean_dice"] is not None), key=lambda row: row["mean_dice"])
    if len(ranked) > 1:
        say("  lowest Dice: " + ", ".join(f"{row['name']} {_score(row['mean_dice'])}" for row in ranked[:3]))


def say_evaluation(evaluation: Evaluation) -> None:
    """The scores, the figures over all thresholds, and what flatters them."""
    say_scores(evaluation.table.to_dict())
    if evaluation.roc_auc is not None:
        say(f"  ROC AUC {evaluation.roc_auc:.4f}, average precision {evaluation.average_precision:.4f}")
        say(f"  best F1 {evaluation.best_f1:.4f} at threshold {evaluation.best_threshold:.3f}, chosen on these images")
    if evaluation.confidence is not None:
        say(f"  {evaluation.confidence.in_words()}")
    for measures in evaluation.measures:
        say_measures(measures)
    if names := evaluation.trained_on:
        say(f"warning: the network was trained on {listed(names)}; the scores flatter it.")


def say_measures(measures: Measures) -> None:
    """One family of scores: means over images, and the figure of the folder where the field reports one."""
    table = _table(measures.family, "images", "mean (95 % interval)", "folder")
    for name, figure in measures.figures().items():
        counts = sum(not math.isnan(image.get(name, math.nan)) for image in measures.images)
        shown = {key: None if math.isnan(value) else value for key, value in asdict(figure).items()}
        table.add_row(name.replace("_", " "), str(counts), _with_interval(shown), _score(shown["pooled"]))
    _print(table)


def say_agreement(figures: Mapping[str, Agreement]) -> None:
    """How far measured figures agree with those of a reference, a line each."""
    table = _table("predicted − manual", "patients", "bias", "limits of agreement", "mean |difference|", "Pearson r")
    for name, found in figures.items():
        limits = "–" if math.isnan(found.low) else f"{found.low:.2f} to {found.high:.2f}"
        cells = ("–" if math.isnan(v) else f"{v:.2f}" for v in (found.bias, found.mean_absolute_error))
        bias, error = cells
        table.add_row(name, str(found.pairs), bias, limits, error, _score(_defined(found.correlation)))
    _print(table)


def say_proof(compared: Compared, *, err: bool = False) -> bool:
    """One tiling against one pass; whether they agree."""
    verdict = "the same answer" if compared.holds else "NOT the same answer: a defect of ushape, please report it"
    tiling = f"{compared.tiles:5} tiles of {compared.keep_px} px"
    if not compared.keep_px:
        tiling = f"{compared.tiles:5} band{'' if compared.tiles == 1 else 's'}, row by row"
    tied = f", {compared.ties} ties decided otherwise" if compared.ties else ""
    say(
        f"  {tiling}: largest difference {compared.largest_difference:.1e}, "
        f"{compared.flipped_labels} pixels of another class{tied}: {verdict}",
        err=err,
    )
    return compared.holds


def say_trust(written: Sequence[MaskWritten]) -> None:
    """The Dice that masks should have by the network's own probabilities, and the images to look at first."""
    every = {name: dice for w in written for name, dice in w.expected_dice.items()}
    sure = {name: dice for name, dice in every.items() if not math.isnan(dice)}
    if sure:
        lowest = sorted(sure, key=lambda name: sure[name])[:3]
        named = ", lowest: " + ", ".join(f"{name} {_score(sure[name])}" for name in lowest)
        say(f"  expected Dice {_score(sum(sure.values()) / len(sure))}" + (named if len(sure) > 1 else ""))
    if empty := [name for name in every if name not in sure]:
        say(f"  nothing but background in {listed(empty)}")


def say_mended(written: Sequence[MaskWritten]) -> None:
    """What it changed that regions are in one piece through a volume, the first few sentences."""
    told = [words for w in written for words in w.mended]
    say_facts([("mended", words) for words in told[:_MENDED_SAID]])
    if len(told) > _MENDED_SAID:
        say(f"  … and {len(told) - _MENDED_SAID} more changes, all in --json")


def say_levels(levels: Levels) -> None:
    """What each level costs and scores, and which is recommended."""
    table = _table("network", "parameters", "G multiply-adds / Mpx", "s / Mpx, here", levels.measure)
    for row in levels.rows:
        operations, seconds = f"{row.multiply_adds_per_megapixel / 1e9:.2f}", f"{row.seconds_per_megapixel:.2f}"
        score = _score(None if math.isnan(row.score) else row.score)
        table.add_row(row.name, f"{row.parameters:,}", operations, seconds, score)
    _print(table)
    say_facts([("recommended", levels.reason)])


def say_standings(results: Results) -> None:
    """What each entrant of a comparison scored and took."""
    shown = results.shown[:2]
    titles = [f"{TITLES[score]}, 95 %" for score in shown]
    table = _table("entrant", *titles, "parameters", "steps", "seconds", "s / Mpx")
    for standing in results.standings:
        cells = ["–" for _ in shown]
        if standing.outcomes:
            spreads = [results.spread(standing, score) for score in shown]
            cells = [_with_interval({k: _defined(v) for k, v in asdict(of).items() if k != "seeds"}) for of in spreads]
        took = [_defined(standing.median(what)) for what in ("steps", "seconds", "seconds_per_megapixel")]
        forms = zip(took, (",.0f", ",.1f", ".2f"), strict=True)
        numbers = ["–" if number is None else f"{number:{form}}" for number, form in forms]
        table.add_row(standing.name, *cells, f"{standing.cost.parameters:,}", *numbers)
    _print(table)


def say_members(results: Repeated) -> None:
    """What each of several trainings scored, on how many images."""
    shown = results.shown[:3]
    table = _table("training", "scored", "groups", *(TITLES[score] for score in shown), "steps", "seconds")
    for member in results.members:
        means = [_score(_defined(member.means[score])) for score in shown]
        counts = [str(len(member.images)), str(member.groups)]
        table.add_row(member.name, *counts, *means, f"{member.steps:,}", f"{member.seconds:.1f}")
    _print(table)


def say_anatomy(anatomy: Anatomy) -> None:
    """Every layer in its order, then what the network asks of an image."""
    table = _table("layer", "", "channels", "size", "parameters", "multiply-adds")
    for layer in anatomy.layers:
        table.add_row(*_layer_cells(layer))
    _print(table)
    near = " and ".join(str(size) for size in sorted(set(anatomy.legal_sizes)))
    reach = anatomy.receptive_field
    say_facts(
        [
            ("input → output", f"{_pixels(anatomy.input_size)} → {_pixels(anatomy.output_size)} px"),
            ("legal inputs", f"{anatomy.smallest_input} + {anatomy.multiple}·n; nearest: {near}"),
            ("margin", f"{anatomy.margin} px at each side" + (" (zero-padded inside)" if anatomy.padded else "")),
            *([("receptive field", f"{reach} px, of one answered pixel, at most")] if reach else []),
            ("tiles start at", f"multiples of {anatomy.multiple} px"),
            ("parameters", f"{anatomy.parameters:,}"),
            ("operations", f"{anatomy.multiply_adds / 1e9:,.2f} billion multiply-adds for this input"),
        ]
    )


def say_outlook(outlook: Outlook, shape: tuple[int, int], seconds: float) -> None:
    """How an image is divided for prediction, and what that costs."""
    parts = f"{outlook.parts:,} {'block' if outlook.by_rows else 'tile'}{'' if outlook.parts == 1 else 's'}"
    size = f"{outlook.part_shape[0]:,} x {outlook.part_shape[1]:,} px"
    how = f", row by row, {outlook.rows} rows at a time" if outlook.by_rows else ""
    billions = f"{outlook.multiply_adds / 1e9:,.0f} billion multiply-adds"
    say_facts(
        [
            ("image", f"{shape[0]:,} x {shape[1]:,} px, {math.prod(shape) / 1e6:,.1f} megapixels"),
            ("divided into", f"{parts} of {size}{how}"),
            ("operations", f"{billions}, {outlook.waste:.2f} times those of one pass"),
            ("memory", f"about {outlook.bytes / 2**20:,.0f} MiB beside weights, image and mask"),
            ("time", f"about {seconds:,.0f} s here, by a measurement of the pace"),
        ]
    )


def _layer_cells(layer: Layer) -> list[str]:
    resized = layer.input_size != layer.output_size
    size = f"{_pixels(layer.input_size)} → {_pixels(layer.output_size)}" if resized else _pixels(layer.output_size)
    return [
        layer.name,
        layer.kind,
        f"{layer.in_channels} → {layer.out_channels}",
        size,
        f"{layer.parameters:,}" if layer.parameters else "",
        f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
    ]


def _pixels(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]} x {size[1]}"


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True)
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number == 0 or not title else "right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)


def _with_interval(figure: Mapping[str, float | None]) -> str:
    low, high = figure["low"], figure["high"]
    return _score(figure["mean"]) + (f" ({_score(low)}–{_score(high)})" if low is not None else "")


def _defined(number: float) -> float | None:
    return None if math.isnan(number) else number


def _score(number: float | None) -> str:
    return "–" if number is None else f"{number:.4f}"


def _images(summary: Mapping[str, Any]) -> str:
    images, groups = summary["images"], summary["groups"]
    return counted(images, "image") + (f" in {counted(groups, 'group')}" if groups != images else "")
