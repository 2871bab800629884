"""nnU-Net's folders with the names that dataset.json gives."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ushape.data.annotation import annotate
from ushape.data.folder import survey

RNG = np.random.default_rng(3)


def dataset(root: Path, labels: object, channels: int = 1) -> None:
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    (root / "dataset.json").write_text(json.dumps({"labels": labels, "numTraining": 2}))
    for case in ("heart_001", "heart_002"):
        for channel in range(channels):
            image = RNG.integers(0, 255, (20, 24, 3)).astype(np.int16)
            nibabel.Nifti1Image(image, np.diag([2, 2, 5, 1])).to_filename(
                root / "imagesTr" / f"{case}_{channel:04d}.nii.gz"
            )
        mask = nibabel.Nifti1Image((image % 3).astype(np.uint8), np.diag([2, 2, 5, 1]))
        mask.to_filename(root / "labelsTr" / f"{case}.nii.gz")


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "left atrium": 1, "scar": 2},
        {"0": "background", "1": "left atrium", "2": "scar"},
        {"background": 0, "whole": [1, 2], "left atrium": 1, "scar": 2},
    ],
)
def test_labels_have_the_names_of_either_version(tmp_path: Path, labels: dict):
    dataset(tmp_path, labels)
    found = survey(tmp_path)
    assert [fault.message for fault in found.faults] == []
    assert found.layout.startswith("nnU-Net: imagesTr/ and labelsTr/")
    assert annotate(found).labels.names == ("background", "left atrium", "scar")
    assert len(found.pairs) == 6


def test_further_channels_are_told_of(tmp_path: Path):
    dataset(tmp_path, {"background": 0, "a": 1, "b": 2}, channels=2)
    found = survey(tmp_path)
    assert [fault.message for fault in found.faults] == []
    assert "2 files of further channels (_0001 …) are left alone" in found.notes[-1]
    assert {pair.image.path.name for pair in found.pairs} == {"heart_001_0000.nii.gz", "heart_002_0000.nii.gz"}


@pytest.mark.parametrize("labels", [None, [], 3, {"a": {}}])
def test_labels_that_cannot_be_read_are_a_warning(tmp_path: Path, labels: object):
    dataset(tmp_path, labels)
    found = survey(tmp_path)
    assert annotate(found).labels.names == ("background", "value 1", "value 2")
    assert all(fault.severity == "warning" for fault in found.faults)
    assert len(found.faults) == (0 if isinstance(labels, dict) else 1)
