"""Tiled OME-TIFF masks: read whole by tifffile, level by level; complete or absent; memory does not grow."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images import ome_tiff
from ushape.images.pyramid import halved
from ushape.images.sink import create_mask
from ushape.images.source import open_image, pages

RNG = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 1), ("uint16", 1), ("uint32", 1), ("float32", 1), ("uint8", 3)]
)
@pytest.mark.parametrize("step", [1300, 400])
def test_another_reader_finds_every_level(tmp_path: Path, dtype: str, channels: int, step: int) -> None:
    shape = (1300, 701)
    mask = RNG.integers(0, 256, shape if channels == 1 else (*shape, 3)).astype(dtype)
    spacing = (0.5, 0.25)
    with create_mask(
        tmp_path / "a.tif", shape, dtype, channels=channels, spacing=spacing, description="µm", pyramid=True
    ) as sink:
        for y in range(0, 1300, step):
            for x in range(0, 701, step):
                window = Window((y, x), (min(y + step, 1300), min(x + step, 701)))
                sink.write(window, mask[window.slices])
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_ome and len(file.series) == 1
        levels = file.series[0].levels
        for level, expected in zip(levels, [mask, halved(mask), halved(halved(mask))], strict=True):
            np.testing.assert_array_equal(level.asarray(), expected)
            page = level.keyframe
            assert page.is_tiled and page.tile == (512, 512) and page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert [level.keyframe.is_reduced for level in levels] == [False, True, True]
        pixels = ElementTree.fromstring(file.ome_metadata).find("{*}Image/{*}Pixels")
        assert [float(pixels.get(f"PhysicalSize{axis}")) for axis in "YX"] == [0.5, 0.25]
    source = open_image(tmp_path / "a.tif")
    assert len(pages(tmp_path / "a.tif")) == 1
    assert (source.shape, source.channels, source.dtype, source.spacing) == (shape, channels, dtype, spacing)
    np.testing.assert_array_equal(source.read().reshape(mask.shape), mask)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_mask_that_was_not_finished(tmp_path: Path, monkeypatch, fault) -> None:
    def failing(*_):
        raise fault

    monkeypatch.setattr(ome_tiff, "halved", failing)
    expected = OutputError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(expected), create_mask(tmp_path / "a.tif", (600, 9), np.uint8, pyramid=True) as sink:
        sink.write(Window((0, 0), (600, 9)), np.zeros((600, 9), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    block = np.ones((1024, 1024), dtype=np.uint16)
    tracemalloc.start()
    with create_mask(tmp_path / "a.tif", (6 * 1024, 4 * 1024), np.uint16, pyramid=True) as sink:  # 50 MB
        for number in range(24):
            y, x = 1024 * (number // 4), 1024 * (number % 4)
            sink.write(Window((y, x), (y + 1024, x + 1024)), block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_larger_images_are_big_tiffs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ome_tiff, "_BIG_TIFF_BYTES", 99)
    for name, rows in (("a.tif", 9), ("b.tif", 11)):
        with create_mask(tmp_path / name, (rows, 10), np.uint8, pyramid=True) as sink:
            sink.write(Window((0, 0), (rows, 10)), np.zeros((rows, 10), dtype=np.uint8))
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.is_bigtiff == (rows == 11)
