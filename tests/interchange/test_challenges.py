"""What the challenges take, read back as their own programs read it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from ushape.errors import ImageError, OutputError
from ushape.interchange import challenges
from ushape.interchange.challenges import ctc_folder, ctc_names, isbi_stack

FRAMES = ["t000.tif", "t001.tif", "t002.tif"]
MAPS = {name: np.full((4, 5), number, dtype=np.uint32) for number, name in enumerate(FRAMES)}


def write_sequence(folder: Path, maps: dict[str, NDArray[np.integer]], *, overwrite: bool = False) -> None:
    with ctc_folder(folder, [*maps], overwrite=overwrite) as frames:
        for name, objects in maps.items():
            frames.add(name, objects)


def write_stack(path: Path, slices: dict[str, NDArray[np.floating]], *, overwrite: bool = False) -> None:
    with isbi_stack(path, overwrite=overwrite) as stack:
        for name, inside in slices.items():
            stack.add(name, inside)


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def failing(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["t002.tif", "t010.tif"], ["mask002.tif", "mask010.tif"]),  # a part of a sequence keeps its numbers
        (["t0002.tif", "t1010.tif"], ["mask0002.tif", "mask1010.tif"]),
        (["t999.tif", "t1000.tif"], ["mask000.tif", "mask001.tif"]),  # no names of the challenge: digits differ
        (["t000.tif", "t000.png"], ["mask001.tif", "mask000.tif"]),
        (["day10", "day9", "day1"], ["mask002.tif", "mask001.tif", "mask000.tif"]),
    ],
)
def test_masks_are_numbered_as_the_images(images: list[str], masks: list[str]):
    names = ctc_names(images)
    assert [names[image] for image in images] == masks


@pytest.mark.parametrize(("count", "last"), [(1, "mask000.tif"), (1000, "mask999.tif"), (1001, "mask1000.tif")])
def test_there_are_three_digits_up_to_1000_frames_and_four_beyond(count: int, last: str):
    names = [*ctc_names([f"image {number}" for number in range(count)]).values()]
    assert names[-1] == last and len({len(name) for name in names}) == 1


def test_frames_of_one_name_are_refused():
    with pytest.raises(ImageError, match=r"^a, b: several images have this name\. Give each frame a name of its own"):
        ctc_names(["a", "b", "c", "b", "a"])


def test_a_sequence_is_a_folder_of_16_bit_masks_without_tracks(tmp_path: Path):
    maps = {**MAPS, "t001.tif": np.array([[0, 65_535], [3, 3]], dtype=np.int64)}
    write_sequence(tmp_path / "01_RES", maps)
    assert everything_in(tmp_path) == ["01_RES", "01_RES/mask000.tif", "01_RES/mask001.tif", "01_RES/mask002.tif"]
    for name, objects in maps.items():
        read = tifffile.imread(tmp_path / "01_RES" / name.replace("t", "mask", 1))
        assert read.dtype == np.uint16 and np.array_equal(read, objects)


def test_all_frames_that_16_bits_cannot_hold_are_named_and_nothing_is_written(tmp_path: Path):
    maps = {
        "t000.tif": np.array([[1, 70_000]]),
        "t001.tif": np.array([[1]]),
        "t002.tif": np.array([[0.5]]),
        "t003.tif": np.array([[-2]]),
    }
    with pytest.raises(ImageError) as refusal:
        write_sequence(tmp_path / "01_RES", maps)
    lines = str(refusal.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["t000.tif", "t002.tif", "t003.tif"]
    assert "numbers up to 70000" in lines[0] and "at most 65535. Number them from 1 on" in lines[0]
    assert "array of float64" in lines[1] and "values from -2 to -2" in lines[2]
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("exists", [False, True])
def test_a_sequence_broken_off_or_with_missing_frames_leaves_nothing(tmp_path: Path, exists: bool):
    folder = tmp_path / "01_RES"
    if exists:
        folder.mkdir()
    before = everything_in(tmp_path)

    def write_one_frame(interruption: BaseException | None) -> None:
        with ctc_folder(folder, FRAMES) as frames:
            frames.add("t000.tif", MAPS["t000.tif"])
            if interruption:
                raise interruption

    with pytest.raises(KeyboardInterrupt):
        write_one_frame(KeyboardInterrupt())
    with pytest.raises(OutputError, match=r"t001\.tif, t002\.tif had no result \(2 in all\)"):
        write_one_frame(None)
    assert everything_in(tmp_path) == before


def test_existing_masks_stay_unless_overwriting_is_asked_for(tmp_path: Path):
    write_sequence(tmp_path, MAPS)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"already holds 3 of these masks \(mask000\.tif, .*Choose another folder"):
        write_sequence(tmp_path, MAPS)
    write_sequence(tmp_path, {name: objects + 1 for name, objects in MAPS.items()}, overwrite=True)
    assert tifffile.imread(tmp_path / "mask000.tif").max() == 1
    assert everything_in(tmp_path) == ["mask000.tif", "mask001.tif", "mask002.tif", "notes.txt"]


@pytest.mark.parametrize("strange", ["mask003.tif", "mask0000.tif", "res_track.txt"])
def test_results_of_other_frames_are_not_mixed_with_these(tmp_path: Path, strange: str):
    (tmp_path / strange).write_text("of another run")
    with pytest.raises(OutputError, match=rf"do not belong to these frames: {strange} \(1 in all\)\. Move them away"):
        write_sequence(tmp_path, MAPS, overwrite=True)
    assert everything_in(tmp_path) == [strange]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; results of the challenge are a folder"):
        write_sequence(tmp_path / "file", MAPS)
    with pytest.raises(OutputError, match="there is no folder"):
        write_sequence(tmp_path / "absent" / "01_RES", MAPS)
    for function, number, words in [
        ("mkdir", errno.EROFS, "no permission in"),
        ("fsync", errno.ENOSPC, r"The disk is full: .*mask000\.tif"),
        ("rename", errno.EACCES, "no permission in"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(os, function, failing(number))
            with pytest.raises(OutputError, match=words):
                write_sequence(tmp_path / "01_RES", MAPS)
    assert everything_in(tmp_path) == ["file"]


def test_the_em_challenge_gets_a_stack_of_32_bit_floats(tmp_path: Path):
    rng = np.random.default_rng(4)
    slices = rng.random((3, 6, 7))
    slices[0, 0, :2] = 0, 1
    write_stack(tmp_path / "test.tif", {f"slice {number}": inside for number, inside in enumerate(slices)})
    read = tifffile.imread(tmp_path / "test.tif")
    assert read.dtype == np.float32 and np.array_equal(read, slices.astype(np.float32))
    with tifffile.TiffFile(tmp_path / "test.tif") as file:
        assert len(file.pages) == 3 and not file.is_bigtiff and {page.compression for page in file.pages} == {1}


def test_slices_that_are_no_probability_are_all_named_and_nothing_is_written(tmp_path: Path):
    good = np.zeros((2, 3), dtype=np.float32)
    bad = {
        "mask": good.astype(np.uint8),
        "volume": good[None],
        "logits": good - 1,
        "hot": good + 1.001,
        "holed": good + np.nan,
        "empty": good[:0],
        "other": good.T,
    }
    with pytest.raises(ImageError) as refusal:
        write_stack(tmp_path / "a.tif", {"good": good, **bad})
    lines = str(refusal.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [*bad]
    assert "array of uint8" in lines[0] and "Give the probability, not a mask" in lines[0]
    assert "not all from 0 to 1. Give the probability, not logits" in lines[2]
    assert "its shape is (3, 2), that of the first slice (2, 3)" in lines[6]
    assert everything_in(tmp_path) == []


def test_a_stack_that_imagej_would_not_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(OutputError, match="0 slices have 0 bytes"):
        write_stack(tmp_path / "a.tif", {})
    monkeypatch.setattr(challenges, "CLASSIC_TIFF_BYTES", 20)
    with pytest.raises(OutputError, match="1 slices have 24 bytes"):
        write_stack(tmp_path / "a.tif", {"a": np.zeros((2, 3))})
    assert everything_in(tmp_path) == []


def test_an_existing_stack_is_refused_before_any_work(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"), isbi_stack(path):
        pytest.fail("the work began")
    write_stack(path, {"a": np.zeros((2, 3))}, overwrite=True)
    assert tifffile.imread(path).shape == (2, 3)
