"""Mask stacks hold their pages in order, whatever each is, and are complete or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images.source import open_image, pages
from ushape.images.stack import MaskStack

RNG = np.random.default_rng(4)


def put(stack: MaskStack, pixels: NDArray[np.generic], **options) -> None:
    """Writes a page in three windows, the last row first."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    with stack.page((height, width), pixels.dtype, channels=channels, **options) as page:
        for window in [
            Window((height - 1, 0), (height, width)),
            Window((0, 0), (height - 1, 2)),
            Window((0, 2), (height - 1, width)),
        ]:
            page.write(window, pixels[window.slices])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_pages_are_read_again_in_order(tmp_path: Path, dtype: str):
    written = RNG.integers(0, 200, (5, 20, 31)).astype(dtype)
    with MaskStack(tmp_path / "a.tif") as stack:
        for pixels in written:
            put(stack, pixels)
    assert [page.pages for page in pages(tmp_path / "a.tif")] == [5] * 5
    for index, pixels in enumerate(written):
        source = open_image(tmp_path / "a.tif", index)
        assert source.dtype == dtype
        np.testing.assert_array_equal(source.read()[..., 0], pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), written)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (2, 3)])
def test_a_page_that_looks_like_a_colour_is_none(tmp_path: Path, shape: tuple[int, int]):
    with MaskStack(tmp_path / "a.tif") as stack:
        put(stack, np.ones((*shape, 3), dtype=np.uint8))
        put(stack, np.ones(shape, dtype=np.uint8))
    assert [open_image(p.path, p.index).channels for p in pages(tmp_path / "a.tif")] == [3, 1]
    assert [open_image(p.path, p.index).shape for p in pages(tmp_path / "a.tif")] == [shape, shape]


def test_pages_may_differ_in_size_and_in_size_of_pixel(tmp_path: Path):
    with MaskStack(tmp_path / "a.tif") as stack:
        put(stack, np.zeros((20, 31), dtype=np.uint8), spacing=(0.5, 0.25), description="first, in µm")
        put(stack, np.zeros((7, 9), dtype=np.uint8))
    first, second = (open_image(tmp_path / "a.tif", index) for index in range(2))
    assert (first.shape, second.shape) == ((20, 31), (7, 9))
    assert first.spacing == pytest.approx((0.5, 0.25)) and second.spacing is None
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages[0].description == "first, in µm"
        assert tiff.pages[0].software == "ushape"


def test_an_exception_leaves_nothing(tmp_path: Path):
    def broken_off() -> None:
        with MaskStack(tmp_path / "a.tif") as stack:
            put(stack, np.zeros((20, 31), dtype=np.uint8))
            with stack.page((20, 31), np.uint8):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert not list(tmp_path.iterdir())


def failing(number: int):
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    (tmp_path / "a.tif").write_text("old")
    monkeypatch.setattr(os, step, failing(errno.ENOSPC))
    with (
        pytest.raises(OutputError, match=r"The disk is full: .*a\.tif could not be written; nothing of it is left"),
        MaskStack(tmp_path / "a.tif", overwrite=True) as stack,
    ):
        put(stack, np.zeros((20, 31), dtype=np.uint8))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path):
    resource = pytest.importorskip("resource")  # of Unix alone
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with (
            pytest.raises(OutputError, match=r"a\.tif cannot be written: File too large"),
            MaskStack(tmp_path / "a.tif") as stack,
        ):
            put(stack, RNG.random((200, 200)).astype(np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_an_existing_stack_is_kept_unless_overwriting_is_asked_for(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"a\.tif exists already.*--overwrite"):
        MaskStack(path)
    assert path.read_text() == "old"
    with MaskStack(path, overwrite=True) as stack:
        put(stack, np.full((2, 3), 7, dtype=np.uint8))
    assert (open_image(path).read() == 7).all()


def test_a_missing_folder_is_named(tmp_path: Path):
    with (
        pytest.raises(OutputError, match=r"there is no folder .*masks\. Create it first"),
        MaskStack(tmp_path / "masks" / "a.tif"),
    ):
        pass


@pytest.mark.parametrize(
    ("window", "dtype", "words"),
    [
        (Window((0, 0), (2, 3)), "uint16", "a page of uint8 got uint16"),
        (Window((0, 0), (1, 3)), "uint8", "3 of 6 were written"),
        (Window((0, 0), (3, 3)), "uint8", r"got pixels of shape \(3, 3\), not \(2, 3\)"),
    ],
)
def test_our_own_mistakes_are_caught(tmp_path: Path, window: Window, dtype: str, words: str):
    with (
        pytest.raises(AssertionError, match=words),
        MaskStack(tmp_path / "a.tif") as stack,
        stack.page((2, 3), np.uint8) as page,
    ):
        page.write(window, np.zeros(window.shape, dtype=dtype))
    assert not list(tmp_path.iterdir())
