"""Which of a patient's frames are the ends of diastole and of systole, and what says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ushape.cardiac.frames import Frame, Patient

Phase = Literal["ED", "ES"]
PHASES: tuple[Phase, ...] = get_args(Phase)

Reader = Literal["manual", "predicted"]
"""Whose masks they are."""


_WORDS: dict[Phase, re.Pattern[str]] = {
    "ED": re.compile(r"(?<![a-z])(?:ed|(?:end[\s_\-]?)?diastole)(?![a-z])", re.IGNORECASE),
    "ES": re.compile(r"(?<![a-z])(?:es|(?:end[\s_\-]?)?systole)(?![a-z])", re.IGNORECASE),
}
_INFO = "Info.cfg"
_MOST_BYTES = 2**16  # of such a file, which has six lines


@dataclass(frozen=True)
class Phases:
    """None where a patient has no frame of that phase. rule: what says which is which."""

    diastole: Frame | None
    systole: Frame | None
    rule: str

    def items(self) -> list[tuple[Phase, Frame]]:
        """Those that there are, the end of diastole first."""
        both: list[tuple[Phase, Frame | None]] = [("ED", self.diastole), ("ES", self.systole)]
        return [(phase, frame) for phase, frame in both if frame is not None]


def by_volume(reader: Reader) -> str:
    """The rule where neither names nor files say which frame is which."""
    return f"the larger and the smaller {reader} cavity"


def phases_of(patient: Patient, volumes: Sequence[float], root: Path, reader: Reader = "manual") -> Phases:
    """By the names of the frames; by ACDC's Info.cfg beside the images or below `root`; else by the cavities.

    volumes: of the cavity in each frame, as the reader drew it, in any unit.
    """
    frames = patient.frames
    named = {phase: [f for f in frames if _WORDS[phase].search(f.name)] for phase in PHASES}
    if any(named.values()) and all(len(found) < 2 for found in named.values()):
        diastole, systole = (next(iter(named[phase]), None) for phase in PHASES)
        return Phases(diastole, systole, "the names of the frames")
    numbers = _numbers(patient, root)
    by_number = {frame.number: frame for frame in frames}
    if numbers and (numbers["ED"] in by_number or numbers["ES"] in by_number):
        return Phases(by_number.get(numbers["ED"]), by_number.get(numbers["ES"]), _INFO)
    if len(frames) == 1:
        return Phases(frames[0], None, "one frame only, taken for the end of diastole")
    ranked = sorted(zip(volumes, range(len(frames)), strict=True))
    largest, smallest = frames[ranked[-1][1]], frames[ranked[0][1]]
    of = "" if len(frames) == 2 else f" of {len(frames)} frames"
    return Phases(largest, smallest, f"{by_volume(reader)}{of}")


def _numbers(patient: Patient, root: Path) -> dict[Phase, int]:
    """The frames that an Info.cfg names; empty where there is none, or it does not."""
    folder = patient.frames[0].pairs[0].image.path.resolve().parent
    places = [folder, *(f for f in folder.parents if f.is_relative_to(root.resolve()))]
    for place in (file for at in places for file in (at / _INFO, at / patient.name / _INFO)):
        if place.is_file() and place.stat().st_size <= _MOST_BYTES:
            text = place.read_text(encoding="utf-8", errors="replace")
            found = {key: int(value) for key, value in re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", text, re.MULTILINE)}
            if len(found) == len(PHASES):
                return {phase: found[phase] for phase in PHASES}
    return {}
