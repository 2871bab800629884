"""Network + annotated folder → table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ushape.data.annotation import Annotation, annotate, read_classes, read_objects
from ushape.data.folder import survey
from ushape.data.pair import Pair, listed
from ushape.errors import DataError, ImageError
from ushape.evaluate.evaluation import Evaluation, Scored
from ushape.images.source import open_image
from ushape.labels import IGNORED, Labels, connected_regions
from ushape.metrics.families import FamilyName, Judged, family, measured
from ushape.metrics.pixels import ScoreHistogram, confusion
from ushape.metrics.table import Row, Table
from ushape.predict.formats import Collected
from ushape.predict.objects import find_objects
from ushape.predict.tiled import Predictor
from ushape.train.validate import Truth

_GENERAL_NAMES = {"object", "foreground"}  # of the one class of a folder that does not name it


class RunEvaluation:
    """A network against an annotated folder: iterate over `events()`, then take `result()`.

    families: scores beside those of pixels; for them an image is held in memory whole. Left out, those of objects for
    a network that tells objects apart, and none for others.

    Raises DataError, naming every file, for a folder with faults, for images that the network cannot take, and for
    masks with classes that it does not know; RecipeError for scores that its classes do not have.
    """

    def __init__(
        self,
        predictor: Predictor,
        data: Path,
        *,
        include: str = "*",
        families: Sequence[FamilyName] | None = None,
    ) -> None:
        self.predictor = predictor
        labels, recipe = predictor.trained.labels, predictor.trained.recipe
        by_default: tuple[FamilyName, ...] = ("objects",) if predictor.trained.object_rule else ()
        self._wanted = by_default if families is None else tuple(families)
        self._empty_families()
        found = survey(data, include=include, group_by=recipe.data.group_by or None)
        task = None if recipe.data.task == "auto" else recipe.data.task
        if predictor.trained.object_rule:
            task = "instances"  # a few masks alone may not show that they number objects
        annotation = annotate(found, task=task, ignored_values=recipe.data.ignored_values)
        annotation.require()
        _check_known(annotation, labels, data)
        self.pairs = found.pairs
        self._digests = {name: facts.digest for name, facts in found.images.items()}
        self._check_images()
        self._annotation = annotation
        self._rows: list[Row] = []
        self._histogram: ScoreHistogram | None = None

    def events(self) -> Iterator[Scored]:
        """Predict and score, image after image."""
        self._rows = []
        self._empty_families()
        self._histogram = ScoreHistogram() if self.predictor.trained.labels.classes == 2 else None
        for done, pair in enumerate(self.pairs, start=1):
            self._rows.append(self._scored(self.truth(pair)))
            yield Scored(pair.name, done, len(self.pairs))

    def truth(self, pair: Pair) -> Truth:
        """An image with its mask in the network's own class numbers."""
        translation = np.full(IGNORED + 1, IGNORED, dtype=np.uint8)
        for number, own in _own_numbers(self._annotation, self.predictor.trained.labels).items():
            translation[number] = own
        source = open_image(pair.image.path, pair.image.index)
        classes = translation[read_classes(pair, self._annotation)]
        objects = read_objects(pair, self._annotation) if self._wanted else None
        return Truth(pair.name, pair.group, source, classes, objects)

    def result(self) -> Evaluation:
        """The figures of the images scored so far."""
        table = Table(tuple(self._rows), self.predictor.trained.labels.names)
        before = {digest for digest in self.predictor.trained.provenance.get("training_digests", []) if digest}
        trained_on = tuple(row.name for row in self._rows if self._digests[row.name] in before)
        measures = tuple(
            measured(name, each, [(row.name, row.group) for row in self._rows]) for name, each in self._families.items()
        )
        histogram = self._histogram
        if histogram is None:
            return Evaluation(table, trained_on=trained_on, measures=measures)
        best_f1, threshold = histogram.best_f1()
        return Evaluation(
            table, histogram.roc_auc(), histogram.average_precision(), best_f1, threshold, trained_on, measures
        )

    def _scored(self, truth: Truth) -> Row:
        classes = self.predictor.trained.labels.classes
        matrix = np.zeros((classes, classes), dtype=np.int64)
        collected = Collected(truth.source.shape) if self._wanted else None
        for tile in self.predictor.tiles(truth.source):
            wanted = truth.classes[tile.window.slices]
            matrix += confusion(wanted, tile.classes, classes)
            if self._histogram is not None:
                self._histogram.add(wanted == 1, tile.probability[1], wanted != IGNORED)
            if collected is not None:
                collected.add(tile)
        if collected is not None:
            self._judge(truth, collected)
        return Row(truth.name, truth.group, matrix)

    def _judge(self, truth: Truth, answer: Collected) -> None:
        assert truth.objects is not None
        rule = self.predictor.trained.object_rule
        found = connected_regions(answer.classes) if rule is None else find_objects(answer.foreground, rule)
        image = Judged(truth.classes, answer.classes, truth.objects, found, answer.foreground, truth.source.spacing)
        for each in self._families.values():
            each.add(image)

    def _empty_families(self) -> None:
        names = self.predictor.trained.labels.names
        self._families = {name: family(name, names) for name in self._wanted}

    def _check_images(self) -> None:
        faults = []
        for pair in self.pairs:
            try:
                self.predictor.check(open_image(pair.image.path, pair.image.index))
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise DataError("\n".join(faults))


def _own_numbers(annotation: Annotation, labels: Labels) -> dict[int, int]:
    """The network's number of each class of the folder that it knows.

    Values of masks speak for themselves. Where we gave the values (a file per class or object, numbered objects), names
    do; the one class of a folder that does not name it is that of a network which knows one class only.
    """
    theirs = annotation.labels
    if annotation.merge == "values" and not annotation.numbered:
        grey_in_colours = labels.coloured and not theirs.coloured
        values = [value * 0x010101 if grey_in_colours else value for value in theirs.values]
        own = {value: k for k, value in enumerate(labels.values)} if labels.coloured or not theirs.coloured else {}
        return {k: own[value] for k, value in enumerate(values) if value in own}
    if theirs.classes == labels.classes == 2 and {theirs.names[1], labels.names[1]} & _GENERAL_NAMES:
        return {0: 0, 1: 1}
    return {0: 0} | {k: labels.names.index(name) for k, name in enumerate(theirs.names) if name in labels.names}


def _check_known(annotation: Annotation, labels: Labels, data: Path) -> None:
    known = _own_numbers(annotation, labels)
    unknown = [words for k, words in enumerate(_in_words(annotation.labels)) if k not in known]
    if unknown:
        raise DataError(
            f"The masks in {data} hold classes that the network was not trained on: {listed(unknown)}. It knows "
            f"{listed(_in_words(labels))}. Leave those images out with --include, or train again with them."
        )


def _in_words(labels: Labels) -> list[str]:
    as_drawn = "#{:06x}" if labels.coloured else "{}"
    return [f"{name} ({as_drawn.format(value)})" for name, value in zip(labels.names, labels.values, strict=True)]
