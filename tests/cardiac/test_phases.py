"""What says which frame is the end of diastole, and which that of systole."""

from __future__ import annotations

from pathlib import Path

from ushape.cardiac.frames import Frame, Patient
from ushape.cardiac.phases import phases_of
from ushape.data.pair import MaskFile, Pair
from ushape.images.source import Page


def single(name: str) -> Pair:
    page = Page(Path(f"{name}.png"))
    return Pair(name, page, (MaskFile(page),), None, "p1", "values")


def frames(*names: str) -> Patient:
    numbers = [int(name[-2:]) if name[-2:].isdigit() else None for name in names]
    found = (Frame(name, number, (single(name),)) for name, number in zip(names, numbers, strict=True))
    return Patient("p1", tuple(found))


def test_names_say_the_phase(tmp_path: Path) -> None:
    found = phases_of(frames("p1_ED", "p1_ES"), [1, 2], tmp_path)
    assert [(phase, frame.name) for phase, frame in found.items()] == [("ED", "p1_ED"), ("ES", "p1_ES")]
    assert found.rule == "the names of the frames"
    only = phases_of(frames("p1_systole"), [1], tmp_path)
    assert only.diastole is None and only.systole is not None


def test_acdcs_file_says_the_phase(tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    page = Page(tmp_path / "images" / "x.nii")
    pair = Pair("x", page, (MaskFile(page),), None, "p1", "values")
    patient = Patient("p1", tuple(Frame(f"p1_frame{n:02d}", n, (pair,)) for n in (1, 12)))
    (tmp_path / "p1" / "Info.cfg").write_text("ED: 12\nES: 1\nGroup: DCM\nNbFrame: 30\n", encoding="utf-8")
    found = phases_of(patient, [5, 1], tmp_path)
    assert found.rule == "Info.cfg"
    assert [(phase, frame.number) for phase, frame in found.items()] == [("ED", 12), ("ES", 1)]
    (tmp_path / "p1" / "Info.cfg").write_text("Group: DCM\n", encoding="utf-8")
    assert phases_of(patient, [5, 1], tmp_path).rule == "the larger and the smaller manual cavity"


def test_else_the_volumes_do(tmp_path: Path) -> None:
    found = phases_of(frames("p1_frame01", "p1_frame05", "p1_frame09"), [50, 20, 70], tmp_path)
    assert [(phase, frame.number) for phase, frame in found.items()] == [("ED", 9), ("ES", 5)]
    assert found.rule == "the larger and the smaller manual cavity of 3 frames"
    alone = phases_of(frames("p1_frame01"), [50], tmp_path)
    assert [phase for phase, _ in alone.items()] == ["ED"]
    assert alone.rule == "one frame only, taken for the end of diastole"
