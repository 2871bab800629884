"""Mask files are complete or absent, hold what was written in any order, and say why they cannot be written."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images import sink
from ushape.images.sink import create_mask
from ushape.images.source import open_image, read_mask

RNG = np.random.default_rng(2)
WHOLE = Window((0, 0), (50, 41))
KINDS = [
    ("a.tif", "uint8", 1), ("a.tiff", "uint16", 1), ("a.TIF", "uint32", 1), ("a.tif", "float32", 1),
    ("a.tif", "uint8", 3), ("a.png", "uint8", 1), ("a.png", "uint16", 1), ("a.png", "uint8", 3),
]  # fmt: skip


def random_mask(dtype: str, channels: int) -> NDArray[np.generic]:
    return RNG.integers(0, 256, (50, 41) if channels == 1 else (50, 41, channels)).astype(dtype)


def tiles(step: int) -> list[Window]:
    return [
        Window((y, x), (min(y + step, 50), min(x + step, 41)))
        for y, x in itertools.product(range(0, 50, step), range(0, 41, step))
    ]


@pytest.mark.parametrize(("name", "dtype", "channels"), KINDS)
@pytest.mark.parametrize("step", [16, 50])
def test_what_is_written_in_any_order_is_read_again(
    tmp_path: Path, name: str, dtype: str, channels: int, step: int
) -> None:
    mask = random_mask(dtype, channels)
    path = tmp_path / name
    with create_mask(path, (50, 41), dtype, channels=channels) as file:
        for number in RNG.permutation(len(tiles(step))):
            window = tiles(step)[number]
            file.write(window, mask[window.slices])
    source = open_image(path)
    assert source.dtype == dtype
    np.testing.assert_array_equal(source.read().reshape(mask.shape), mask)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "dtype", "channels"), KINDS)
def test_other_programs_read_the_same(tmp_path: Path, name: str, dtype: str, channels: int) -> None:
    mask = random_mask(dtype, channels)
    with create_mask(tmp_path / name, (50, 41), dtype, channels=channels, description="µm, of cell 1") as file:
        file.write(WHOLE, mask)
    if dtype != "uint32":  # which Pillow reads as signed
        with Image.open(tmp_path / name) as image:
            np.testing.assert_array_equal(np.asarray(image), mask)
    if not name.endswith("png"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / name), mask)


def test_colours_read_as_the_values_of_a_coloured_mask(tmp_path: Path) -> None:
    with create_mask(tmp_path / "a.png", (1, 2), np.uint8, channels=3) as file:
        file.write(Window((0, 0), (1, 2)), np.array([[[1, 2, 3], [255, 0, 0]]], dtype=np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[0x010203, 0xFF0000]])


@pytest.mark.parametrize("spacing", [(0.5, 0.25), (0.004, 0.004), (123.456, 1e4), (1 / 3, 0.0707)])
def test_the_spacing_is_read_again(tmp_path: Path, spacing: tuple[float, float]) -> None:
    with create_mask(tmp_path / "a.tif", (50, 41), np.uint8, spacing=spacing) as file:
        file.write(WHOLE, random_mask("uint8", 1))
    assert open_image(tmp_path / "a.tif").spacing == pytest.approx(spacing, rel=1e-6)


def test_without_spacing_there_is_none(tmp_path: Path) -> None:
    with create_mask(tmp_path / "a.tif", (50, 41), np.uint8) as file:
        file.write(WHOLE, random_mask("uint8", 1))
    assert open_image(tmp_path / "a.tif").spacing is None


@pytest.mark.parametrize("description", ['{"shape": "of a cell", "µm": 3}', "ImageJ it is not"])
def test_the_description_is_stored(tmp_path: Path, description: str) -> None:
    for name in ("a.tif", "a.png"):
        with create_mask(tmp_path / name, (50, 41), np.uint8, description=description) as file:
            file.write(WHOLE, random_mask("uint8", 1))
        assert open_image(tmp_path / name).shape == (50, 41)
    with tifffile.TiffFile(tmp_path / "a.tif") as written:
        assert written.pages[0].description == description
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["Description"] == description


def test_an_empty_window_writes_nothing(tmp_path: Path) -> None:
    with create_mask(tmp_path / "a.tif", (50, 41), np.uint8) as file:
        file.write(WHOLE, random_mask("uint8", 1))
        file.write(Window((3, 3), (3, 9)), np.zeros((0, 6), np.uint8))
        file.write(Window((3, 3), (9, 3)), np.zeros((6, 0), np.uint8))


def test_a_tiff_beyond_4_gib_is_a_bigtiff_and_needs_no_memory(tmp_path: Path) -> None:
    """A sparse file: nothing but the header and one corner reach the disk."""
    tracemalloc.start()
    with contextlib.suppress(OutputError), create_mask(tmp_path / "a.tif", (70_000, 70_000), np.uint8) as file:
        file.write(Window((69_999, 69_980), (70_000, 70_000)), np.full((1, 20), 7, np.uint8))
        (part,) = tmp_path.iterdir()
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert not part.exists()


def test_a_bigtiff_is_made_where_offsets_of_32_bits_do_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "CLASSIC_TIFF_BYTES", 50 * 41)
    for height, big in [(50, False), (51, True)]:
        mask = np.zeros((height, 41), np.uint8)
        with create_mask(tmp_path / f"{height}.tif", mask.shape, np.uint8) as file:
            file.write(Window.whole(mask.shape), mask)
        with tifffile.TiffFile(tmp_path / f"{height}.tif") as written:
            assert written.is_bigtiff == big


# Complete or absent


def test_the_file_is_not_there_before_the_end(tmp_path: Path) -> None:
    with create_mask(tmp_path / "a.tif", (50, 41), np.uint8) as file:
        file.write(WHOLE, random_mask("uint8", 1))
        assert not (tmp_path / "a.tif").exists()
    assert (tmp_path / "a.tif").exists()


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_interruption_nothing_is_left(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with create_mask(tmp_path / name, (50, 41), np.uint8) as file:
            file.write(WHOLE, random_mask("uint8", 1))
            raise error

    with pytest.raises(error):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("old")
    with pytest.raises(KeyboardInterrupt), create_mask(tmp_path / "a.tif", (50, 41), np.uint8, overwrite=True):
        raise KeyboardInterrupt
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_mask_with_gaps_is_not_kept(tmp_path: Path) -> None:
    message = r"a\.tif got 41 of its 2050 values, so it was not kept\. Write every window"
    with pytest.raises(OutputError, match=message), create_mask(tmp_path / "a.tif", (50, 41), np.uint8) as file:
        file.write(Window((0, 0), (1, 41)), np.zeros((1, 41), np.uint8))
    assert not list(tmp_path.iterdir())


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, r"No space left.*The disk is full: free some space"), (errno.EIO, "Check that you may write into")],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, words: str, step: str
) -> None:
    monkeypatch.setattr(os, step, failing(number))
    with (
        pytest.raises(OutputError, match=rf"a\.\w+ cannot be written: .*{words}"),
        create_mask(tmp_path / name, (50, 41), np.uint8) as file,
    ):
        file.write(WHOLE, random_mask("uint8", 1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [100, 100_000])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path, room: int) -> None:
    resource = pytest.importorskip("resource")  # of Unix alone
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with (
            pytest.raises(OutputError, match=r"a\.tif cannot be written: File too large"),
            create_mask(tmp_path / "a.tif", (1000, 1000), np.uint8) as file,
        ):
            file.write(Window.whole((1000, 1000)), np.zeros((1000, 1000), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


# What cannot be written


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"a\.png exists already.*ask for it to be overwritten"):
        create_mask(path, (50, 41), np.uint8)
    assert path.read_text() == "old"
    mask = random_mask("uint8", 1)
    with create_mask(path, (50, 41), np.uint8, overwrite=True) as file:
        file.write(WHOLE, mask)
    np.testing.assert_array_equal(read_mask(path), mask)


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def overtaken() -> None:
        with create_mask(path, (50, 41), np.uint8) as file:
            file.write(WHOLE, random_mask("uint8", 1))
            path.write_text("other")

    with pytest.raises(OutputError, match="exists already"):
        overtaken()
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["other"]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(OutputError, match=r"a\.tif is a folder; a mask cannot take its place"):
        create_mask(tmp_path / "a.tif", (50, 41), np.uint8, overwrite=True)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"There is no folder .*masks to write a\.tif into\. Make it first"):
        create_mask(tmp_path / "masks" / "a.tif", (50, 41), np.uint8)


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", failing(errno.EACCES))
    with (
        pytest.raises(OutputError, match=r"a\.tif cannot be written: Permission denied\. Check that you may write"),
        create_mask(tmp_path / "a.tif", (50, 41), np.uint8),
    ):
        pass


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.jpg: masks are written as \.tif, \.tiff or \.png, not as '\.jpg'"):
        create_mask(tmp_path / "a.jpg", (50, 41), np.uint8)


@pytest.mark.parametrize(
    ("name", "dtype", "channels", "words"),
    [
        ("a.png", "uint32", 1, r"1 channels of uint32; .*have 1 of uint8, uint16, or 3 of uint8\. Write a \.tif"),
        ("a.png", "float32", 1, r"1 channels of float32; .*Write a \.tif"),
        ("a.png", "uint16", 3, "3 channels of uint16"),
        ("a.tif", "int64", 1, "1 channels of int64; .*have 1 of uint8, uint16, uint32, float32, or 3 of uint8"),
        ("a.tif", "uint8", 2, "2 channels of uint8"),
    ],
)
def test_other_types_are_refused(tmp_path: Path, name: str, dtype: str, channels: int, words: str) -> None:
    with pytest.raises(OutputError, match=rf"{name} cannot hold {words}"):
        create_mask(tmp_path / name, (50, 41), dtype, channels=channels)


def test_a_huge_png_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.png would have 16384 x 16385 .*256 megapixels\. Write a \.tif"):
        create_mask(tmp_path / "a.png", (16_384, 16_385), np.uint8)
    assert sink.LARGEST_PNG_PIXELS == 16_384 * 16_384
    assert not list(tmp_path.iterdir())
