""".npy files and arrays in memory: what the axes mean, which types are taken, what is refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import from_array, open_image, pages

RNG = np.random.default_rng(3)
INNER = Window((2, 3), (9, 11))


@pytest.mark.parametrize(
    ("shape", "images"),
    [
        ((20, 30), [(20, 30, 1)]),
        ((20, 30, 1), [(20, 30, 1)]),
        ((20, 30, 3), [(20, 30, 3)]),
        ((20, 30, 4), [(20, 30, 4)]),
        ((2, 20, 30), [(20, 30, 1)] * 2),
        ((1, 20, 30), [(20, 30, 1)]),
        ((2, 20, 30, 3), [(20, 30, 3)] * 2),
    ],
)
def test_the_shape_tells_what_the_axes_mean(
    tmp_path: Path, shape: tuple[int, ...], images: list[tuple[int, int, int]]
) -> None:
    path = tmp_path / "a.npy"
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.save(path, array)
    assert len(pages(path)) == len(images)
    for page, expected in zip(pages(path), images, strict=True):
        source = open_image(path, page.index)
        assert (*source.shape, source.channels) == expected
        whole = source.read()
        np.testing.assert_array_equal(whole, array.reshape(-1, *expected)[page.index])
        np.testing.assert_array_equal(source.read(INNER), whole[INNER.slices])
        assert source.spacing is None


@pytest.mark.parametrize("dtype", [">u2", "<i4", ">f4", "float16", "float64", "int8", "uint64"])
def test_types_are_kept_in_the_machines_byte_order(tmp_path: Path, dtype: str) -> None:
    array = RNG.integers(0, 100, (20, 30)).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    source = open_image(tmp_path / "a.npy")
    assert source.dtype == source.read().dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(source.read()[..., 0], array)


def test_booleans_are_0_and_1(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(20, dtype=bool))
    source = open_image(tmp_path / "a.npy")
    assert source.dtype == np.uint8
    np.testing.assert_array_equal(source.read()[..., 0], np.eye(20, dtype=np.uint8))


def test_column_major_arrays_are_read(tmp_path: Path) -> None:
    array = np.asfortranarray(RNG.integers(0, 256, (20, 30), dtype=np.uint8))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(open_image(tmp_path / "a.npy").read(INNER)[..., 0], array[INNER.slices])


def test_what_is_read_is_the_callers_own(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((20, 30)))
    open_image(tmp_path / "a.npy").read()[...] = 1
    assert open_image(tmp_path / "a.npy").read().max() == 0


def test_a_window_does_not_load_the_file(tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(4096, 4096)).flush()
    tracemalloc.start()
    open_image(tmp_path / "a.npy").read(INNER)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("shape", [(5,), (2, 20, 30, 5), (1, 2, 20, 30, 3), (0, 4), ()])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ImageError, match=r"a\.npy (has shape \(.*we take \(H, W\)|cannot be read as a NumPy array)"):
        open_image(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.zeros((3, 3), complex), np.full((3, 3), "a"), np.zeros((3, 3), "M8[s]")])
def test_what_is_no_number_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ImageError, match=r"a\.npy has values of type .*; we take integers, floats and booleans"):
        open_image(tmp_path / "a.npy")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ImageError, match=r"a\.npy cannot be read as a NumPy array: .*save it again with numpy\.save"):
        open_image(tmp_path / "a.npy")


@pytest.mark.parametrize("cut", [3, 40, 200])
def test_a_file_cut_short_is_refused_unread(tmp_path: Path, cut: int) -> None:
    np.save(tmp_path / "a.npy", np.zeros((20, 30)))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:cut])
    with pytest.raises(ImageError, match=r"a\.npy cannot be read as a NumPy array"):
        open_image(tmp_path / "a.npy")


@pytest.mark.parametrize("data", [b"PK\x03\x04 an archive", b"\x93NUMPY\x01\0\x10\0{'descr': ((((\n ", b"text"])
def test_what_is_no_array_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.npy cannot be read as a NumPy array"):
        open_image(tmp_path / "a.npy")


def test_an_array_in_memory_is_a_source_too() -> None:
    grey, colour = RNG.integers(0, 9, (20, 30)), RNG.random((20, 30, 3))
    source = from_array(grey)
    assert (source.shape, source.channels, source.page.name) == ((20, 30), 1, "array")
    np.testing.assert_array_equal(source.read(INNER)[..., 0], grey[INNER.slices])
    np.testing.assert_array_equal(from_array(colour).read(), colour)
    from_array(grey).read()[...] = 99
    assert grey.max() < 9


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5), (0, 3)])
def test_an_array_in_memory_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"slide has shape \(.*; we take \(H, W\) or \(H, W, C\)"):
        from_array(np.zeros(shape), "slide")
