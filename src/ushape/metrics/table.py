"""Per-image confusions → the figures of a folder, with intervals, as JSON and CSV.

The empty rule (see pixels.py) decides which images a mean is over: those in which the class is in the truth or in the
prediction. How many there are stands beside each mean. Pooled scores come from the sum of all confusions, so that
there every pixel weighs the same; in a mean over images every image does.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.atomic import write_whole
from ushape.errors import DataError, SizeError
from ushape.metrics.pixels import PixelScores
from ushape.metrics.scope import scope_in_words

EMPTY_RULE = (
    "A class counts in an image where it is in the truth or in the prediction; elsewhere its scores are null and no "
    "mean includes them. Where it counts, 0/0 is 0. A foreground mean is over the classes that count, the first aside."
)
INTERVAL_RULE = (
    "95 % percentile bootstrap of the mean over images, resampling whole groups (patients, slides; an image that "
    "belongs to none is its own group). Where all images are of one group, images are resampled, and the "
    "interval says nothing about another group; null where the class counts in fewer than two images."
)
RESAMPLES = 2000
MEASURES = ("dice", "iou", "precision", "recall")


@dataclass(frozen=True, eq=False)
class Row:
    """One image: its name, its group (patient, slide; its own name where it belongs to none), its pixels.

    ignored: how many more it has, which count nowhere.
    """

    name: str
    group: str
    confusion: NDArray[np.int64]
    ignored: int = 0


@dataclass(frozen=True)
class Figure:
    """A mean over images, its 95 % interval, and the same measure over all pixels at once."""

    mean: float
    low: float
    high: float
    pooled: float


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class, or of the foreground mean, and how many images and groups it counts in."""

    name: str
    images: int
    groups: int
    dice: Figure
    iou: Figure
    precision: Figure
    recall: Figure


@dataclass(frozen=True)
class Summary:
    """A folder in figures; classes stand in the order of their numbers, the background first."""

    images: int
    groups: int
    classes: tuple[ClassFigures, ...]
    foreground: ClassFigures
    pixel_accuracy: Figure
    pixel_error: Figure


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of images that share their classes. `seed` draws the bootstrap: equal tables have equal intervals.

    >>> Table([Row("a", "a", np.array([[5, 1], [1, 2]]))], ["membrane", "cell"]).summary().foreground.dice.mean
    0.6666666666666666
    """

    rows: Sequence[Row]
    class_names: Sequence[str]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rows:
            raise DataError("No image to score; give at least one image that has a mask.")
        classes = len(self.class_names)
        misfits = [row for row in self.rows if row.confusion.shape != (classes, classes)]
        if misfits:
            found = ", ".join(f"{row.name} {row.confusion.shape}" for row in misfits)
            raise SizeError(
                f"{len(misfits)} of {len(self.rows)} confusions do not fit the {classes} classes "
                f"{', '.join(self.class_names)}: {found}. Make each with classes={classes}."
            )

    @cached_property
    def scores(self) -> tuple[PixelScores, ...]:
        """The scores of each image, in the order of the rows."""
        return tuple(PixelScores.of(row.confusion) for row in self.rows)

    @cached_property
    def pooled(self) -> PixelScores:
        """The scores of all pixels of all images at once."""
        return PixelScores.of(np.sum([row.confusion for row in self.rows], axis=0))

    @property
    def scope(self) -> str:
        """Of which part of the pixels the scores are, in words; empty where of all."""
        scored = [int(row.confusion.sum()) for row in self.rows]
        blank = [row.name for row, pixels in zip(self.rows, scored, strict=True) if not pixels]
        return scope_in_words(sum(scored), sum(row.ignored for row in self.rows), blank)

    def summary(self) -> Summary:
        """The figures of the folder: per class, their foreground mean, and pixels right and wrong."""
        return self._summary

    def worst(self, n: int) -> list[Row]:
        """The n images of lowest mean foreground Dice, the lowest first; images without foreground are left out."""
        return self._ranked(1)[:n]

    def best(self, n: int) -> list[Row]:
        """The n images of highest mean foreground Dice, the highest first; images without foreground are left out."""
        return self._ranked(-1)[:n]

    def to_dict(self) -> dict[str, object]:
        """All of it, ready for JSON: rules, summary, and each image with its scores and confusion; NaN is None."""
        everything = {
            "rules": {"empty": EMPTY_RULE, "interval": INTERVAL_RULE, "resamples": RESAMPLES, "seed": self.seed},
            "class_names": list(self.class_names),
            "scope": self.scope,
            "summary": asdict(self.summary()),
            "rows": [self._image(row, scores) for row, scores in zip(self.rows, self.scores, strict=True)],
        }
        return {key: without_nan(value) for key, value in everything.items()}

    def write_json(self, path: Path) -> None:
        """`to_dict` as a file, complete or not there."""
        write_whole(path, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    def write_csv(self, path: Path, columns: Mapping[str, Sequence[float]] | None = None) -> None:
        """One line per image, complete or not there: foreground means, then each class; undefined scores are empty.

        columns: more scores by name, one per image, which come last.
        """
        further = dict(columns or {})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["name", "group", "pixels", "pixel_accuracy"]
            + [f"mean_{measure}" for measure in MEASURES]
            + [f"{measure} {name}" for name in self.class_names for measure in MEASURES]
            + list(further)
        )
        for number, (row, scores) in enumerate(zip(self.rows, self.scores, strict=True)):
            numbers = [scores.pixel_accuracy, *_foreground(scores)]
            numbers += [score for of_class in _per_class(scores) for score in of_class]
            numbers += [column[number] for column in further.values()]
            cells = ["" if math.isnan(number) else number for number in numbers]
            writer.writerow([row.name, row.group, int(row.confusion.sum()), *cells])
        write_whole(path, text.getvalue().encode(errors="surrogateescape"))  # names keep the bytes they have on disk

    def _ranked(self, sign: int) -> list[Row]:
        scored = [(sign * s.mean_dice, i) for i, s in enumerate(self.scores) if not math.isnan(s.mean_dice)]
        return [self.rows[i] for _, i in sorted(scored)]

    def _image(self, row: Row, scores: PixelScores) -> dict[str, object]:
        return {
            "name": row.name,
            "group": row.group,
            "pixels": int(row.confusion.sum()),
            "ignored": row.ignored,
            **asdict(scores),
            **{f"mean_{measure}": score for measure, score in zip(MEASURES, _foreground(scores), strict=True)},
            "confusion": row.confusion.tolist(),
        }

    @cached_property
    def _summary(self) -> Summary:
        rng = np.random.default_rng(self.seed)
        groups = np.unique([row.group for row in self.rows], return_inverse=True)[1]
        of_class = np.array([_per_class(scores) for scores in self.scores])
        of_foreground = np.array([_foreground(scores) for scores in self.scores])
        of_pixels = np.array([(scores.pixel_accuracy, scores.pixel_error) for scores in self.scores])
        accuracy, error = _figures(of_pixels, (self.pooled.pixel_accuracy, self.pooled.pixel_error), groups, rng)
        return Summary(
            images=len(self.rows),
            groups=len(np.unique(groups)),
            classes=tuple(
                _class_figures(name, of_class[:, number], _per_class(self.pooled)[number], groups, rng)
                for number, name in enumerate(self.class_names)
            ),
            foreground=_class_figures("foreground mean", of_foreground, _foreground(self.pooled), groups, rng),
            pixel_accuracy=accuracy,
            pixel_error=error,
        )


def figure_of(values: Sequence[float], groups: Sequence[str], pooled: float, *, seed: int = 0) -> Figure:
    """The mean over images of a score that is NaN where undefined, with its interval by the rule above.

    >>> figure_of([1.0, 0.5, float("nan")], ["a", "b", "c"], pooled=0.7).mean
    0.75
    """
    numbered = np.unique(list(groups), return_inverse=True)[1]
    column = np.array(values, dtype=np.float64)[:, None]
    return _figures(column, (pooled,), numbered, np.random.default_rng(seed))[0]


def _per_class(scores: PixelScores) -> list[tuple[float, ...]]:
    """MEASURES of each class."""
    return list(zip(scores.dice, scores.iou, scores.precision, scores.recall, strict=True))


def _foreground(scores: PixelScores) -> tuple[float, ...]:
    """MEASURES, each a mean over the foreground classes."""
    return scores.mean_dice, scores.mean_iou, scores.mean_precision, scores.mean_recall


def _class_figures(
    name: str,
    of_images: NDArray[np.float64],
    pooled: tuple[float, ...],
    groups: NDArray[np.intp],
    rng: np.random.Generator,
) -> ClassFigures:
    counts = ~np.isnan(of_images[:, 0])
    dice, iou, precision, recall = _figures(of_images, pooled, groups, rng)
    return ClassFigures(
        name, int(counts.sum()), len(np.unique(groups[counts])), dice=dice, iou=iou, precision=precision, recall=recall
    )


def _figures(
    of_images: NDArray[np.float64], pooled: tuple[float, ...], groups: NDArray[np.intp], rng: np.random.Generator
) -> list[Figure]:
    """(images, M) measures that are NaN together, M pooled ones, the group of each image → M figures."""
    counts = ~np.isnan(of_images[:, 0])
    if not counts.any():
        return [Figure(math.nan, math.nan, math.nan, whole) for whole in pooled]
    values = of_images[counts]
    of_group = np.unique(groups[counts], return_inverse=True)[1]
    low, high = _interval(values, of_group if of_group.any() else np.arange(len(values)), rng)
    return [Figure(*map(float, four)) for four in zip(values.mean(axis=0), low, high, pooled, strict=True)]


def _interval(
    values: NDArray[np.float64], groups: NDArray[np.intp], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(images, M) values whose groups are numbered without gaps → the 95 % interval of each of the M means."""
    total = int(groups.max()) + 1
    if total < 2:
        return np.full(values.shape[1], math.nan), np.full(values.shape[1], math.nan)
    sums, images = np.zeros((total, values.shape[1])), np.bincount(groups)
    np.add.at(sums, groups, values)
    means = np.empty((RESAMPLES, values.shape[1]))
    for resample in range(RESAMPLES):
        times_drawn = np.bincount(rng.integers(total, size=total), minlength=total)
        means[resample] = times_drawn @ sums / (times_drawn @ images)
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return low, high


def without_nan(value: object) -> object:
    """Plain values for JSON, NaN as None wherever it stands."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
