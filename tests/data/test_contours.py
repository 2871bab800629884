"""Contours beside DICOM are recognised, whole patients together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dicom_files import series
from ushape.data.annotation import annotate, read_classes
from ushape.data.folder import survey

RNG = np.random.default_rng(3)


def patient(root: Path, name: str, sides: str = "io") -> None:
    """Three slices, two of them drawn on."""
    series(root / name / "DICOM", RNG.integers(0, 900, (3, 30, 40)).astype(np.uint16))
    drawn = root / name / "contours-manual" / "IRCCI-expert"
    drawn.mkdir(parents=True)
    for number in (0, 2):
        for side in sides:
            low, high = (10, 20) if side == "i" else (8, 22)
            points = f"{low} {low}\n{high} {low}\n{high} {high}\n{low} {high}\n"
            (drawn / f"IM-{number:04d}-{side}contour-manual.txt").write_text(points)


def test_slices_with_both_contours_have_three_classes(tmp_path: Path):
    for name in ("SC-HF-I-1", "SC-HF-I-2"):
        patient(tmp_path, name)
    found = survey(tmp_path)
    assert [fault.message for fault in found.faults] == []
    assert found.layout == "contours beside DICOM slices, epicardial and endocardial"
    assert {pair.group for pair in found.pairs} == {"SC-HF-I-1", "SC-HF-I-2"}
    assert len(found.pairs) == len({pair.name for pair in found.pairs}) == 4
    meaning = annotate(found)
    assert meaning.labels.names == ("background", "myocardium", "cavity")
    classes = read_classes(found.pairs[0], meaning)
    assert (classes == 2).sum() in range(81, 122) and (classes > 0).sum() in range(169, 226)


def test_the_cavity_alone_where_some_lack_the_outer_contour(tmp_path: Path):
    patient(tmp_path, "SC-N-1")
    patient(tmp_path, "SC-N-2", "i")
    found = survey(tmp_path)
    assert "2 of 4 slices have an epicardial contour too" in found.notes[0]
    assert annotate(found).labels.names == ("background", "cavity")
    assert len(found.pairs) == 4


def test_a_contour_without_its_slice_is_an_error(tmp_path: Path):
    patient(tmp_path, "SC-N-1")
    patient(tmp_path, "SC-N-2")
    (tmp_path / "SC-N-1" / "contours-manual" / "IRCCI-expert" / "IM-0077-icontour-manual.txt").write_text("1 1\n")
    (fault,) = [fault for fault in survey(tmp_path).faults if fault.severity == "error"]
    assert "IM-0077.dcm, which is not there" in fault.message
