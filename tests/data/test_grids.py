"""Masks that lie elsewhere than their images are told, once a file."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from ushape.data.folder import survey

AFFINE = np.diag([2.0, 2.0, 8.0, 1.0])


def put(folder: Path, name: str, affine: np.ndarray, unit: str = "mm", shape: tuple[int, ...] = (9, 8, 3)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(len(list(folder.iterdir()))).integers(0, 2, shape).astype(np.uint8)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(folder / name)


def test_a_mask_elsewhere_is_an_error(tmp_path: Path):
    for name, moved in (("a.nii.gz", 0.0), ("b.nii.gz", 0.1), ("c.nii.gz", 5.0)):
        affine = AFFINE.copy()
        affine[1, 3] += moved
        put(tmp_path / "images", name, AFFINE)
        put(tmp_path / "masks", name, affine)
    faults = [fault.message for fault in survey(tmp_path).faults]
    assert len(faults) == 1
    assert "masks/c.nii.gz does not lie where its image" in faults[0]
    assert "up to 5 mm apart in the patient" in faults[0]
    assert "save it with the image's geometry" in faults[0]


def test_masks_of_another_shape_are_an_error(tmp_path: Path):
    put(tmp_path / "images", "a.nii.gz", AFFINE)
    put(tmp_path / "masks", "a.nii.gz", AFFINE, shape=(9, 8, 2))
    assert any("has 2 pages, but its image" in fault.message for fault in survey(tmp_path).faults)


def test_volumes_without_a_size_are_told_of(tmp_path: Path):
    for name in ("a.nii.gz", "b.nii.gz"):
        put(tmp_path / "images", name, np.eye(4), "unknown")
        put(tmp_path / "masks", name, np.eye(4), "unknown")
    (fault,) = survey(tmp_path).faults
    assert fault.severity == "warning"
    assert (
        "2 volumes do not state the size of a voxel: a.nii.gz, b.nii.gz. Distances will be in pixels" in fault.message
    )
