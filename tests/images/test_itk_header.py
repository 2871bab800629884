"""Headers that ITK reads as the geometry they were made of."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from dicom_files import TURN
from ushape.images.itk_header import ItkGeometry, meta_head, nrrd_head

GEOMETRY = ItkGeometry((3, 2, 2), (0.7, 1 / 3, 5.0), (-90.1, 26.0, 1e-7), tuple(TURN.ravel().tolist()))


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_itk_reads_the_geometry_to_the_last_digit(tmp_path: Path, suffix: str) -> None:
    path, voxels = tmp_path / f"a.{suffix}", np.arange(12, dtype=np.uint16)
    if suffix == "nrrd":
        path.write_bytes(nrrd_head(GEOMETRY, voxels.dtype) + gzip.compress(voxels.tobytes()))
    else:
        head, size_at = meta_head(GEOMETRY, voxels.dtype)
        stream = zlib.compress(voxels.tobytes())
        path.write_bytes(head[: size_at.start] + b"%020d" % len(stream) + head[size_at.stop :] + stream)
    image = SimpleITK.ReadImage(str(path))
    assert image.GetSize() == GEOMETRY.size and image.GetOrigin() == GEOMETRY.origin
    assert image.GetSpacing() == pytest.approx(GEOMETRY.steps, rel=1e-15)
    assert image.GetDirection() == pytest.approx(GEOMETRY.direction, abs=1e-15)
    assert SimpleITK.GetArrayFromImage(image).ravel().tolist() == voxels.tolist()
