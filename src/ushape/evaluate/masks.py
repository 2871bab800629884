"""Masks + truth → table: files that are there already, whoever made them."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.data.mask_values import MOST_CLASSES, Tally, are_object_numbers, together, two_scales
from ushape.data.pair import listed
from ushape.errors import DataError, ImageError
from ushape.evaluate.evaluation import Evaluation
from ushape.images.source import SUFFIXES, Page, is_coloured, open_image, pages, read_mask
from ushape.metrics.table import Row, Table

_ROWS_AT_A_TIME = 1024


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
