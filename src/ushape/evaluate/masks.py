"""Masks + truth → table: files that are there already, whoever made them."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.data.annotation import Task
from ushape.data.mask_values import MOST_CLASSES, Tally, are_object_numbers, main_values, together, two_scales
from ushape.data.pair import listed
from ushape.errors import DataError, ImageError
from ushape.evaluate.evaluation import Evaluation
from ushape.evaluate.scoring import require_of_volumes
from ushape.images.source import UNANNOTATED, Page, is_coloured, is_image, mask_of, pages_of, source_of
from ushape.images.suffix import stem_of
from ushape.images.zarr import is_store
from ushape.labels import IGNORED, Labels, connected_regions
from ushape.metrics.families import FamilyName, family, measured
from ushape.metrics.judged import Judged
from ushape.metrics.table import Row, Table
from ushape.predict.formats import TOGETHER
from ushape.regions import Declared, regions_of

_ROWS_AT_A_TIME = 1024
_STACK = TOGETHER["isbi2012"]  # probabilities of all images, which `ushape predict` puts among the masks


def evaluate_masks(
    masks: Path,
    truth: Path,
    *,
    ignored_values: Sequence[int] = (),
    families: Sequence[FamilyName] | None = None,
    task: Task | None = None,
    regions: Declared | None = None,
    axes: int = 2,
) -> Evaluation:
    """Two folders of masks with equal stems and values, or two files, held against each other.

    Where one side numbers objects, both are taken for objects: connected regions where the other does not number them.
    task: "instances" where values number objects and may be taken for classes, or the reverse, "semantic".
    ignored_values: of the truth; their pixels count nowhere, and neither do NaN and -1. families: scores beside those
    of pixels; left out, those of objects where objects are numbered, and those of regions where any are declared, by
    mask values or by names. What else `ushape predict` wrote beside its masks
    is left out. axes: 2 to score every page of a file alone, 3 to score all its slices together.

    Raises DataError, naming every file, for masks without a partner, that cannot be read, of different size, or with
    blurred edges.
    """
    faults: list[str] = []
    predicted, wanted = (_masks_in(place, faults, axes) for place in (masks, truth))
    if is_image(masks) and is_image(truth):  # two files mean each other, whatever they are called
        names = {page.index: name for name, page in predicted.items()}
        wanted = {names.get(page.index, name): page for name, page in wanted.items()}
    predicted = {name: page for name, page in predicted.items() if page.path.name != _STACK or name in wanted}
    faults += [f"{name}: in {masks}, but not in {truth}" for name in sorted(predicted.keys() - wanted.keys())]
    faults += [f"{name}: in {truth}, but not in {masks}" for name in sorted(wanted.keys() - predicted.keys())]
    both = sorted(predicted.keys() & wanted.keys())
    if not both:
        faults.append("no mask has a partner")
    coloured = _any_is_coloured([*predicted.values(), *wanted.values()])
    met: dict[str, _Meeting] = {}
    for name in both:
        try:
            met[name] = _Meeting.of(predicted[name], wanted[name], coloured, ignored_values)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise DataError(
            f"The masks in {masks} and {truth} do not fit together:\n  "
            + "\n  ".join(faults)
            + "\nGive two folders whose masks have equal names and sizes."
        )
    meaning = _meaning(list(met.values()), masks, truth, coloured, task)
    rows = [Row(name, name, meaning.confusion(of), of.ignored) for name, of in met.items()]
    unions = regions_of(regions or {}, meaning.labels(coloured))
    by_default: tuple[FamilyName, ...] = (
        *(("objects",) if meaning.numbered and axes == 2 else ()),
        *(("regions",) if unions else ()),
    )
    if axes == 3:
        require_of_volumes(families or ())
    judges = {name: family(name, meaning.names, unions) for name in (by_default if families is None else families)}
    for of in met.values() if judges else []:
        image = meaning.judged(of)
        for judge in judges.values():
            judge.add(image)
    measures = tuple(measured(name, judge, [(n, n) for n in both]) for name, judge in judges.items())
    return Evaluation(Table(tuple(rows), meaning.names), measures=measures)


@dataclass(frozen=True)
class _Meeting:
    """A mask and its truth: how many pixels have which value in (truth, mask), and the tally of each side."""

    mask: Page
    truth: Page
    coloured: bool
    ignored_values: Sequence[int]
    pixels: Mapping[tuple[int, int], int]
    tallies: tuple[Tally, Tally]
    ignored: int

    @staticmethod
    def of(mask: Page, truth: Page, coloured: bool, ignored_values: Sequence[int]) -> _Meeting:
        shapes = [source_of(page).shape for page in (mask, truth)]
        if shapes[0] != shapes[1]:
            of_mask, of_truth = (" x ".join(map(str, shape)) for shape in shapes)
            raise ImageError(f"{mask} has {of_mask} pixels, but {truth} has {of_truth}")
        predicted, wanted = (mask_of(page, coloured=coloured) for page in (mask, truth))
        if blank := int((predicted == UNANNOTATED).sum()):
            raise ImageError(f"{mask} says nothing of {blank} pixels (NaN or -1); only the truth may leave pixels out")
        ignored_values = (*ignored_values, UNANNOTATED)
        met: Counter[tuple[int, int]] = Counter()
        for top in range(0, len(wanted), _ROWS_AT_A_TIME):
            rows = slice(top, top + _ROWS_AT_A_TIME)
            codes, counts = np.unique(wanted[rows].astype(np.int64) << 32 | predicted[rows], return_counts=True)
            found = zip(codes.tolist(), counts.tolist(), strict=True)
            met.update({(code >> 32, code & 0xFFFFFFFF): n for code, n in found if code >> 32 not in ignored_values})
        counts_here = ~np.isin(wanted, ignored_values)
        tallies = Tally.of(wanted, counts_here), Tally.of(predicted, counts_here)
        ignored = int(np.count_nonzero(~counts_here))
        return _Meeting(mask, truth, coloured, ignored_values, met, tallies, ignored)

    def read(self) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """(H, W) values of the truth and of the mask, of volumes (D, H, W)."""
        truth, mask = (mask_of(p, coloured=self.coloured) for p in (self.truth, self.mask))
        return truth, mask


@dataclass(frozen=True)
class _Meaning:
    """What the values mean: classes, or objects, which truth and masks may number or not."""

    names: tuple[str, ...]
    values: Sequence[int]
    numbered: tuple[bool, bool] | None

    def labels(self, coloured: bool) -> Labels:
        """The classes as others know them; of objects, which have no values of their own, 0 and 255."""
        return Labels(self.names, tuple(self.values) or (0, 255), coloured=coloured)

    def confusion(self, met: _Meeting) -> NDArray[np.int64]:
        """(K, K) pixel counts, rows the truth."""
        matrix = np.zeros((len(self.names), len(self.names)), dtype=np.int64)
        for (wanted, predicted), pixels in met.pixels.items():
            matrix[self._class_of(wanted), self._class_of(predicted)] += pixels
        return matrix

    def judged(self, met: _Meeting) -> Judged:
        """Both sides as class maps and as object maps."""
        values = met.read()
        ignored = np.isin(values[0], met.ignored_values)
        truth, answer = (self._classes(side) for side in values)
        truth[ignored] = IGNORED
        objects = [
            side if numbered else connected_regions(classes)
            for side, classes, numbered in zip(values, (truth, answer), self.numbered or (False, False), strict=True)
        ]
        spacing = source_of(met.truth).spacing
        return Judged(truth, answer, objects[0], objects[1], (answer == 1).astype(np.float32), spacing)

    def _classes(self, side: NDArray[np.integer]) -> NDArray[np.uint8]:
        if self.numbered:
            return (side > 0).astype(np.uint8)
        classes = np.full(side.shape, IGNORED, dtype=np.uint8)
        for number, value in enumerate(self.values):
            classes[side == value] = number
        return classes

    def _class_of(self, value: int) -> int:
        return int(value > 0) if self.numbered else self.values.index(value)


def _meaning(met: Sequence[_Meeting], masks: Path, truth: Path, coloured: bool, task: Task | None) -> _Meaning:
    """What the values are; DataError where they are neither classes nor objects, or not the same classes.

    Where one side surely numbers its objects, the other does so too if it has several values.
    """
    sides = [[of.tallies[side] for of in met] for side in (0, 1)]
    if not together(sides[0]).values.size:
        raise DataError(f"All pixels of the truth in {truth} are ignored. Leave fewer values out.")
    surely = [task is None and not coloured and are_object_numbers(tallies) for tallies in sides]
    for side, place in ((0, truth), (1, masks)):
        if not surely[side]:
            _check_clear(met, side, place, coloured)
    if task == "instances" or any(surely):
        numbered = [len(together(tallies).values) > 2 for tallies in sides]
        return _Meaning(("background", "object"), (), (numbered[0], numbered[1]))
    values = _class_values(sides, masks, truth)
    return _Meaning(_class_names(values, coloured), values, None)


def _check_clear(met: Sequence[_Meeting], side: int, place: Path, coloured: bool) -> None:
    """DataError where one side, 0 the truth and 1 the masks, has values that blur leaves between those meant."""
    every = together(of.tallies[side] for of in met)
    mains = main_values(every, coloured=coloured)
    if not mains:
        return
    odd = [of for of in met if np.setdiff1d(of.tallies[side].values, mains).size]
    files = dict.fromkeys((of.mask if side else of.truth).path.name for of in odd)
    meant = listed(f"#{value:06x}" if coloured else str(value) for value in mains)
    raise DataError(
        f"The masks in {place} hold {len(every.values)} values, of which {meant} seem to be meant; "
        f"the others lie between, as blurred edges and JPEG leave them: {listed(files)}. Save masks as PNG or TIFF "
        "with one value per class or object."
    )


def _class_values(sides: Sequence[Sequence[Tally]], masks: Path, truth: Path) -> list[int]:
    """Every value of truth and masks; DataError where these are no classes, or not the same ones."""
    every = [together(tallies) for tallies in sides]
    for tally, place in zip(every, (truth, masks), strict=True):
        if len(tally.values) > MOST_CLASSES:
            raise DataError(
                f"The masks in {place} hold {len(tally.values)} values, up to {tally.values.max()}. That is too many "
                f"for classes (at most {MOST_CLASSES}): edges are blurred, it seems. Save masks as PNG or TIFF with "
                "one value per class; if they number objects, ask for the task 'instances'."
            )
    if any(two_scales(every, as_many=False)):
        listings = [listed(map(str, tally.values.tolist())) for tally in every]
        raise DataError(
            f"The masks in {masks} hold the values {listings[1]}, but those in {truth} {listings[0]}: the same classes "
            "under other numbers, it seems. Save both with the same values; if they number objects, ask for the task "
            "'instances'."
        )
    return sorted({value for tally in every for value in tally.values.tolist()})


def _class_names(values: Sequence[int], coloured: bool) -> tuple[str, ...]:
    if len(values) == 2:
        return "background", "foreground"
    names = [f"colour #{value:06x}" if coloured else f"value {value}" for value in values]
    return ("background", *names[1:]) if values[0] == 0 else tuple(names)


def _masks_in(place: Path, faults: list[str], axes: int) -> dict[str, Page]:
    """Every mask by its name; two of one name, and files that cannot be opened, are faults."""
    if not place.exists():
        raise DataError(f"There is nothing at {place}. Give a folder of masks, or one mask.")
    files = [place]
    if place.is_dir() and not is_store(place):
        files = sorted(f for f in place.iterdir() if is_image(f) and f.name[0] != ".")
    found: dict[str, Page] = {}
    for file in files:
        try:
            for page in pages_of(file, axes):
                if page.name in found:
                    faults.append(f"{page.name}: both {found[page.name].path} and {file} have this name")
                found[page.name] = page
        except ImageError as error:
            faults.append(str(error))
    stems = {stem_of(page.path) for page in found.values()} | found.keys()
    return {name: page for name, page in found.items() if not _is_companion(stem_of(page.path), stems)}


def _is_companion(stem: str, stems: Collection[str]) -> bool:
    """Whether a file is the overlay, the uncertainty or a probability that `ushape predict` wrote beside a mask."""
    match = re.fullmatch(r"(.+)_(overlay|uncertainty|probability.*)", stem)
    return match is not None and match[1] in stems


def _any_is_coloured(found: Iterable[Page]) -> bool:
    for page in found:
        with contextlib.suppress(ImageError):  # told of when the mask is read
            if is_coloured(page):
                return True
    return False
