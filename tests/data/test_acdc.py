"""ACDC's patient folders: two frames each, the whole heartbeat left out."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from ushape.data.annotation import annotate
from ushape.data.folder import survey

RNG = np.random.default_rng(3)


def patient(root: Path, name: str, frames: tuple[int, int] = (1, 12)) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "Info.cfg").write_text(f"ED: {frames[0]}\nES: {frames[1]}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\n")
    affine = np.diag([1.5, 1.5, 10, 1])
    nibabel.Nifti1Image(RNG.integers(0, 255, (20, 24, 3, 4)).astype(np.int16), affine).to_filename(
        folder / f"{name}_4d.nii.gz"
    )
    for frame in frames:
        stem = f"{name}_frame{frame:02d}"
        image = RNG.integers(0, 255, (20, 24, 3)).astype(np.int16)
        nibabel.Nifti1Image(image, affine).to_filename(folder / f"{stem}.nii.gz")
        nibabel.Nifti1Image((image % 4).astype(np.uint8), affine).to_filename(folder / f"{stem}_gt.nii.gz")
    return folder


def test_patients_are_groups_of_two_frames(tmp_path: Path):
    for name in ("patient001", "patient002"):
        patient(tmp_path / "training", name)
    found = survey(tmp_path)
    assert [fault.message for fault in found.faults] == []
    assert "ACDC: 2 patients with the frames at end-diastole and end-systole" in found.layout
    assert len(found.pairs) == 2 * 2 * 3
    assert {pair.group for pair in found.pairs} == {"patient001", "patient002"}
    assert found.notes == ("2 files of whole heartbeats (_4d) are left alone: they hold the frames again.",)
    assert annotate(found).labels.names == ("background", "right ventricle", "myocardium", "left ventricle")


def test_a_frame_that_info_names_must_be_there(tmp_path: Path):
    folder = patient(tmp_path, "patient001")
    patient(tmp_path, "patient002")
    (folder / "patient001_frame12_gt.nii.gz").unlink()
    found = survey(tmp_path)
    (fault,) = [fault for fault in found.faults if fault.severity == "error"]
    assert "names frame 12 as ES, but patient001_frame12 or its _gt is not there" in fault.message
    assert "1 frame without _gt are left alone." in found.notes
