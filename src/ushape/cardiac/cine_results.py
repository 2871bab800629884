"""What is kept of hearts that the network alone has drawn: figures and volumes over time, as JSON and CSV."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ushape.atomic import write_whole
from ushape.cardiac.cine import CineHeart
from ushape.cardiac.frames import Voxel
from ushape.cardiac.indices import NAMES, Indices
from ushape.cardiac.results import DISCLAIMER, csv_text
from ushape.metrics.table import without_nan

ALONE = (
    "No manual masks were given: contours and figures are the network's alone, and nothing here says how far they are "
    "right. Look at every slice."
)


@dataclass(frozen=True)
class CineFigures:
    """The figures of a heart. frames: by phase. oddities: each with its phase, or with "time". Else as `CineHeart`."""

    patient: str
    phases: str
    frames: dict[str, str]
    voxel_mm: Voxel | None
    indices: Indices
    course: tuple[tuple[int, float], ...]
    oddities: tuple[tuple[str, str], ...]
    septum: float | None
    from_base: bool | None
    wall: list[float]

    @staticmethod
    def of(heart: CineHeart) -> CineFigures:
        in_slices = [(moment.phase, words) for moment in heart.moments for words in moment.oddities]
        return CineFigures(
            patient=heart.patient,
            phases=heart.phases,
            frames={moment.phase: moment.frame for moment in heart.moments},
            voxel_mm=heart.voxel_mm,
            indices=heart.indices,
            course=heart.course,
            oddities=(*(("time", words) for words in heart.oddities), *in_slices),
            septum=heart.septum,
            from_base=heart.from_base,
            wall=heart.wall,
        )


@dataclass(frozen=True)
class CineResults:
    """A study. empty: patients in whose images the network finds no cavity. mended: what of masks was."""

    patients: tuple[CineFigures, ...]
    empty: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is not defined is None."""
        plain: dict[str, Any] = {
            "disclaimer": DISCLAIMER,
            "manual": ALONE,
            "patients": [_patient(patient) for patient in self.patients],
            "without_cavity": list(self.empty),
            "mended": list(self.mended),
        }
        return {key: without_nan(value) for key, value in plain.items()}

    def write(self, folder: Path) -> list[Path]:
        """patients.csv, volumes.csv and results.json, each complete or not there; their paths."""
        paths = [folder / name for name in ("patients.csv", "volumes.csv", "results.json")]
        write_whole(paths[0], csv_text(_patient_row(patient) for patient in self.patients))
        write_whole(paths[1], csv_text(row for patient in self.patients for row in _volume_rows(patient)))
        write_whole(paths[2], json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")
        return paths


def _patient(patient: CineFigures) -> dict[str, Any]:
    plain = asdict(patient)
    unit = patient.indices.unit("edv")
    plain["course"] = [{"frame": number, "cavity": volume, "unit": unit} for number, volume in patient.course]
    plain["oddities"] = [{"where": where, "what": words} for where, words in patient.oddities]
    return plain


def _patient_row(patient: CineFigures) -> dict[str, object]:
    about: dict[str, object] = {
        "patient": patient.patient,
        "unit": patient.indices.unit("edv"),
        "phases": patient.phases,
    }
    return about | {name: getattr(patient.indices, name) for name in NAMES}


def _volume_rows(patient: CineFigures) -> list[dict[str, object]]:
    unit = patient.indices.unit("edv")
    return [{"patient": patient.patient, "frame": n, "cavity": volume, "unit": unit} for n, volume in patient.course]
