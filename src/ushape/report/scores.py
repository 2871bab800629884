"""Scores as HTML: the figures of the folder, the rules they follow, and each image, the worst first."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ushape.data.pair import counted
from ushape.metrics.families import ABOUT, Measures
from ushape.metrics.pixels import PixelScores
from ushape.metrics.table import EMPTY_RULE, INTERVAL_RULE, MEASURES, ClassFigures, Figure, Row, Table
from ushape.report.markup import escaped

MOST_ROWS = 1000
"""Images that are listed, the worst of all; more would make the page slow to open."""

_TITLES = {"dice": "Dice", "iou": "IoU", "precision": "Precision", "recall": "Recall"}


def score_table(table: Table) -> str:
    """Per class and over the foreground: means over images with their intervals, pooled scores, numbers of images."""
    summary = table.summary()
    background, *foreground = summary.classes
    rows = [_figures_row(figures) for figures in foreground]
    if len(foreground) != 1:  # of one class it would be the same row again
        rows.append(_figures_row(summary.foreground, "total"))
    rows.append(_figures_row(background, "aside"))
    measures = "".join(f'<th colspan="2" scope="colgroup">{_TITLES[measure]}</th>' for measure in MEASURES)
    columns = '<th scope="col" class="new">mean</th><th scope="col">pooled</th>' * len(MEASURES)
    images = counted(summary.images, "image")
    if summary.groups != summary.images:
        images += f" in {counted(summary.groups, 'group')}"
    return (
        f'<div class="wide"><table class="scores"><thead>'
        f'<tr><th rowspan="2" scope="col">Class</th><th rowspan="2" scope="col">Images</th>{measures}</tr>'
        f"<tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"<p>{images}; pixel accuracy {_mean(summary.pixel_accuracy)} as a mean over images, "
        f"{_score(summary.pixel_accuracy.pooled)} pooled.{_scope(table)}</p>"
        f'<p class="small">{escaped(EMPTY_RULE)} Mean: over images, below it its interval. {escaped(INTERVAL_RULE)} '
        f"Pooled: from all pixels of all images at once. A null is shown as –.</p>{_images(table)}"
    )


def _scope(table: Table) -> str:
    """Of which pixels all this is, as a sentence after another."""
    return f" <strong>{escaped(table.scope[0].upper() + table.scope[1:])}.</strong>" if table.scope else ""


def measures_table(measures: Measures) -> str:
    """One family: of each score in how many images it is defined, its mean over them, and the folder's own figure."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(name.replace("_", " "))}</th>'
        f"<td>{sum(not math.isnan(image.get(name, math.nan)) for image in measures.images)}</td>"
        f'<td class="new">{_mean(figure)}</td><td class="new">{_score(figure.pooled)}</td></tr>'
        for name, figure in measures.figures().items()
    )
    about = ABOUT[measures.family]
    return (
        '<div class="wide"><table class="scores"><thead><tr><th scope="col">Score</th><th scope="col">Images</th>'
        '<th scope="col" class="new">mean</th><th scope="col" class="new">folder</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="small">{escaped(about[0].upper() + about[1:])}. Mean: over the images where the score is defined, '
        "below it its interval. Folder: of all images at once, where such a figure is reported.</p>"
    )


def _figures_row(figures: ClassFigures, kind: str = "") -> str:
    cells = "".join(
        f'<td class="new">{_mean(figure)}</td><td>{_score(figure.pooled)}</td>'
        for figure in (figures.dice, figures.iou, figures.precision, figures.recall)
    )
    return f'<tr class="{kind}"><th scope="row">{escaped(figures.name)}</th><td>{figures.images}</td>{cells}</tr>'


def _mean(figure: Figure) -> str:
    if math.isnan(figure.low):
        return _score(figure.mean)
    return f'{_score(figure.mean)} <span class="interval">({_score(figure.low)}–{_score(figure.high)})</span>'


def _images(table: Table) -> str:
    """Every image with its foreground scores and, where there are several classes, the Dice of each."""
    ranked = sorted(zip(table.rows, table.scores, strict=True), key=lambda pair: _rank(pair[1]))
    names = table.class_names[1:] if len(table.class_names) > 2 else ()
    grouped = any(row.group != row.name for row in table.rows)
    head = '<th scope="col">Image</th>' + '<th scope="col" class="name">Group</th>' * grouped
    titles = [*(_TITLES[measure] for measure in MEASURES), *(f"Dice {name}" for name in names)]
    head += "".join(f'<th scope="col">{escaped(title)}</th>' for title in titles)
    shown = f"the {MOST_ROWS} worst of {len(ranked)}" if len(ranked) > MOST_ROWS else f"all {len(ranked)}"
    rows = "".join(_image_row(row, scores, grouped, len(names)) for row, scores in ranked[:MOST_ROWS])
    return (
        f"<details><summary>Image by image: {shown}, the worst first</summary>"
        f'<div class="wide"><table class="images"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"</details>"
    )


def _image_row(row: Row, scores: PixelScores, grouped: bool, classes: int) -> str:
    means = (scores.mean_dice, scores.mean_iou, scores.mean_precision, scores.mean_recall)
    names = [f'<th scope="row">{escaped(row.name)}</th>', *([f'<td class="name">{escaped(row.group)}</td>'] * grouped)]
    bar = "" if math.isnan(scores.mean_dice) else f' class="bar" style="--share:{scores.mean_dice:.3f}"'
    return (
        f"<tr>{''.join(names)}<td{bar}>{_score(means[0])}</td>"
        f"{_cells(means[1:])}{_cells(scores.dice[1:] if classes else ())}</tr>"
    )


def _cells(scores: Iterable[float]) -> str:
    return "".join(f"<td>{_score(score)}</td>" for score in scores)


def _rank(scores: PixelScores) -> tuple[bool, float]:
    """The lowest foreground Dice first, images without foreground last."""
    undefined = math.isnan(scores.mean_dice)
    return undefined, 0 if undefined else scores.mean_dice


def _score(number: float) -> str:
    return "–" if math.isnan(number) else f"{number:.3f}"
