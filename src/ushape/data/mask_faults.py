"""What can be wrong with masks that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from ushape.data.drawn import Drawn
from ushape.data.mask_values import MOST_CLASSES, can_be_object_numbers, together, two_scales
from ushape.data.pair import Fault, counted, error, listed, warning
from ushape.images.source import mask_of
from ushape.labels import Labels

_MOST_USUAL = 9  # values in masks that show classes; of more, some number objects


def value_faults(
    drawn: Sequence[Drawn], mains: Sequence[int], task: str | None, ignored_values: Sequence[int] = ()
) -> list[Fault]:
    """Values that cannot be classes, or may not be what they look like. `mains`: what all others are brought to."""
    tallies = [tally for d in drawn for tally in d.tallies]
    files = [path for d in drawn for path in d.files]
    values = list(mains) or together(tallies).values.tolist()
    if len(values) < 2:
        return [_one_value(values, files, ignored_values)]
    if drawn[0].pair.merge != "values" and len(values) > 2:
        return [_not_two(values, drawn)]
    if len(values) > MOST_CLASSES:
        return [_too_many(values, drawn)]
    faults = _mixed(drawn) + _blurred(drawn, mains, ignored_values)
    largest = {max(tally.values.tolist(), default=0) for tally in tallies} - {0}
    look_alike = len(largest) > 2 and can_be_object_numbers(tallies)
    if task is None and not mains and (look_alike or len(values) > _MOST_USUAL):
        faults.append(
            warning(
                f"The {len(values)} mask values up to {max(values)} are taken for classes, but they could number "
                f"objects{': masks hold 1 to n, and n differs' if look_alike else ''}. If so, ask for the task "
                "'instances'.",
                files,
            )
        )
    return faults


def kind_faults(labels: Labels) -> list[Fault]:
    """Objects of several classes, where objects are to be told apart."""
    if labels.classes <= 2:
        return []
    return [
        error(
            f"Objects of one class can be told apart, but there are {', '.join(labels.names[1:])}. Train for the task "
            "'semantic', or put each class into a folder of its own."
        )
    ]


def object_faults(drawn: Sequence[Drawn], ignored_values: Sequence[int]) -> list[Fault]:
    """Numbers that several pieces of an image share, and objects of a single pixel: slips, more often than not."""
    torn, dots = {}, {}
    for d in drawn:
        page = d.pair.masks[0].page
        pieces = _pieces(mask_of(page), ignored_values)
        torn[page.path] = [number for number, sizes in sorted(pieces.items()) if len(sizes) > 1]
        dots[page.path] = [number for number, sizes in sorted(pieces.items()) if sizes == [1]]
    faults = []
    for found, what, mend in (
        (
            torn,
            "in several pieces",
            "Each is one object to us; where that is a slip, number its pieces apart.",
        ),
        (dots, "of a single pixel", "Erase them where they are slips of the pen."),
    ):
        files = {path: numbers for path, numbers in found.items() if numbers}
        if files:
            total = counted(sum(map(len, files.values())), "object")
            where = listed(f"{path.name} ({listed(map(str, numbers), most=4)})" for path, numbers in files.items())
            faults.append(warning(f"{total} {what}: {where}. {mend}", files))
    return faults


def _pieces(mask: NDArray[np.integer], ignored_values: Sequence[int]) -> dict[int, list[int]]:
    """Object number → the sizes of its connected pieces, in pixels."""
    pieces = label(mask, background=0, connectivity=2)
    _, first, sizes = np.unique(pieces, return_index=True, return_counts=True)
    of_number: dict[int, list[int]] = {}
    for number, size in zip(mask.ravel()[first].tolist(), sizes.tolist(), strict=True):
        of_number.setdefault(number, []).append(size)
    return {number: sizes for number, sizes in of_number.items() if number not in (0, *ignored_values)}


def class_faults(drawn: Sequence[Drawn], counts: Mapping[str, Sequence[int]], labels: Labels) -> list[Fault]:
    """Masks without anything on them, and pixels that several classes claim."""
    faults = []
    empty = [d for d in drawn if any(counts[d.pair.name]) and not any(counts[d.pair.name][1:])]
    if empty:
        verb = "shows" if len(empty) == 1 else "show"
        faults.append(
            warning(
                f"{counted(len(empty), 'mask')} of {len(drawn)} {verb} nothing but {labels.names[0]}: "
                f"{listed(d.pair.name for d in empty)}. That is fine where nothing is there to see; where the mask was "
                "not finished, leave the image out.",
                [path for d in empty for path in d.files],
            )
        )
    by_class = [d for d in drawn if d.pair.merge == "classes"]
    claimed = {d.pair.name: _drawn_pixels(d) - sum(counts[d.pair.name][1:]) for d in by_class}
    twice = [d for d in by_class if claimed[d.pair.name] > 0]
    if twice:
        pixels = counted(sum(claimed[d.pair.name] for d in twice), "pixel")
        faults.append(
            warning(
                f"{pixels} of {counted(len(twice), 'image')} are drawn as several classes: "
                f"{listed(d.pair.name for d in twice)}. The first of {', '.join(labels.names[1:])} has them.",
                [path for d in twice for path in d.files],
            )
        )
    return faults


def _one_value(values: Sequence[int], files: Sequence[Path], ignored_values: Sequence[int]) -> Fault:
    if not values:
        return error("Not one pixel is annotated: all are ignored, or outside the field of view.", files)
    if ignored_values:
        return error(
            f"Beside what is ignored, all {counted(len(files), 'mask')} hold the one value {values[0]}, so there is "
            "nothing to tell apart. Draw some background too, with a value of its own; or ignore less, if the masks "
            "are whole.",
            files,
        )
    return error(
        f"All {counted(len(files), 'mask')} hold the one value {values[0]}, so there is nothing to tell apart. "
        "Draw what you look for with another value than the background's, such as 255 on 0.",
        files,
    )


def _not_two(values: Sequence[int], drawn: Sequence[Drawn]) -> Fault:
    kind = "class" if drawn[0].pair.merge == "classes" else "object"
    known = set(values[:1]) | {max(values)}
    odd = [
        path
        for d in drawn
        for path, tally in zip(d.files, d.tallies, strict=True)
        if set(tally.values.tolist()) - known
    ]
    return error(
        f"Masks that show one {kind} each should have two values, such as 0 and 255; these have "
        f"{_numbers(values)}: {listed(path.name for path in odd)}. Save them again as black and white.",
        odd,
    )


def _too_many(values: Sequence[int], drawn: Sequence[Drawn]) -> Fault:
    worst = max(drawn, key=lambda d: max(len(tally.values) for tally in d.tallies))
    most = max(len(tally.values) for tally in worst.tallies)
    noun = "colours" if worst.coloured else "values"
    return error(
        f"Masks hold {len(values)} different {noun}, {most} of them in {worst.files[0].name}. That is too many for "
        f"classes (at most {MOST_CLASSES}), and they neither number objects nor lie along blurred edges. Save masks "
        "as PNG or TIFF with one value per class; if these are photographs, they do not belong among the masks.",
        [path for d in drawn for path in d.files],
    )


def _mixed(drawn: Sequence[Drawn]) -> list[Fault]:
    masks = [(path, tally) for d in drawn for path, tally in zip(d.files, d.tallies, strict=True)]
    low, high = two_scales([tally for _, tally in masks])
    if not low:
        return []
    few, _ = sorted((low, high), key=len)
    first, second = (max(int(masks[k][1].values.max()) for k in part) for part in (low, high))
    return [
        error(
            f"Masks use two scales: 0 to {first} in {len(low)} of them, 0 to {second} in {len(high)}. Convert one kind "
            f"to the other, here the fewer: {listed(masks[k][0].name for k in few)}.",
            [masks[k][0] for k in few],
        )
    ]


def _blurred(drawn: Sequence[Drawn], mains: Sequence[int], ignored_values: Sequence[int]) -> list[Fault]:
    odd: dict[Path, int] = {}
    values: set[int] = set()
    for path, tally in ((path, tally) for d in drawn for path, tally in zip(d.files, d.tallies, strict=True)):
        between = ~np.isin(tally.values, mains or tally.values)
        if between.any():
            odd[path] = odd.get(path, 0) + int(tally.pixels[between].sum())
            values |= set(tally.values[between].tolist())
    if not odd:
        return []
    pixels = counted(sum(odd.values()), "pixel")
    counts = "Each counts as the nearest main value"
    if ignored_values:
        counts = "They count nowhere, as what is ignored may be part of them"
    return [
        warning(
            f"{pixels} in {counted(len(odd), 'mask')} ({listed(path.name for path in odd)}) have values beside "
            f"the main {_numbers(mains)}: {_numbers(sorted(values))}, as blurred edges and JPEG leave them. {counts}. "
            "Should they be classes, save masks with class numbers 0, 1, 2 …",
            odd,
        )
    ]


def _drawn_pixels(drawn: Drawn) -> int:
    """Pixels that the files of all classes but the background show, counted once per file."""
    files = zip(drawn.pair.masks, drawn.tallies, strict=True)
    tallies = [tally for mask, tally in files if mask.class_name != "background"]
    return sum(int(t.pixels[t.values > t.values.max(initial=0) / 2].sum()) for t in tallies)


def _numbers(values: Sequence[int]) -> str:
    return listed(map(str, values), most=6)
