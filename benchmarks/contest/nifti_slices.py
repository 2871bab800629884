"""Volumes → slices: python nifti_slices.py VOLUMES SLICES, folders of images/ and masks/. It needs nibabel.

Each slice along the third axis is a NumPy file, STEM_00.npy, STEM_01.npy, …, upright: rows are the second axis.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np

volumes, slices = map(Path, sys.argv[1:])
for folder in ("images", "masks"):
    (slices / folder).mkdir(parents=True, exist_ok=True)
    for path in sorted((volumes / folder).glob("*.nii.gz")):
        voxels = np.asanyarray(nibabel.load(path).dataobj)
        for number in range(voxels.shape[2]):
            stem = path.name.removesuffix(".nii.gz")
            np.save(slices / folder / f"{stem}_{number:02}.npy", np.ascontiguousarray(voxels[:, :, number].T))
