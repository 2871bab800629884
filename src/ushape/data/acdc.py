"""ACDC as it lies: patientNNN/ with Info.cfg, a 4-D file of the heartbeat, and two annotated frames of it."""

from __future__ import annotations

import re
from pathlib import Path

from ushape.data.found import Found, Match
from ushape.data.pair import Fault, counted, error
from ushape.data.tree import Tree
from ushape.images.suffix import stem_of

_INFO = "Info.cfg"
_FRAME = re.compile(r"(?P<patient>.+)_frame(?P<number>\d+)")
_PHASE = re.compile(r"^(?P<phase>ED|ES)\s*:\s*(?P<number>\d+)\s*$", re.MULTILINE)
_NAMES = {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
_LARGEST_INFO_BYTES = 1 << 16


def acdc(tree: Tree, folder: Path) -> Found | None:
    """A folder per patient: patientNNN_frameXX with patientNNN_frameXX_gt, at end-diastole and end-systole."""
    patients = [child for child in tree.children(folder) if (child / _INFO).is_file()]
    if not patients:
        return None
    matches, alone, whole = [], 0, 0
    faults: list[Fault] = []
    for patient in patients:
        files = {stem_of(path): path for path in tree.direct(patient)}
        frames = {int(m["number"]): name for name in files if (m := _FRAME.fullmatch(name))}
        drawn = {number: name for number, name in frames.items() if f"{name}_gt" in files}
        matches += [Match(files[name], ((files[f"{name}_gt"], None),), group=patient.name) for name in drawn.values()]
        alone += len(frames) - len(drawn)
        whole += sum(name.endswith("_4d") for name in files)
        faults += _missing(patient, drawn)
    notes = []
    if whole:
        notes.append(f"{counted(whole, 'file')} of whole heartbeats (_4d) are left alone: they hold the frames again.")
    if alone:
        notes.append(f"{counted(alone, 'frame')} without _gt are left alone.")
    return Found(
        layout=f"ACDC: {counted(len(patients), 'patient')} with the frames at end-diastole and end-systole",
        matches=tuple(matches),
        grouping="by patient's folder",
        faults=tuple(faults),
        notes=tuple(notes),
        value_names=_NAMES,
    )


def _missing(patient: Path, drawn: dict[int, str]) -> list[Fault]:
    """The frames that Info.cfg names, and of which image or mask is not there."""
    info = patient / _INFO
    with info.open("rb") as file:
        text = file.read(_LARGEST_INFO_BYTES).decode("utf-8", "replace")
    return [
        error(
            f"{info} names frame {m['number']} as {m['phase']}, but {patient.name}_frame{int(m['number']):02d} or its "
            "_gt is not there. Copy the patient's folder again, or leave the patient out.",
            [info],
        )
        for m in _PHASE.finditer(text)
        if int(m["number"]) not in drawn
    ]
