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
from ushape.evaluate.scoring import Scoring
from ushape.images.source import source_of
from ushape.labels import IGNORED, Labels
from ushape.metrics.families import FamilyName
from ushape.predict.tiled import Predictor
from ushape.train.validate import Truth

_GENERAL_NAMES = {"object", "foreground"}  # of the one class of a folder that does not name it


class RunEvaluation:
    """A network against an annotated folder: iterate over `events()`, then take `result()`.

    families: scores beside those of pixels, as `Scoring` takes them. ignored_values: of the masks, which count nowhere;
    those of the training where left out.

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
        ignored_values: Sequence[int] | None = None,
    ) -> None:
        self.predictor = predictor
        labels, recipe = predictor.trained.labels, predictor.trained.recipe
        self._scoring = Scoring(predictor, families)
        found = survey(data, include=include, group_by=recipe.data.group_by or None, axes=predictor.axes)
        task = None if recipe.data.task == "auto" else recipe.data.task
        if predictor.trained.object_rule:
            task = "instances"  # a few masks alone may not show that they number objects
        ignored = recipe.data.ignored_values if ignored_values is None else ignored_values
        annotation = annotate(found, task=task, ignored_values=ignored)
        annotation.require()
        _check_known(annotation, labels, data)
        self.pairs = found.pairs
        self._digests = {name: facts.digest for name, facts in found.images.items()}
        self._check_images()
        self._annotation = annotation
        self._done: list[str] = []

    def events(self) -> Iterator[Scored]:
        """Predict and score, image after image."""
        self._done, self._scoring = [], Scoring(self.predictor, self._scoring.families)
        for pair in self.pairs:
            self._scoring.add(self.truth(pair))
            self._done.append(pair.name)
            yield Scored(pair.name, len(self._done), len(self.pairs))

    def truth(self, pair: Pair) -> Truth:
        """An image with its mask in the network's own class numbers."""
        translation = np.full(IGNORED + 1, IGNORED, dtype=np.uint8)
        for number, own in _own_numbers(self._annotation, self.predictor.trained.labels).items():
            translation[number] = own
        source = source_of(pair.image)
        classes = translation[read_classes(pair, self._annotation)]
        objects = read_objects(pair, self._annotation) if self._scoring.families else None
        return Truth(pair.name, pair.group, source, classes, objects)

    def result(self) -> Evaluation:
        """The figures of the images scored so far."""
        before = {digest for digest in self.predictor.trained.provenance.get("training_digests", []) if digest}
        return self._scoring.result([name for name in self._done if self._digests[name] in before])

    def _check_images(self) -> None:
        faults = []
        for pair in self.pairs:
            try:
                self.predictor.check(source_of(pair.image))
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
