"""Images that nobody drew on, and a network's answers alone → a heart for each patient: what the answers say of it.

Where nothing names the ends of diastole and of systole, they are the frames with the largest and the smallest cavity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ushape.cardiac.answers import Answers, stacked
from ushape.cardiac.frames import Frame, Patient, Voxel, patients_of
from ushape.cardiac.indices import Indices
from ushape.cardiac.levels import Level, base_is_last, inconsistencies, levels, seen_from_base
from ushape.cardiac.phases import Phase, phases_of
from ushape.cardiac.ventricle import Anatomy, Ventricle
from ushape.cardiac.wall import SEGMENTS, septum_degrees, thickness
from ushape.data.groups import grouped, grouped_by
from ushape.data.pair import Pair, counted, every_error
from ushape.errors import DataError
from ushape.images.source import Page, open_image
from ushape.regions import Declared, region_facts

LARGEST_STEP = 0.2
"""Of the largest cavity: a frame that departs by more from both neighbours in time may stand apart from them."""
FEWEST_SLICES = 3
"""Of fewer no ventricle has base, middle and apex."""

_FEWEST_FRAMES = 5


@dataclass(frozen=True, eq=False)
class Moment:
    """A phase as the network sees it, slices from base to apex; pixels: those of each slice, (H, W, C)."""

    phase: Phase
    frame: str
    pixels: tuple[NDArray[np.generic], ...]
    ventricle: Ventricle
    levels: tuple[Level | None, ...]
    oddities: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CineHeart:
    """A patient. phases: what says which frame is which.

    course: each frame's number (its place in time, from 1, where names say none) and cavity: mL, or voxels. oddities:
    frames that stand apart. septum, from_base: as of a `Heart`. wall: the thickness of the 17 segments at the end of
    diastole, in mm or in pixels.
    """

    patient: str
    phases: str
    course: tuple[tuple[int, float], ...]
    oddities: tuple[str, ...]
    moments: tuple[Moment, ...]
    indices: Indices
    septum: float | None
    from_base: bool | None
    wall: list[float]

    @property
    def voxel_mm(self) -> Voxel | None:
        return self.moments[0].ventricle.voxel_mm


class CineStudy:
    """All patients in some images; iterate over `hearts()`.

    answers: for each of the images. regions: of their classes. group_by, frames, voxel_mm: as of a `CardiacStudy`.
    Raises DataError for images that do not say which slice they are, or have no answer; RecipeError where the regions
    are not a ventricle's.
    """

    def __init__(
        self,
        pages: Sequence[Page],
        answers: Answers,
        regions: Declared,
        *,
        group_by: str = "",
        frames: int | None = None,
        voxel_mm: Voxel | None = None,
    ) -> None:
        self.anatomy = Anatomy.declared(regions, answers.labels)
        self.patients = patients_of(_pairs(pages, group_by), grouped=bool(group_by), frames=frames, voxel_mm=voxel_mm)
        self._answers, self._declared = answers, regions

    def facts(self) -> list[tuple[str, str]]:
        """What is taken for what, as (label, text) lines."""
        return region_facts(self.anatomy.regions, self._answers.labels)

    def notes(self) -> list[str]:
        """What was not said, and is taken for granted."""
        if self._declared:
            return []
        return ["No regions are declared: the one class of the network is taken for the cavity, the endocardium."]

    def hearts(self) -> Iterator[CineHeart | None]:
        """One for each patient, in the order of `patients`; None for one in whom the network finds no cavity."""
        self._answers.check([pair for patient in self.patients for frame in patient.frames for pair in frame.pairs])
        for patient in self.patients:
            found = [self._drawn(frame) for frame in patient.frames]
            yield _heart(patient, found) if any(ventricle.endocardium.any() for ventricle in found) else None

    def _drawn(self, frame: Frame) -> Ventricle:
        classes = self._answers.whole(stacked(frame, self._answers.classes))
        return Ventricle.of(classes, self.anatomy, frame.voxel_mm)


def course_oddities(course: Sequence[tuple[int, float]], unit: str) -> list[str]:
    """A sentence for each frame whose cavity departs from both neighbours in time, and more than these do from each
    other: no heart's does. The last frame's neighbour is the first, as a cine shows one beat.

    Of fewer than five frames nothing is said: there a beat has steps of its own.

    >>> course_oddities([(1, 100.0), (2, 90.0), (3, 10.0), (4, 80.0), (5, 95.0)], "mL")
    ['Frame 3: the cavity has 10.0 mL, but 90.0 and 80.0 mL just before and after.']
    """
    if len(course) < _FEWEST_FRAMES:
        return []
    largest = max(volume for _, volume in course)
    told = []
    for place, (number, volume) in enumerate(course):
        before, after = course[place - 1][1], course[(place + 1) % len(course)][1]
        apart = abs(volume - median((before, volume, after)))
        if apart > max(LARGEST_STEP * largest, abs(before - after)):
            told.append(
                f"Frame {number}: the cavity has {volume:.1f} {unit}, but {before:.1f} and {after:.1f} {unit} just "
                "before and after."
            )
    return told


def _pairs(pages: Sequence[Page], group_by: str) -> Sequence[Pair]:
    """The images as pairs without masks, with their groups; DataError where the expression does not fit them."""
    bare = [Pair(page.name, page, (), None, "", "values") for page in pages]
    if not group_by:
        return grouped(bare)[0]
    together, _, faults = grouped_by(bare, group_by)
    if message := every_error(faults, pages[0].path.parent):
        raise DataError(message)
    return together


def _heart(patient: Patient, found: Sequence[Ventricle]) -> CineHeart:
    volumes = [ventricle.cavity for ventricle in found]
    folder = patient.frames[0].pairs[0].image.path.parent
    phases = phases_of(patient, volumes, folder, "predicted")
    at = {frame.name: ventricle for frame, ventricle in zip(patient.frames, found, strict=True)}
    moments = [_moment(phase, frame, at[frame.name]) for phase, frame in phases.items()]
    indices = Indices.of(*(None if frame is None else at[frame.name] for frame in (phases.diastole, phases.systole)))
    first = phases.items()[0][1]
    from_base = seen_from_base(at[first.name], first.along_stack)
    septum, wall = None, [math.nan] * SEGMENTS
    if moments[0].phase == "ED":
        diastole = moments[0]
        septum = septum_degrees(diastole.ventricle)
        wall = thickness(diastole.ventricle, diastole.levels, septum, from_base=bool(from_base))
    course = [
        (frame.number or place, volume)
        for place, (frame, volume) in enumerate(zip(patient.frames, volumes, strict=True), 1)
    ]
    return CineHeart(
        patient=patient.name,
        phases=phases.rule,
        course=tuple(course),
        oddities=(*_too_few_slices(patient), *course_oddities(course, indices.unit("edv"))),
        moments=tuple(moments),
        indices=indices,
        septum=septum,
        from_base=from_base,
        wall=wall,
    )


def _too_few_slices(patient: Patient) -> Iterator[str]:
    slices = max(len(frame.pairs) for frame in patient.frames)
    if slices < FEWEST_SLICES:
        yield (
            f"The stack has {counted(slices, 'slice')}: volumes need slices from base to apex. Put all slices of a "
            "heart into one folder, or one file."
        )


def _moment(phase: Phase, frame: Frame, ventricle: Ventricle) -> Moment:
    pixels = [open_image(pair.image.path, pair.image.index).read() for pair in frame.pairs]
    if base_is_last(ventricle):
        ventricle, pixels = ventricle.upside_down(), pixels[::-1]
    at = tuple(levels(ventricle))
    return Moment(phase, frame.name, tuple(pixels), ventricle, at, tuple(inconsistencies(ventricle)))
