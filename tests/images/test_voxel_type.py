"""8 bits stay, the rest becomes float32 without a rounding that nobody is told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ushape.errors import ImageError
from ushape.images.voxel_type import as_voxels, voxel_type


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint64", "float32", "float64"])
def test_all_but_bytes_become_floats(dtype: str):
    assert voxel_type(np.dtype(dtype), scaled=False) == np.float32
    stored = np.array([[1, 100]], dtype)
    found = as_voxels(stored, 2.5, -3, np.dtype(np.float32), Path("a"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[-0.5, 247]])


def test_bytes_stay_unless_they_are_scaled():
    assert voxel_type(np.dtype(np.uint8), scaled=False) == np.uint8
    assert voxel_type(np.dtype(np.uint8), scaled=True) == np.float32


def test_whole_numbers_are_exact_or_refused():
    kept = np.array([2**24, -(2**24)], np.int64)
    np.testing.assert_array_equal(as_voxels(kept, 1, 0, np.dtype(np.float32), Path("a")), kept)
    with pytest.raises(ImageError, match=r"a\.nii holds whole numbers up to 16777217"):
        as_voxels(-kept - 1, 1, 0, np.dtype(np.float32), Path("a.nii"))
