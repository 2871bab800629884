"""An annotated folder and somebody's answers → a heart for each patient, with all that is measured of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.cardiac.answers import Answers, MaskAnswers, NetworkAnswers, stacked
from ushape.cardiac.contours import SliceScores, VolumeScores, slice_scores, volume_scores
from ushape.cardiac.frames import Frame, Patient, Voxel, patients_of
from ushape.cardiac.indices import Indices
from ushape.cardiac.levels import Level, base_is_last, inconsistencies, levels, reach, seen_from_base
from ushape.cardiac.phases import Phase, Phases, phases_of
from ushape.cardiac.ventricle import Anatomy, Ventricle
from ushape.cardiac.wall import SEGMENTS, septum_degrees, thickness
from ushape.data.annotation import annotate, read_classes
from ushape.data.folder import survey
from ushape.data.pair import Pair
from ushape.images.source import open_image
from ushape.labels import IGNORED
from ushape.predict.tiled import Predictor
from ushape.regions import Declared, region_facts


@dataclass(frozen=True, eq=False)
class Reading:
    """One phase of a heart by both readers, slices from base to apex; pixels: those of each slice, (H, W, C)."""

    phase: Phase
    frame: str
    pixels: tuple[NDArray[np.generic], ...]
    manual: Ventricle
    predicted: Ventricle
    levels: tuple[Level | None, ...]
    slices: tuple[SliceScores, ...]
    volumes: tuple[VolumeScores, ...]
    oddities: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Heart:
    """A patient. phases: what says which frame is which.

    septum: where it is on the screen, in degrees (cardiac/wall.py); None where no right ventricle says it. from_base:
    whether slices are seen from the base; None where files do not say. walls: the thickness of the 17 segments at the
    end of diastole, of the manual and of the predicted masks, in mm or in pixels.
    """

    patient: str
    phases: str
    readings: tuple[Reading, ...]
    manual: Indices
    predicted: Indices
    septum: float | None
    from_base: bool | None
    walls: tuple[list[float], list[float]]

    def reading(self, phase: Phase) -> Reading | None:
        return next((reading for reading in self.readings if reading.phase == phase), None)

    @property
    def voxel_mm(self) -> Voxel | None:
        return self.readings[0].manual.voxel_mm

    @property
    def slices(self) -> list[tuple[Phase, SliceScores]]:
        """Every contour, with its phase."""
        return [(reading.phase, scores) for reading in self.readings for scores in reading.slices]


class CardiacStudy:
    """All patients of a folder; iterate over `hearts()`.

    answers: a network, or a folder of masks. regions: beside those that the network's recipe declares. frames,
    voxel_mm, and the groups that `group_by` makes: as `patients_of` takes them.
    Raises DataError, naming every file, for a folder with faults and for images without an answer; RecipeError where
    the regions are not a ventricle's.
    """

    def __init__(
        self,
        data: Path,
        answers: Predictor | Path,
        *,
        regions: Declared | None = None,
        include: str = "*",
        group_by: str = "",
        ignored_values: Sequence[int] = (),
        frames: int | None = None,
        voxel_mm: Voxel | None = None,
    ) -> None:
        self.data = data
        found = survey(data, include=include, group_by=group_by or None)
        self._annotation = annotate(found, task="semantic", ignored_values=ignored_values)
        self._annotation.require()
        theirs = self._annotation.labels
        self._answers: Answers = (
            NetworkAnswers(answers) if isinstance(answers, Predictor) else MaskAnswers(answers, theirs)
        )
        declared = {**(answers.trained.recipe.regions if isinstance(answers, Predictor) else {}), **(regions or {})}
        self.anatomy = Anatomy.declared(declared, theirs)
        self._answered = Anatomy.declared(declared, self._answers.labels)
        self._declared = declared
        self._answers.check(found.pairs)
        self.patients = patients_of(found.pairs, grouped=bool(group_by), frames=frames, voxel_mm=voxel_mm)

    def facts(self) -> list[tuple[str, str]]:
        """What is taken for what, as (label, text) lines."""
        labels = self._annotation.labels
        return region_facts(self.anatomy.regions, labels)

    def notes(self) -> list[str]:
        """What was not said, and is taken for granted."""
        if self._declared:
            return []
        return ["No regions are declared: the one class of the masks is taken for the cavity, the endocardium."]

    def hearts(self) -> Iterator[Heart | None]:
        """One for each patient, in the order of `patients`; None for one in whose masks no ventricle is drawn."""
        for patient in self.patients:
            manual = {frame.name: self._by_hand(frame) for frame in patient.frames}
            if not any(ventricle.endocardium.any() for ventricle in manual.values()):
                yield None
                continue
            volumes = [manual[frame.name].cavity for frame in patient.frames]
            yield self._heart(patient, phases_of(patient, volumes, self.data), manual)

    def _heart(self, patient: Patient, phases: Phases, manual: dict[str, Ventricle]) -> Heart:
        readings = [self._reading(phase, frame, manual[frame.name]) for phase, frame in phases.items()]
        sides = {reading.phase: (reading.manual, reading.predicted) for reading in readings}
        by_hand, by_machine = (
            Indices.of(*(sides[phase][side] if phase in sides else None for phase in ("ED", "ES"))) for side in (0, 1)
        )
        first = phases.items()[0][1]
        from_base = seen_from_base(manual[first.name], first.along_stack)
        septum, walls = None, ([math.nan] * SEGMENTS, [math.nan] * SEGMENTS)
        if readings[0].phase == "ED":
            manual_at_end, predicted_at_end = sides["ED"]
            septum, seen, at = septum_degrees(manual_at_end), bool(from_base), readings[0].levels
            ours, theirs = (thickness(v, at, septum, from_base=seen) for v in (manual_at_end, predicted_at_end))
            walls = ours, theirs
        return Heart(patient.name, phases.rule, tuple(readings), by_hand, by_machine, septum, from_base, walls)

    def _reading(self, phase: Phase, frame: Frame, manual: Ventricle) -> Reading:
        predicted = self._by_answers(frame)
        pixels = [open_image(pair.image.path, pair.image.index).read() for pair in frame.pairs]
        if base_is_last(manual):
            manual, predicted, pixels = manual.upside_down(), predicted.upside_down(), pixels[::-1]
        at = levels(manual)
        told = [f"{reader}: {words}" for reader, v in _named(manual, predicted) for words in inconsistencies(v)]
        return Reading(
            phase=phase,
            frame=frame.name,
            pixels=tuple(pixels),
            manual=manual,
            predicted=predicted,
            levels=tuple(at),
            slices=tuple(slice_scores(manual, predicted, at)),
            volumes=tuple(volume_scores(manual, predicted)),
            oddities=(*reach(predicted, manual), *told),
        )

    def _manual(self, pair: Pair) -> NDArray[np.uint8]:
        return read_classes(pair, self._annotation)

    def _by_hand(self, frame: Frame) -> Ventricle:
        return Ventricle.of(stacked(frame, self._manual), self.anatomy, frame.voxel_mm)

    def _by_answers(self, frame: Frame) -> Ventricle:
        """What the manual masks say nothing of counts for neither."""
        classes = self._answers.whole(stacked(frame, self._answers.classes)).copy()
        classes[stacked(frame, self._manual) == IGNORED] = IGNORED
        return Ventricle.of(classes, self._answered, frame.voxel_mm)


def _named(manual: Ventricle, predicted: Ventricle) -> list[tuple[str, Ventricle]]:
    return [("manual", manual), ("predicted", predicted)]
