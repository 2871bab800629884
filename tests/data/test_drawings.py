"""Folders of DICOM-SEG are data sets whose classes are called as the structures are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dicom_files import segmentation, series
from ushape.data.annotation import annotate
from ushape.data.folder import survey

VOLUME = np.random.default_rng(13).integers(0, 900, (4, 30, 26)).astype(np.uint16)
ROWS, COLUMNS = np.mgrid[:30, :26]


def ball(radius: float) -> np.ndarray:
    """(4, 30, 26) discs on the middle two slices."""
    mask = np.zeros(VOLUME.shape, bool)
    mask[1:3] = np.hypot(ROWS - 14.2, COLUMNS - 12.7) < radius
    return mask


def case(root: Path, name: str = "case") -> Path:
    """The series of a case; the path of its mask."""
    series(root / "images" / name, VOLUME)
    (root / "masks").mkdir(exist_ok=True)
    return root / "masks" / f"{name}.dcm"


def test_folders_of_drawings_are_datasets(tmp_path: Path):
    segmentation(case(tmp_path, "case_1"), {"wall": ball(10), "cavity": ball(6)})
    segmentation(case(tmp_path, "case_2"), {"cavity": ball(5), "wall": ball(9)})
    found = survey(tmp_path)
    assert [fault.message for fault in found.faults if fault.severity == "error"] == []
    assert len(found.pairs) == 8
    assert annotate(found).labels.names == ("background", "cavity", "wall")


def test_drawings_of_other_structures_are_named(tmp_path: Path):
    for name in ("case_1", "case_2"):
        segmentation(case(tmp_path, name), {"wall": ball(10)})
    segmentation(case(tmp_path, "case_3"), {"Wall": ball(10)})
    errors = [fault.message for fault in survey(tmp_path).faults if fault.severity == "error"]
    assert any("most have wall, but not case_3.dcm (Wall)" in message for message in errors)
