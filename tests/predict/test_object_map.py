"""Objects of images in windows: those of the whole image, in bounded memory, in a file that is whole or absent."""

from __future__ import annotations

import errno
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import ImageError, OutputError, SizeError
from ushape.geometry.tiles import Window
from ushape.images.disk_array import DiskArray
from ushape.images.simulated import cells, separated
from ushape.images.source import open_image, read_mask
from ushape.object_rule import ObjectRule
from ushape.predict import object_map
from ushape.predict.object_map import ObjectMap, ObjectsWritten, Progress, find_objects_streamed
from ushape.predict.objects import find_objects

RULES = [
    ObjectRule(method, threshold, seeds, 0.8, depth_px, fill_holes, smallest_px, grow_px)
    for method, seeds in (("components", "probability"), ("watershed", "probability"), ("watershed", "distance"))
    for threshold, depth_px in ((0.3, 0.5), (0.5, 2.0))
    for fill_holes in (False, True)
    for smallest_px, grow_px in ((1, 0), (5, 1), (5, 3))
]
RING = np.array([[0.9, 0.9, 0.9], [0.9, 0.1, 0.9], [0.9, 0.9, 0.9]], np.float32)


def windows(shape: tuple[int, int], height: int, width: int) -> list[Window]:
    return [
        Window((y, x), (min(y + height, shape[0]), min(x + width, shape[1])))
        for y in range(0, shape[0], height)
        for x in range(0, shape[1], width)
    ]


def tiles(p: NDArray[np.float32], height: int = 64, width: int = 64) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    for window in windows(p.shape, height, width):
        yield window, p[window.slices]


def random_field(rng: np.random.Generator) -> NDArray[np.float32]:
    """Anything from noise to smooth hills, in some with plateaus, where ties are."""
    shape = tuple(rng.integers(1, 50, 2))
    field = ndimage.gaussian_filter(rng.random(shape), rng.uniform(0.3, 3))
    p = (field - field.min()) / (np.ptp(field) + 1e-9) * rng.uniform(0.5, 1)
    return (np.round(p * 8) / 8 if rng.random() < 0.5 else p).astype(np.float32)


def streamed(p: NDArray[np.float32], rule: ObjectRule, folder: Path, strip_rows: int, **sides: int) -> NDArray:
    objects = np.full(p.shape, -1)
    with ObjectMap(folder / "a.tif", p.shape, rule, strip_rows=strip_rows) as found:
        pieces = list(tiles(p, **sides))
        for number in np.random.default_rng(0).permutation(len(pieces)):
            found.write(*pieces[number])
        assert all(isinstance(event, Progress) for event in found.find())
        for window, numbers in found.windows():
            assert numbers.dtype == found.dtype
            objects[window.slices] = numbers
    assert found.objects == objects.max()
    return objects


# The same objects


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_strips_and_windows_change_nothing(rule: ObjectRule, tmp_path: Path) -> None:
    rng = np.random.default_rng(RULES.index(rule))
    for _ in range(12):
        p = random_field(rng)
        rows, height, width = (int(rng.integers(1, side + 1)) for side in (p.shape[0], *p.shape))
        objects = streamed(p, rule, tmp_path, rows, height=height, width=width)
        np.testing.assert_array_equal(objects, find_objects(p, rule), err_msg=f"{p.shape}, strips of {rows}")


@pytest.mark.parametrize("rows", [1, 2, 7, 40])
def test_rings_within_rings_are_filled_from_the_inside(rows: int, tmp_path: Path) -> None:
    y, x = np.mgrid[-20:21, -20:21]
    p = (np.maximum(abs(y), abs(x)) % 4 < 2).astype(np.float32)
    for rule in (ObjectRule(), ObjectRule(smallest_px=30), ObjectRule(fill_holes=False, grow_px=1)):
        np.testing.assert_array_equal(streamed(p, rule, tmp_path, rows), find_objects(p, rule))


def test_ids_of_the_largest_images_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_map, "_MOST_PIXELS_OF_INT32", 0)
    p = random_field(np.random.default_rng(3))
    for rule in RULES[::5]:
        np.testing.assert_array_equal(streamed(p, rule, tmp_path, 5), find_objects(p, rule))


def test_finding_twice_finds_the_same(tmp_path: Path) -> None:
    with ObjectMap(tmp_path / "a.tif", (3, 3), ObjectRule()) as found:
        found.write(Window((0, 0), (3, 3)), RING)
        for _ in range(2):
            list(found.find())
            assert found.objects == 1


# Into a file


def test_a_file_holds_the_objects_of_simulated_cells(tmp_path: Path) -> None:
    truth = cells(np.random.default_rng(1), (300, 220), diameter_px=20).truth
    p = ndimage.gaussian_filter((separated(truth) > 0).astype(np.float32), 1.2)
    rule, path = ObjectRule("watershed", 0.5, "probability", 0.9, smallest_px=10, grow_px=1), tmp_path / "cells.tif"
    memory = {"memory_bytes": 110 * 220 * 130}  # strips of 130 rows
    events = list(
        find_objects_streamed(tiles(p), p.shape, rule, path, spacing=(0.5, 0.25), description="cells", **memory)
    )
    objects = find_objects(p, rule)
    assert events[-1] == ObjectsWritten(path, objects.max())
    np.testing.assert_array_equal(read_mask(path), objects)
    assert open_image(path).dtype == np.uint16
    assert open_image(path).spacing == pytest.approx((0.5, 0.25))
    assert list(tmp_path.iterdir()) == [path]


def test_every_step_tells_how_far_it_is(tmp_path: Path) -> None:
    p = np.zeros((10, 6), np.float32)
    p[2:8, 1] = 1
    events = list(find_objects_streamed(tiles(p), p.shape, ObjectRule(), tmp_path / "a.tif", memory_bytes=40 * 6 * 4))
    assert events == [
        *(Progress("strips", rows, 10) for rows in (4, 8, 10)),
        Progress("regions", 1, 1),
        *(Progress("numbers", rows, 10) for rows in (4, 8, 10)),
        *(Progress("file", rows, 10) for rows in (4, 8, 10)),
        ObjectsWritten(tmp_path / "a.tif", 1),
    ]


@pytest.mark.parametrize(("objects", "dtype"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_numbers_have_two_bytes_as_long_as_they_can(objects: int, dtype: type[np.generic], tmp_path: Path) -> None:
    p = np.zeros((512, 514), np.float32)
    p[::2, ::2] = 1
    p[-2:] = 0
    row, column = np.nonzero(p)
    p[row[objects:], column[objects:]] = 0
    extra = objects - int(p.sum())
    p[-1, : 2 * extra : 2] = 1
    list(find_objects_streamed(tiles(p, 512, 514), p.shape, ObjectRule(), tmp_path / "a.tif"))
    written = tifffile.imread(tmp_path / "a.tif")
    assert (written.dtype, written.max()) == (dtype, objects)


def test_memory_is_bounded(tmp_path: Path) -> None:
    side, allowed = 2000, 4 << 20
    truth = separated(cells(np.random.default_rng(1), (250, 250), diameter_px=24, cover_fraction=0.3).truth)
    cell = np.where(np.pad(truth[1:-1, 1:-1], 1) > 0, np.float32(0.9), np.float32(0.1))
    pieces = ((window, cell) for window in windows((side, side), 250, 250))
    warm = [(Window((0, 0), cell.shape), cell)]
    list(find_objects_streamed(warm, cell.shape, ObjectRule(), tmp_path / "warm.tif"))
    tracemalloc.start()
    for _ in find_objects_streamed(pieces, (side, side), ObjectRule(), tmp_path / "a.tif", memory_bytes=allowed):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < allowed < 4 * side**2 / 3


# What cannot be


def refused(error: type[Exception], words: str, folder: Path, pieces: list, shape: tuple[int, int], **options) -> None:
    with pytest.raises(error, match=words):
        list(find_objects_streamed(pieces, shape, ObjectRule(), folder / "a.tif", **options))
    assert not list(folder.iterdir())


def test_windows_that_do_not_cover_the_image_are_refused(tmp_path: Path) -> None:
    words = r"a\.tif got probabilities for 9 of its 12 pixels\. Give windows that cover the image, each pixel once"
    refused(SizeError, words, tmp_path, [(Window((0, 0), (3, 3)), RING)], (3, 4))


@pytest.mark.parametrize("window", [Window((0, 0), (3, 4)), Window((1, 0), (4, 3)), Window((-1, 0), (2, 3))])
def test_windows_of_another_shape_or_beyond_the_image_are_refused(window: Window, tmp_path: Path) -> None:
    words = r"Probabilities of shape \(3, 3\) came for .* of a\.tif, which has 3 x 4 pixels\. Give windows of the image"
    refused(SizeError, words, tmp_path, [(window, RING)], (3, 4))


def test_what_is_no_probability_is_refused(tmp_path: Path) -> None:
    logits = [(Window((0, 0), (3, 3)), 9 * RING)]
    refused(ImageError, r"probability of a\.tif has values from 0\.9.* to 8\.1.*, not logits", tmp_path, logits, (3, 3))
    undefined = [(Window((0, 0), (3, 3)), np.where(RING > 0.5, RING, np.nan))]
    refused(ImageError, r"probability of a\.tif has 1 NaN", tmp_path, undefined, (3, 3))


def test_a_region_too_large_for_the_memory_is_told_with_its_place(tmp_path: Path) -> None:
    p = np.pad(np.ones((400, 300), np.float32), ((100, 0), (50, 0)))
    words = (
        r"a\.tif has a connected region of 400 x 300 pixels, from row 100 and column 50\. Dividing it takes 5 MiB of "
        r"memory, and 1 MiB are allowed\. Allow more, or raise the threshold of the rule above 0\.5"
    )
    refused(SizeError, words, tmp_path, list(tiles(p)), p.shape, memory_bytes=1 << 20)


def test_what_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    def never() -> Iterator[tuple[Window, NDArray[np.float32]]]:
        pytest.fail("nothing may be computed")
        yield

    (tmp_path / "a.tif").write_text("old")
    for name, words in (("a.tif", "exists already"), ("a.jpg", "not as '.jpg'"), ("b/a.tif", "There is no folder")):
        with pytest.raises(OutputError, match=words):
            list(find_objects_streamed(never(), (3, 3), ObjectRule(), tmp_path / name))
    assert (tmp_path / "a.tif").read_text() == "old"


def test_what_exists_is_replaced_on_demand(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("old")
    list(find_objects_streamed(tiles(RING), (3, 3), ObjectRule(), tmp_path / "a.tif", overwrite=True))
    assert read_mask(tmp_path / "a.tif").tolist() == [[1, 1, 1]] * 3


def test_too_many_objects_for_a_png_leave_nothing(tmp_path: Path) -> None:
    p = np.zeros((514, 514), np.float32)
    p[::2, ::2] = 1
    with pytest.raises(OutputError, match=r"a\.png cannot hold 1 channels of uint32.*Write a \.tif"):
        list(find_objects_streamed(tiles(p), p.shape, ObjectRule(), tmp_path / "a.png"))
    assert not list(tmp_path.iterdir())


# A disk that fails


def test_a_disk_without_room_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    words = r"objects of a\.tif takes 2\.24 GiB in .*, and 1\.00 GiB are free\. Free some space, or choose a folder on"
    refused(OutputError, words, tmp_path, [], (20_000, 10_000))


@pytest.mark.parametrize("which", range(1, 6))
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first, second, … write: of two windows, two strips, and a region that crosses."""
    real, calls = DiskArray.put, iter(range(1, 100))

    def put(self: DiskArray, window: Window, values: NDArray[np.generic]) -> None:
        if next(calls) == which:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, window, values)

    monkeypatch.setattr(DiskArray, "put", put)
    p = np.zeros((4, 4), np.float32)
    p[:, 1] = 1
    words = r"The disk is full: .*a\.tif could not be written; nothing of it is left"
    refused(OutputError, words, tmp_path, list(tiles(p, 2, 4)), (4, 4), memory_bytes=40 * 4 * 2)


def test_a_disk_that_takes_no_large_files_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")  # of Unix alone
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        refused(OutputError, r"a\.tif cannot be written: File too large", tmp_path, [], (1000, 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> NoReturn:
        for _ in find_objects_streamed(tiles(RING), (3, 3), ObjectRule(), tmp_path / "a.tif"):
            assert not any(path.suffix == ".tif" for path in tmp_path.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
