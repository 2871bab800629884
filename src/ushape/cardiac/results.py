"""What is kept of hearts when their images are put away: figures of patients and of the study, as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ushape.atomic import write_whole
from ushape.cardiac.contours import GOOD_MM, ContourFigures, SliceScores, VolumeScores
from ushape.cardiac.frames import Voxel
from ushape.cardiac.indices import NAMES, Indices
from ushape.cardiac.levels import RULE, Level
from ushape.cardiac.phases import Phase
from ushape.cardiac.study import Heart
from ushape.metrics.agreement import Agreement
from ushape.metrics.table import without_nan

DISCLAIMER = (
    "ushape is not a medical device. These figures are for research and teaching; no diagnosis and no treatment may "
    "rest on them."
)


@dataclass(frozen=True)
class PatientFigures:
    """The figures of a heart. frames: by phase; slices, volumes, oddities: each with its phase. Else as `Heart`."""

    patient: str
    phases: str
    frames: dict[str, str]
    voxel_mm: Voxel | None
    manual: Indices
    predicted: Indices
    slices: tuple[tuple[Phase, SliceScores], ...]
    volumes: tuple[tuple[Phase, VolumeScores], ...]
    oddities: tuple[tuple[Phase, str], ...]
    septum: float | None
    from_base: bool | None
    walls: tuple[list[float], list[float]]

    @staticmethod
    def of(heart: Heart) -> PatientFigures:
        return PatientFigures(
            patient=heart.patient,
            phases=heart.phases,
            frames={reading.phase: reading.frame for reading in heart.readings},
            voxel_mm=heart.voxel_mm,
            manual=heart.manual,
            predicted=heart.predicted,
            slices=tuple(heart.slices),
            volumes=tuple((r.phase, scores) for r in heart.readings for scores in r.volumes),
            oddities=tuple((r.phase, words) for r in heart.readings for words in r.oddities),
            septum=heart.septum,
            from_base=heart.from_base,
            walls=heart.walls,
        )


@dataclass(frozen=True)
class Results:
    """A study. empty: patients in whose masks no ventricle is drawn.

    Where the size of voxels is known for some patients only, volumes in voxels and distances in pixels of the others
    are in no figure of the study.
    """

    patients: tuple[PatientFigures, ...]
    empty: tuple[str, ...] = ()

    @property
    def in_mm(self) -> bool:
        """Whether figures are in millimetres and millilitres, not in pixels and voxels."""
        return any(patient.voxel_mm is not None for patient in self.patients)

    @property
    def sized(self) -> list[PatientFigures]:
        """The patients whose lengths and volumes are in the study's units."""
        return [patient for patient in self.patients if (patient.voxel_mm is not None) == self.in_mm]

    def pairs(self, index: str) -> list[tuple[str, float, float]]:
        """(patient, predicted, manual) of an index of `indices.NAMES`, where both are defined."""
        patients: Iterable[PatientFigures] = self.patients if index == "ef" else self.sized
        found = [(p.patient, getattr(p.predicted, index), getattr(p.manual, index)) for p in patients]
        return [(name, *two) for name, *two in found if not any(map(math.isnan, two))]

    def agreement(self, index: str) -> Agreement:
        """Of the predicted with the manual index."""
        pairs = self.pairs(index)
        return Agreement.of([predicted for _, predicted, _ in pairs], [manual for _, _, manual in pairs])

    def unit(self, index: str) -> str:
        return self.sized[0].manual.unit(index)

    def contours(self, region: str, phase: Phase | None = None, level: Level | None = None) -> ContourFigures:
        """Of a region, of one phase and level or of all."""
        chosen = [
            scores
            for patient in self.sized
            for at, scores in patient.slices
            if scores.region == region and phase in (None, at) and level in (None, scores.level)
        ]
        return ContourFigures.of(chosen)

    @property
    def regions(self) -> list[str]:
        """Whose contours are scored."""
        return list(dict.fromkeys(scores.region for p in self.patients for _, scores in p.slices))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is not defined is None."""
        plain: dict[str, Any] = {
            "disclaimer": DISCLAIMER,
            "levels": RULE,
            "good_contour": f"average perpendicular distance below {GOOD_MM:g} mm",
            "units": {"length": "mm" if self.in_mm else "px", **{name: self.unit(name) for name in NAMES}},
            "agreement": {name: asdict(self.agreement(name)) for name in NAMES},
            "contours": self._contour_tables(),
            "patients": [_patient(patient) for patient in self.patients],
            "without_ventricle": list(self.empty),
        }
        return {key: without_nan(value) for key, value in plain.items()}

    def write(self, folder: Path) -> list[Path]:
        """results.json, patients.csv and contours.csv, each complete or not there; their paths."""
        paths = [folder / name for name in ("patients.csv", "contours.csv", "results.json")]
        write_whole(paths[0], csv_text(_patient_row(patient) for patient in self.patients))
        write_whole(paths[1], csv_text(_contour_row(p, *each) for p in self.patients for each in p.slices))
        write_whole(paths[2], json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")
        return paths

    def _contour_tables(self) -> list[dict[str, Any]]:
        phases: Sequence[Phase | None] = (None, "ED", "ES")
        levels: Sequence[Level | None] = (None, "base", "mid", "apex")
        return [
            {"region": region, "phase": phase, "level": level, **asdict(self.contours(region, phase, level))}
            for region in self.regions
            for phase in phases
            for level in levels
        ]


def _patient(patient: PatientFigures) -> dict[str, Any]:
    plain = asdict(patient)
    for name in ("slices", "volumes"):
        plain[name] = [{"phase": phase, **scores} for phase, scores in plain[name]]
    plain["oddities"] = [{"phase": phase, "what": words} for phase, words in plain["oddities"]]
    plain["walls"] = dict(zip(("manual", "predicted"), plain["walls"], strict=True))
    return plain


def _patient_row(patient: PatientFigures) -> dict[str, object]:
    row: dict[str, object] = {"patient": patient.patient, "unit": patient.manual.unit("edv"), "phases": patient.phases}
    for reader, indices in (("manual", patient.manual), ("predicted", patient.predicted)):
        row |= {f"{reader} {name}": getattr(indices, name) for name in NAMES}
    return row


def _contour_row(patient: PatientFigures, phase: Phase, scores: SliceScores) -> dict[str, object]:
    row = {"patient": patient.patient, "phase": phase, **asdict(scores), "good": scores.good}
    row["unit"] = "mm" if row.pop("in_mm") else "px"
    return row


def csv_text(rows: Iterable[dict[str, object]]) -> str:
    """CSV with the first row's names; what is not defined is empty."""
    text = io.StringIO()
    every = list(rows)
    writer = csv.DictWriter(text, list(every[0]) if every else [], lineterminator="\n")
    writer.writeheader()
    for row in every:
        writer.writerow({key: "" if value is None or value != value else value for key, value in row.items()})
    return text.getvalue()
