"""Network + annotated folder → table; or masks + truth → table."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.data.annotation import Annotation, annotate, read_classes
from ushape.data.folder import survey
from ushape.data.mask_values import MOST_CLASSES, Tally, are_object_numbers, together, two_scales
from ushape.data.pair import Pair, listed
from ushape.errors import DataError, ImageError
from ushape.images.source import SUFFIXES, Page, is_coloured, open_image, pages, read_mask
from ushape.labels import IGNORED, Labels
from ushape.metrics.pixels import ScoreHistogram, confusion
from ushape.metrics.table import Row, Table
from ushape.predict.tiled import Predictor
from ushape.train.validate import Truth

_GENERAL_NAMES = {"object", "foreground"}  # of the one class of a folder that does not name it
_ROWS_AT_A_TIME = 1024


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
    which is chosen on these very images and so flatters. trained_on: evaluated images whose pixels the
    network was trained on, under whatever name.
    """

    table: Table
    roc_auc: float | None = None
    average_precision: float | None = None
    best_f1: float | None = None
    best_threshold: float | None = None
    trained_on: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON; figures that nothing defines (of a truth that is all one class) are None."""
        figures = {n: getattr(self, n) for n in ("roc_auc", "average_precision", "best_f1", "best_threshold")}
        defined = {name: None if value is None or math.isnan(value) else value for name, value in figures.items()}
        return {**self.table.to_dict(), **defined, "trained_on": list(self.trained_on)}


class RunEvaluation:
    """A network against an annotated folder: iterate over `events()`, then take `result()`.

    Raises DataError, naming every file, for a folder with faults, for images that the network cannot take, and for
    masks with classes that it does not know.
    """

    def __init__(self, predictor: Predictor, data: Path, *, include: str = "*") -> None:
        self.predictor = predictor
        labels, recipe = predictor.trained.labels, predictor.trained.recipe
        found = survey(data, include=include, group_by=recipe.data.group_by or None)
        task = None if recipe.data.task == "auto" else recipe.data.task
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
        return Truth(pair.name, pair.group, source, translation[read_classes(pair, self._annotation)])

    def result(self) -> Evaluation:
        """The figures of the images scored so far."""
        table = Table(tuple(self._rows), self.predictor.trained.labels.names)
        before = {digest for digest in self.predictor.trained.provenance.get("training_digests", []) if digest}
        trained_on = tuple(row.name for row in self._rows if self._digests[row.name] in before)
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

    def _check_images(self) -> None:
        faults = []
        for pair in self.pairs:
            try:
                self.predictor.check(open_image(pair.image.path, pair.image.index))
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise DataError("\n".join(faults))


def evaluate_masks(masks: Path, truth: Path, *, ignored_values: Sequence[int] = ()) -> Evaluation:
    """Two folders of masks with equal stems and values, or two files, held against each other.

    ignored_values: of the truth; their pixels count nowhere. Overlays and probabilities that `ushape predict` wrote
    beside its masks are left out. Raises DataError, naming every file, for masks without a partner, that cannot be
    read, or of different size.
    """
    faults: list[str] = []
    predicted, wanted = _masks_in(masks, faults), _masks_in(truth, faults)
    if masks.is_file() and truth.is_file():  # two files mean each other, whatever they are called
        names = {page.index: name for name, page in predicted.items()}
        wanted = {names.get(page.index, name): page for name, page in wanted.items()}
    faults += [f"{name}: in {masks}, but not in {truth}" for name in sorted(predicted.keys() - wanted.keys())]
    faults += [f"{name}: in {truth}, but not in {masks}" for name in sorted(wanted.keys() - predicted.keys())]
    both = sorted(predicted.keys() & wanted.keys())
    if not both:
        faults.append("no mask has a partner")
    coloured = _any_is_coloured([*predicted.values(), *wanted.values()])
    met = {}
    for name in both:
        try:
            met[name] = _meetings(predicted[name], wanted[name], coloured)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise DataError(
            f"The masks in {masks} and {truth} do not fit together:\n  "
            + "\n  ".join(faults)
            + "\nGive two folders whose masks have equal names and sizes."
        )
    counted = {name: {pair: n for pair, n in of.items() if pair[0] not in ignored_values} for name, of in met.items()}
    values = _class_values(counted, masks, truth)
    rows = [Row(name, name, _confusion(of, values)) for name, of in counted.items()]
    return Evaluation(Table(tuple(rows), _class_names(values, coloured)))


Meetings = Mapping[tuple[int, int], int]
"""How many pixels have which value in the truth and which in the mask."""


def _meetings(mask: Page, truth: Page, coloured: bool) -> Meetings:
    shapes = [open_image(page.path, page.index).shape for page in (mask, truth)]
    if shapes[0] != shapes[1]:
        (height, width), (true_height, true_width) = shapes
        raise ImageError(f"{mask} has {height} x {width} pixels, but {truth} has {true_height} x {true_width}")
    predicted, wanted = (read_mask(page.path, page.index, coloured=coloured) for page in (mask, truth))
    met: Counter[tuple[int, int]] = Counter()
    for top in range(0, len(wanted), _ROWS_AT_A_TIME):
        rows = slice(top, top + _ROWS_AT_A_TIME)
        codes, counts = np.unique(wanted[rows].astype(np.int64) << 32 | predicted[rows], return_counts=True)
        met.update({(int(code >> 32), int(code & 0xFFFFFFFF)): int(n) for code, n in zip(codes, counts, strict=True)})
    return met


def _confusion(met: Meetings, values: Sequence[int]) -> NDArray[np.int64]:
    matrix = np.zeros((len(values), len(values)), dtype=np.int64)
    for (wanted, predicted), pixels in met.items():
        matrix[values.index(wanted), values.index(predicted)] += pixels
    return matrix


def _class_values(met: Mapping[str, Meetings], masks: Path, truth: Path) -> list[int]:
    """Every value of masks and truth; DataError where these are no classes, or not the same ones."""
    every = []
    for side, place in enumerate((truth, masks)):
        tallies = [_tally(of, side) for of in met.values()]
        values = together(tallies).values.tolist()
        if not values:
            raise DataError(f"All pixels of the truth in {truth} are ignored. Leave fewer values out.")
        if len(values) > MOST_CLASSES or are_object_numbers(tallies):
            raise DataError(
                f"The masks in {place} hold {len(values)} values, up to {max(values)}: they number objects, or their "
                "edges are blurred. Classes can be compared here: save objects as 255 on 0, masks as PNG or TIFF."
            )
        every.append(together(tallies))
    if any(two_scales(every)):
        listings = [listed(map(str, tally.values.tolist())) for tally in every]
        raise DataError(
            f"The masks in {masks} hold the values {listings[1]}, but those in {truth} {listings[0]}: the same classes "
            "under other numbers, it seems. Save both with the same values."
        )
    return sorted({value for tally in every for value in tally.values.tolist()})


def _tally(met: Meetings, side: int) -> Tally:
    """The values of the truth (side 0) or of the mask (side 1)."""
    pixels: Counter[int] = Counter()
    for pair, n in met.items():
        pixels[pair[side]] += n
    counts = np.array([pixels[value] for value in sorted(pixels)], dtype=np.int64)
    return Tally(np.array(sorted(pixels), dtype=np.int64), counts, inner=counts)


def _class_names(values: Sequence[int], coloured: bool) -> tuple[str, ...]:
    if len(values) == 2:
        return "background", "foreground"
    names = [f"colour #{value:06x}" if coloured else f"value {value}" for value in values]
    return ("background", *names[1:]) if values[0] == 0 else tuple(names)


def _masks_in(place: Path, faults: list[str]) -> dict[str, Page]:
    """Every mask by its name; two of one name, and files that cannot be opened, are faults."""
    if not place.exists():
        raise DataError(f"There is nothing at {place}. Give a folder of masks, or one mask.")
    files = [place]
    if place.is_dir():
        files = sorted(f for f in place.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file() and f.name[0] != ".")
    found: dict[str, Page] = {}
    for file in files:
        try:
            for page in pages(file):
                if page.name in found:
                    faults.append(f"{page.name}: both {found[page.name].path} and {file} have this name")
                found[page.name] = page
        except ImageError as error:
            faults.append(str(error))
    stems = {page.path.stem for page in found.values()} | found.keys()
    return {name: page for name, page in found.items() if not _is_companion(page.path.stem, stems)}


def _is_companion(stem: str, stems: Collection[str]) -> bool:
    """Whether a file is the overlay or the probability that `ushape predict` wrote beside a mask."""
    match = re.fullmatch(r"(.+)_(overlay|probability.*)", stem)
    return match is not None and match[1] in stems


def _any_is_coloured(found: Iterable[Page]) -> bool:
    for page in found:
        with contextlib.suppress(ImageError):  # told of when the mask is read
            if is_coloured(page.path, page.index):
                return True
    return False


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
