"""annotate(survey) → what the masks of a folder mean; read_classes(pair, annotation) → (H, W) class numbers.

Up to 32 values are classes. Numbers of objects (1 … n, n different in every mask) are one class, "object". Values that
blur leaves between classes are brought to the nearest class, with a warning. mask_values.py has how these are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ushape.data.drawn import Drawn, all_drawn, in_view
from ushape.data.folder import Survey
from ushape.data.mask_faults import class_faults, kind_faults, object_faults, value_faults
from ushape.data.mask_values import (
    MOST_CLASSES,
    Tally,
    are_object_numbers,
    main_values,
    nearest,
    together,
)
from ushape.data.pair import Fault, Merge, Pair, counted, every_error, listed
from ushape.data.scribbles import ignored_faults, scribble_faults, sparse_faults
from ushape.errors import DataError
from ushape.images.source import UNANNOTATED, mask_of
from ushape.labels import IGNORED, Labels, connected_regions
from ushape.metrics.scope import is_sparse, stated_share

Task = Literal["semantic", "instances"]


@dataclass(frozen=True)
class Annotation:
    """What the values of mask files mean.

    merge: how the mask files of one image combine. numbered: values other than 0 number the objects of the one class.
    main_values: values to which all others are brought, where some are blur; empty where each speaks for itself.
    faults: those of the survey too. counts: pixels per class, by pair name. values: pixels per value of the mask files.
    objects: how many each image has, by pair name, where objects are drawn apart. ignored: pixels that count nowhere.
    """

    root: Path
    labels: Labels
    task: Task
    merge: Merge
    numbered: bool
    main_values: tuple[int, ...]
    faults: tuple[Fault, ...]
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    values: Mapping[int, int] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    ignored: int = 0

    @property
    def pixels(self) -> tuple[int, ...]:
        """Annotated pixels per class over all pairs."""
        return tuple(sum(counts[k] for counts in self.counts.values()) for k in range(self.labels.classes))

    @property
    def annotated(self) -> float:
        """Part of the pixels that are not ignored, from 0 to 1."""
        return sum(self.pixels) / max(1, self.ignored + sum(self.pixels))

    def share(self, number: int) -> float:
        """Part of the annotated pixels that a class has, from 0 to 1."""
        return self.pixels[number] / max(1, sum(self.pixels))

    def require(self) -> None:
        """Raise DataError with every error of folder and masks at once, where there is one."""
        if message := every_error(self.faults, self.root):
            raise DataError(message)

    def summary(self) -> list[tuple[str, str]]:
        """What the masks mean, as (label, text) lines to print."""
        if not self.counts:
            return []  # nothing is known, and the faults say why
        lines = [("task", _TASKS[self.task])]
        for number, name in enumerate(self.labels.names):
            of = "annotated pixels" if is_sparse(self.annotated) else "pixels"
            lines.append((f"class {number}", f"{name} ({self._drawn_as(number)}), {self.share(number):.1%} of {of}"))
        if self.objects:
            most, every = max(self.objects.values()), sum(self.objects.values())
            lines.append(("objects", f"{every} in {counted(len(self.objects), 'image')}, up to {most} in one"))
        if self.ignored:
            named = [self._value_in_words(v) for v in self.labels.ignored_values if v != UNANNOTATED]
            lines.append(("ignored", f"{1 - self.annotated:.1%} of pixels" + (f" ({listed(named)})" if named else "")))
        if is_sparse(self.annotated):
            only = f"only {stated_share(self.annotated)} of the pixels are annotated"
            lines.append(("annotated", f"{only}: patches lie about them, loss and scores are of them alone"))
        return lines

    def _drawn_as(self, number: int) -> str:
        value = self.labels.values[number]
        if self.merge == "classes":
            return f"files of {self.labels.names[number]}" if number else "where no class is drawn"
        if self.merge == "objects":
            return "a file per object" if number else "where no object is drawn"
        if self.numbered:
            return f"mask values 1 to {max(self.values)}, one per object" if number else "mask value 0"
        return self._value_in_words(value)

    def _value_in_words(self, value: int) -> str:
        return f"mask colour #{value:06x}" if self.labels.coloured else f"mask value {value}"


_TASKS = {
    "semantic": "semantic: a class for every pixel",
    "instances": "instances: objects told apart, touching ones too; the network learns one class with gaps between",
}
_OBJECTS = Labels(("background", "object"), (0, 255))
_UNKNOWN = Labels(("background",), (0,))
"""Stands where masks could not be understood; there is an error beside it."""


def annotate(survey: Survey, *, task: Task | None = None, ignored_values: Sequence[int] = ()) -> Annotation:
    """Read all masks and find what they mean. Nothing is raised; everything wrong is among the faults.

    task: what to train for, where the masks' own kind is not meant. ignored_values: mask values that count nowhere,
    beside UNANNOTATED, which never does.
    """
    drawn, faults = all_drawn(survey.pairs)
    merge = survey.pairs[0].merge if survey.pairs else "values"
    draft = Annotation(survey.root, _UNKNOWN, task or "semantic", merge, False, (), (*survey.faults, *faults))
    if not drawn:
        return draft
    faults += ignored_faults(drawn, ignored_values)
    ignored_values = (*ignored_values, *([UNANNOTATED] if any(d.holds(UNANNOTATED) for d in drawn) else []))
    drawn = [d.without(ignored_values) for d in drawn]
    draft = _understood(draft, drawn, task, ignored_values)
    draft = replace(draft, labels=_named(replace(draft.labels, ignored_values=ignored_values), draft, survey))
    if draft.numbered:
        faults += object_faults(drawn, ignored_values)
    else:
        faults += value_faults(drawn, draft.main_values, task, ignored_values)
        faults += scribble_faults(drawn) if merge == "values" and not ignored_values else []
    if draft.task == "instances":
        faults += kind_faults(draft.labels)
    if draft.labels.classes > 1:
        draft = replace(draft, counts={d.pair.name: _counts(d, draft) for d in drawn})
        faults += class_faults(drawn, draft.counts, draft.labels)
        faults += sparse_faults(drawn, draft.counts, draft.labels, told_apart=draft.task == "instances")
    every = together(tally for d in drawn for tally in d.tallies)
    apart = draft.numbered or merge == "objects"
    area = sum(d.pixels for d in drawn if d.pair.name in draft.counts)
    return replace(
        draft,
        values=dict(zip(every.values.tolist(), every.pixels.tolist(), strict=True)),
        objects={d.pair.name: d.objects for d in drawn} if apart else {},
        ignored=area - sum(draft.pixels),
        faults=tuple(dict.fromkeys((*survey.faults, *faults))),  # a file may be found damaged twice
    )


def read_classes(pair: Pair, annotation: Annotation) -> NDArray[np.uint8]:
    """(H, W) class numbers of a pair; IGNORED outside its field of view and at ignored values.

    Where files of several classes claim a pixel, the first class has it; an ignored value in one of them counts where
    none does.
    """
    if pair.merge == "classes":
        classes = _first_class(pair, annotation)
    else:
        classes = _encoded(_one_mask(pair, annotation.labels.coloured), annotation)
    if pair.valid:
        classes[~in_view(mask_of(pair.valid))] = IGNORED
    return classes


def read_objects(pair: Pair, annotation: Annotation) -> NDArray[np.int32]:
    """(H, W) numbers of objects, 0 where there is none: as drawn, or the connected parts of each foreground class.

    Parts that touch at corners only are apart. Where files of several objects claim a pixel, the last has it.
    """
    classes = read_classes(pair, annotation)
    numbers = np.zeros(classes.shape, dtype=np.int32)
    if pair.merge == "objects":
        for number, mask in enumerate(pair.masks, start=1):
            numbers[_is_drawn(mask_of(mask.page), annotation)] = number
    elif annotation.numbered:
        numbers[:] = _one_mask(pair, coloured=False)
    else:
        numbers = connected_regions(classes)
    numbers[(classes == 0) | (classes == IGNORED)] = 0
    return numbers


def _understood(
    draft: Annotation, drawn: Sequence[Drawn], task: Task | None, ignored_values: Sequence[int]
) -> Annotation:
    """The draft with what the values of all masks together mean, those that count nowhere left out."""
    tallies = [tally for d in drawn for tally in d.tallies]
    coloured = any(d.coloured for d in drawn)
    every = together(tallies)
    mains = main_values(every, coloured=coloured)
    values = mains or tuple(every.values.tolist())
    if draft.merge == "values":
        wanted = task == "instances" and len(values) > 2
        if wanted or (not coloured and are_object_numbers(tallies)):
            return replace(draft, labels=_OBJECTS, numbered=True, task=task or "instances")
        labels = _labels(values, every, coloured) if 1 <= len(values) <= MOST_CLASSES else _UNKNOWN
        return replace(draft, labels=labels, main_values=mains, task=task or "semantic")
    if len(values) == 1 and 0 in ignored_values:
        values = (0, *values)
    if len(values) != 2:  # drawn or not: more makes no sense, less is nothing drawn
        return draft
    if draft.merge == "objects":
        return replace(draft, labels=_OBJECTS, main_values=values, task=task or "instances")
    found = (mask.class_name for d in drawn for mask in d.pair.masks if mask.class_name)
    names = dict.fromkeys(name for name in found if name != "background")
    labels = Labels(("background", *names), tuple(range(len(names) + 1)))
    return replace(draft, labels=labels, main_values=values, task=task or "semantic")


def _labels(values: Sequence[int], every: Tally, coloured: bool) -> Labels:
    """Classes named after values, the background first: 0 or black, else the smallest value or commonest colour."""
    ordered = sorted(values)
    if coloured and 0 not in values:
        pixels = dict(zip(every.values.tolist(), every.pixels.tolist(), strict=True))
        first = max(values, key=lambda value: pixels[value])
        ordered = [first, *(value for value in ordered if value != first)]
    names = [f"colour #{value:06x}" if coloured else f"value {value}" for value in ordered]
    if ordered[0] == 0 or len(ordered) == 2:
        names[0] = "background"
    if len(ordered) == 2:
        names[1] = "foreground"
    return Labels(tuple(names), tuple(ordered), coloured=coloured)


def _named(labels: Labels, draft: Annotation, survey: Survey) -> Labels:
    """The labels, called as the layout calls the values of the masks, where it does and no two are called alike."""
    if draft.numbered or draft.merge != "values" or labels.coloured:
        return labels
    names = tuple(survey.value_names.get(value, name) for name, value in zip(labels.names, labels.values, strict=True))
    return replace(labels, names=names) if len(set(names)) == len(names) else labels


def _counts(drawn: Drawn, annotation: Annotation) -> tuple[int, ...]:
    """Pixels per class; from the tally, where that has them, so that masks are read once."""
    if drawn.pair.merge == "classes":
        classes = read_classes(drawn.pair, annotation)
        weights = np.ones(classes.size, dtype=np.int64)
    else:
        classes = _encoded(drawn.tallies[0].values, annotation)
        weights = drawn.tallies[0].pixels
    counts = np.bincount(classes.ravel(), weights, minlength=IGNORED + 1)
    return tuple(int(n) for n in counts[: annotation.labels.classes])


def _encoded(values: NDArray[np.integer], annotation: Annotation) -> NDArray[np.uint8]:
    """Mask values of one file, or of all objects of an image, as class numbers."""
    labels = annotation.labels
    ignored = np.isin(values, labels.ignored_values)
    if annotation.numbered:
        classes = (values > 0).astype(np.uint8)
    elif annotation.merge == "objects":
        classes = _is_drawn(values, annotation).astype(np.uint8)
    else:
        mains = annotation.main_values if not labels.ignored_values else ()  # what is blurred may be ignored in part
        classes = labels.encode(nearest(values, mains, coloured=labels.coloured) if mains else values)
    classes[ignored] = IGNORED
    return classes


def _one_mask(pair: Pair, coloured: bool) -> NDArray[np.integer]:
    masks = [mask_of(mask.page, coloured=coloured) for mask in pair.masks]
    union: NDArray[np.integer] = np.maximum.reduce(masks)
    return union


def _first_class(pair: Pair, annotation: Annotation) -> NDArray[np.uint8]:
    names, ignored_values = annotation.labels.names, annotation.labels.ignored_values
    read = {m.class_name: mask_of(m.page) for m in pair.masks if m.class_name}
    classes = np.zeros(next(iter(read.values())).shape, dtype=np.uint8)
    for mask in read.values():
        classes[np.isin(mask, ignored_values)] = IGNORED
    for name, mask in reversed(read.items()):
        classes[_is_drawn(mask, annotation) & ~np.isin(mask, ignored_values)] = names.index(name)
    return classes


def _is_drawn(mask: NDArray[np.integer], annotation: Annotation) -> NDArray[np.bool_]:
    """Where a file that shows a single class or object has it."""
    drawn: NDArray[np.bool_] = nearest(mask, annotation.main_values) == max(annotation.main_values)
    return drawn
