"""Network + annotated folder → table; or masks + truth → table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.data.annotation import Annotation, annotate, read_classes
from ushape.data.folder import survey
from ushape.data.pair import Pair, listed
from ushape.errors import DataError
from ushape.images.source import SUFFIXES, open_image, pages, read_mask
from ushape.labels import IGNORED, Labels
from ushape.metrics.pixels import ScoreHistogram, confusion
from ushape.metrics.table import Row, Table
from ushape.predict.tiled import Predictor
from ushape.train.validate import Truth


@dataclass(frozen=True)
class Scored:
    """One image of an evaluation done."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Evaluation:
    """The table of a folder. Of two classes also the threshold-free figures, pooled over all counted pixels.

    roc_auc, average_precision: of the foreground's probability. best_f1, best_threshold: of the best single threshold,
    which is chosen on these very images and so flatters. trained_on: evaluated images that the network was trained on.
    """

    table: Table
    roc_auc: float | None = None
    average_precision: float | None = None
    best_f1: float | None = None
    best_threshold: float | None = None
    trained_on: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.table.to_dict(),
            "roc_auc": self.roc_auc,
            "average_precision": self.average_precision,
            "best_f1": self.best_f1,
            "best_threshold": self.best_threshold,
            "trained_on": list(self.trained_on),
        }


class RunEvaluation:
    """A network against an annotated folder: iterate over `events()`, then take `result()`.

    Raises DataError, naming every file, for a folder with faults and for masks with classes the network does not know.
    """

    def __init__(self, predictor: Predictor, data: Path, *, include: str = "*") -> None:
        self.predictor = predictor
        labels, trained = predictor.trained.labels, predictor.trained
        found = survey(data, include=include, group_by=trained.recipe.data.group_by or None)
        task = None if trained.recipe.data.task == "auto" else trained.recipe.data.task
        annotation = annotate(found, task=task, ignored_values=trained.recipe.data.ignored_values)
        annotation.require()
        _check_known(annotation, labels, data)
        self.pairs = found.pairs
        self._annotation = annotation
        self._histogram = ScoreHistogram() if labels.classes == 2 else None
        self._rows: list[Row] = []

    def events(self) -> Iterator[Scored]:
        """Predict and score, image after image."""
        for done, pair in enumerate(self.pairs, start=1):
            self._rows.append(self._scored(self.truth(pair)))
            yield Scored(pair.name, done, len(self.pairs))

    def truth(self, pair: Pair) -> Truth:
        """An image with its mask in the network's own class numbers."""
        known = {value: k for k, value in enumerate(self.predictor.trained.labels.values)}
        translation = np.full(256, IGNORED, dtype=np.uint8)
        for number, value in enumerate(self._annotation.labels.values):
            translation[number] = known[value]
        source = open_image(pair.image.path, pair.image.index)
        return Truth(pair.name, pair.group, source, translation[read_classes(pair, self._annotation)])

    def result(self) -> Evaluation:
        """The figures of the images scored so far."""
        table = Table(tuple(self._rows), self.predictor.trained.labels.names)
        before = set(self.predictor.trained.provenance.get("training", []))
        trained_on = tuple(row.name for row in self._rows if row.name in before)
        histogram = self._histogram
        if histogram is None:
            return Evaluation(table, trained_on=trained_on)
        best_f1, threshold = histogram.best_f1()
        return Evaluation(
            table, histogram.roc_auc(), histogram.average_precision(), best_f1, threshold, trained_on=trained_on
        )

    def _scored(self, truth: Truth) -> Row:
        classes = self.predictor.trained.labels.classes
        matrix = np.zeros((classes, classes), dtype=np.int64)
        for tile in self.predictor.tiles(truth.source):
            wanted = truth.classes[tile.window.slices]
            matrix += confusion(wanted, tile.classes, classes)
            if self._histogram is not None:
                self._histogram.add(wanted == 1, tile.probability[1], wanted != IGNORED)
        return Row(truth.name, truth.group, matrix)


def evaluate_masks(masks: Path, truth: Path) -> Evaluation:
    """Two folders (or files) of masks with equal stems and values, held against each other.

    Raises DataError, naming every file, for masks without a partner and pairs of different size.
    """
    predicted, wanted = _masks_in(masks), _masks_in(truth)
    faults = [f"{name}: in {masks}, but not in {truth}" for name in sorted(predicted.keys() - wanted.keys())]
    faults += [f"{name}: in {truth}, but not in {masks}" for name in sorted(wanted.keys() - predicted.keys())]
    both = sorted(predicted.keys() & wanted.keys())
    for name in both:
        if predicted[name].shape != wanted[name].shape:
            faults.append(f"{name}: {predicted[name].shape} against {wanted[name].shape} pixels of truth")
    if faults or not both:
        raise DataError(
            f"The masks in {masks} and {truth} do not fit together:\n  "
            + "\n  ".join(faults or ["there are none"])
            + "\nGive two folders whose masks have equal names and sizes."
        )
    values = sorted({int(v) for name in both for v in np.unique(predicted[name])} | _values(wanted, both))
    if len(values) >= IGNORED:
        raise DataError(
            f"The masks hold {len(values)} different values, too many to be classes. Masks of numbered objects are "
            "compared as objects and background: save them as 0 and 255 first."
        )
    names = ("background", "foreground") if len(values) == 2 else tuple(f"value {v}" for v in values)
    labels = Labels(names, tuple(values))
    rows = [Row(n, n, confusion(labels.encode(wanted[n]), labels.encode(predicted[n]), labels.classes)) for n in both]
    return Evaluation(Table(tuple(rows), labels.names))


def _values(masks: dict[str, NDArray[np.integer]], names: Sequence[str]) -> set[int]:
    return {int(v) for name in names for v in np.unique(masks[name])}


def _masks_in(place: Path) -> dict[str, NDArray[np.integer]]:
    if not place.exists():
        raise DataError(f"There is nothing at {place}. Give a folder of masks, or one mask.")
    files = [place] if place.is_file() else [f for f in sorted(place.iterdir()) if f.suffix.lower() in SUFFIXES]
    return {page.name: read_mask(page.path, page.index) for file in files for page in pages(file)}


def _check_known(annotation: Annotation, labels: Labels, data: Path) -> None:
    unknown = [
        f"{value} ({name})"
        for name, value in zip(annotation.labels.names, annotation.labels.values, strict=True)
        if value not in labels.values
    ]
    if unknown:
        raise DataError(
            f"The masks in {data} hold values that the network was not trained on: {listed(unknown)}. It knows "
            f"{listed(str(v) for v in labels.values)}. Leave those images out with --include, or train again with them."
        )
