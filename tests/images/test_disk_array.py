"""What is put into a window comes out of every window that holds it."""

from __future__ import annotations

import tempfile
from itertools import product

import numpy as np
import pytest

from ushape.geometry.tiles import Window
from ushape.images.disk_array import DiskArray


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_windows_come_back_as_they_were_put(dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(0)
    expected = np.zeros((9, 7), dtype)
    with tempfile.TemporaryFile(buffering=0) as file:
        stored = DiskArray(file, (9, 7), np.dtype(dtype))
        for _ in range(40):
            top, left = int(rng.integers(9)), int(rng.integers(7))
            window = Window((top, left), (int(rng.integers(top, 10)), int(rng.integers(left, 8))))
            values = rng.integers(-9, 9, window.shape).astype(dtype)
            stored.put(window, values)
            expected[window.slices] = values
            np.testing.assert_array_equal(stored.read(Window.whole((9, 7))), expected)
        for (top, bottom), (left, right) in product([(0, 9), (2, 5)], [(0, 7), (3, 4)]):
            read = stored.read(Window((top, left), (bottom, right)))
            np.testing.assert_array_equal(read, expected[top:bottom, left:right])
            read[:] = 0  # ours alone: the array stays as it is
        np.testing.assert_array_equal(stored.read(Window.whole((9, 7))), expected)


def test_where_nothing_was_put_is_zero() -> None:
    with tempfile.TemporaryFile(buffering=0) as file:
        stored = DiskArray(file, (300, 200), np.dtype(np.int32))
        assert not stored.read(Window.whole((300, 200))).any()
