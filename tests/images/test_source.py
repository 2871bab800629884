"""What is the same for all formats: refusals, windows that stick out, masks, and real files."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from dicom_files import dicom
from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import (
    SUFFIXES,
    UNANNOTATED,
    Page,
    from_array,
    is_coloured,
    open_image,
    pages,
    read_mask,
    read_mirrored,
)

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.shape[-1] == 3 else "minisblack")
    else:
        Image.fromarray(pixels).save(path)
    return path


# Opening


def test_a_page_is_named_after_its_file_and_numbered_in_a_stack(tmp_path: Path) -> None:
    path = save(tmp_path / "cell.1.tif", RNG.integers(0, 256, (3, 20, 30), dtype=np.uint8))
    assert pages(path) == [Page(path, 0, 3), Page(path, 1, 3), Page(path, 2, 3)]
    assert [page.name for page in pages(path)] == ["cell.1_000", "cell.1_001", "cell.1_002"]
    assert str(pages(path)[1]).endswith("cell.1.tif (page 1 of 0 to 2)")
    assert [page.name for page in pages(save(tmp_path / "b.png", GREY))] == ["b"]
    assert str(pages(tmp_path / "b.png")[0]) == str(tmp_path / "b.png")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".zarr"}))  # which is a folder
def test_opening_reads_the_header_alone_and_keeps_nothing_open(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    lower = tmp_path / f"lower{suffix}"  # some of these go by the suffix when they write
    if suffix == ".npy":
        np.save(lower, GREY)
    elif suffix in (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(GREY), lower)
    elif suffix == ".dcm":
        dicom(lower, GREY)
    elif suffix == ".svs":
        tifffile.imwrite(lower, GREY)
    else:
        Image.fromarray(GREY).save(lower)
    lower.rename(path)
    source = open_image(path)
    assert (source.path, source.shape, source.channels, source.dtype) == (path, (20, 30), 1, np.uint8)
    source.read(Window((0, 0), (5, 5)))
    path.unlink()
    del source
    gc.collect()  # an open file would warn here, and warnings are errors


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"There is no file .*cells\.tif\. Check the name"):
        open_image(tmp_path / "cells.tif")
    with pytest.raises(ImageError, match=r"There is no file .*cells\.tif"):
        pages(tmp_path / "cells.tif")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(ImageError, match=r"a\.tif is a folder, not an image"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_empty_file_is_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").touch()
    with pytest.raises(ImageError, match=rf"a\{suffix} is empty \(0 bytes\).*Copy it again"):
        open_image(tmp_path / f"a{suffix}")


def test_an_unknown_suffix_is_refused_with_those_we_read(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(b"RIFF")
    with pytest.raises(
        ImageError, match=r"a\.webp has the suffix '\.webp'; we read \.bmp \.dcm .* \.zarr\. Convert it"
    ):
        open_image(tmp_path / "a.webp")


@pytest.mark.parametrize(("name", "count"), [("a.png", "1 page,"), ("a.tif", "3 pages,"), ("a.npy", "3 pages,")])
@pytest.mark.parametrize("index", [-1, 3])
def test_a_page_that_is_not_there_is_refused(tmp_path: Path, name: str, count: str, index: int) -> None:
    stack = RNG.integers(0, 256, (3, 20, 30), dtype=np.uint8)
    path = save(tmp_path / name, stack[0] if name.endswith("png") else stack)
    with pytest.raises(ImageError, match=rf"{name} has {count} numbered from 0; there is no {index}"):
        open_image(path, index)


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_numbers_that_are_none_are_counted_and_placed(tmp_path: Path, name: str) -> None:
    pixels = np.zeros((20, 30), dtype=np.float32)
    pixels[7, 8], pixels[9, 2] = np.nan, -np.inf
    source = open_image(save(tmp_path / name, pixels))
    with pytest.raises(
        ImageError, match=rf"{name} has 2 of 600 values that are NaN or infinite, the first at row 7, column 8"
    ):
        source.read()
    with pytest.raises(ImageError, match=r"has 1 of 100 values .* row 9, column 2\. Networks need numbers: replace"):
        source.read(Window((8, 0), (18, 10)))
    assert source.read(Window((0, 0), (7, 30))).max() == 0


# Windows that stick out


@settings(max_examples=200, deadline=None)
@given(st.data(), st.tuples(st.integers(2, 9), st.integers(2, 9)))
def test_a_window_that_sticks_out_is_cut_from_the_mirrored_image(data: st.DataObject, shape: tuple[int, int]) -> None:
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    start = tuple(data.draw(st.integers(-30, 30)) for _ in shape)
    stop = tuple(s + data.draw(st.integers(0, 40)) for s in start)
    pad = 80
    padded = np.pad(pixels, pad, mode="reflect")
    expected = padded[tuple(slice(a + pad, b + pad) for a, b in zip(start, stop, strict=True))]
    np.testing.assert_array_equal(read_mirrored(from_array(pixels), Window(start, stop))[..., 0], expected)


def test_beyond_one_pixel_there_is_nothing_but_it() -> None:
    pixels = np.array([[[1, 2, 3]]])
    assert (read_mirrored(from_array(pixels), Window((-5, -7), (4, 2))) == pixels).all()
    column = np.arange(4).reshape(4, 1)
    np.testing.assert_array_equal(
        read_mirrored(from_array(column), Window((-2, -1), (3, 2)))[..., 0],
        np.repeat([[2], [1], [0], [1], [2]], 3, axis=1),
    )


def test_only_the_part_that_shows_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    source = from_array(np.arange(10_000).reshape(100, 100))
    asked: list[Window | None] = []
    read = source.read

    def noting(window: Window | None = None) -> NDArray[np.generic]:
        asked.append(window)
        return read(window)

    monkeypatch.setattr(source, "read", noting)
    read_mirrored(source, Window((-3, 95), (6, 108)))
    read_mirrored(source, Window((10, 10), (20, 20)))
    read_mirrored(source, Window((-4, 5), (-4, 5)))
    assert asked == [Window((0, 91), (6, 100)), Window((10, 10), (20, 20))]


def test_nan_outside_the_part_that_shows_does_no_harm() -> None:
    pixels = np.full((50, 50), np.nan)
    pixels[:10, :10] = 1
    assert (read_mirrored(from_array(pixels), Window((-4, -4), (5, 5))) == 1).all()


# Masks


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.gif", "a.bmp"])
def test_grey_masks_keep_their_values(tmp_path: Path, name: str) -> None:
    mask = read_mask(save(tmp_path / name, GREY))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, GREY)
    assert not is_coloured(Page(tmp_path / name))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_equal_channels_are_the_grey_value(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.repeat(GREY[..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(read_mask(path), GREY)
    assert not is_coloured(Page(path))


def test_alpha_of_masks_is_dropped(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_mask(save(tmp_path / "la.png", np.dstack([GREY, 255 - GREY]))), GREY)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "rgba.png", np.dstack([GREY] * 3 + [255 - GREY]))), GREY)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_colours_become_0xrrggbb(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.array([[[255, 0, 0], [0, 255, 0]], [[1, 2, 3], [255, 255, 255]]], dtype=np.uint8))
    mask = read_mask(path)
    assert mask.dtype == np.int32
    np.testing.assert_array_equal(mask, [[0xFF0000, 0x00FF00], [0x010203, 0xFFFFFF]])
    assert is_coloured(Page(path))


def test_colours_of_a_palette_become_0xrrggbb(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), [[0, 0x800000], [0x008000, 0]])


@pytest.mark.parametrize("three", [False, True])
def test_grey_masks_of_a_coloured_folder_can_be_read_as_colours(tmp_path: Path, three: bool) -> None:
    grey = np.array([[0, 255], [16, 0]], dtype=np.uint8)
    path = save(tmp_path / "a.png", np.repeat(grey[..., np.newaxis], 3, axis=-1) if three else grey)
    np.testing.assert_array_equal(read_mask(path, coloured=True), [[0, 0xFFFFFF], [0x101010, 0]])


def test_two_level_masks_are_0_and_255_but_boolean_arrays_0_and_1(tmp_path: Path) -> None:
    bits = GREY > 127
    shown = np.where(bits, 255, 0)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", bits)), shown)
    Image.fromarray(bits).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), shown)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.npy", bits)), bits.astype(np.uint8))


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("uint16", "uint16"), ("uint32", "int32"), ("int16", "int32"), ("int64", "int32"), ("float32", "int32")],
)
@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_whole_numbers_of_any_type_are_values(tmp_path: Path, name: str, dtype: str, kept: str) -> None:
    mask = read_mask(save(tmp_path / name, (GREY.astype(np.int64) * 100).astype(dtype)))
    assert mask.dtype == kept
    np.testing.assert_array_equal(mask, GREY.astype(np.int64) * 100)


def test_pages_of_mask_stacks_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.stack([GREY, 255 - GREY]))
    np.testing.assert_array_equal(read_mask(path, 1), 255 - GREY)
    assert not is_coloured(Page(path, 1))


def test_probabilities_are_no_mask(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.array([[0, 0.25, 1], [0, 0, 0.5]], dtype=np.float32))
    with pytest.raises(ImageError, match=r"a\.tif has 2 values that are no whole numbers \(such as 0\.25\).*Threshold"):
        read_mask(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0, -2]], np.int16), "from -2 to 0"),
        (np.array([[0, 2**31]], np.uint32), "from 0 to 2147483648"),
        (np.array([[0, 2**64 - 1]], np.uint64), "from 0 to 18446744073709551615"),
        (np.array([[-3, 3e9]], np.float64), r"from -3\.0 to 3000000000\.0"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, values: NDArray[np.generic], words: str) -> None:
    path = save(tmp_path / "a.npy", np.repeat(values, 5, axis=1))
    with pytest.raises(ImageError, match=rf"a\.npy has mask values {words}; we take 0 to 2147483646\..*--ignore"):
        read_mask(path)


def test_the_largest_value_is_taken(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.full((4, 4), 2**31 - 2, np.uint32))
    assert read_mask(path).max() == 2**31 - 2


def test_nan_and_minus_one_are_not_annotated(tmp_path: Path) -> None:
    floats = save(tmp_path / "a.tif", np.array([[0, np.nan, 2, -1, 1]] * 4, dtype=np.float32))
    assert read_mask(floats)[3].tolist() == [0, UNANNOTATED, 2, UNANNOTATED, 1]
    integers = save(tmp_path / "b.tif", np.array([[0, -1, 2, 1]] * 3, dtype=np.int16))
    assert read_mask(integers)[0].tolist() == [0, UNANNOTATED, 2, 1]


def test_infinite_mask_values_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.array([[0, np.inf, -np.inf, 1]] * 2, dtype=np.float32))
    with pytest.raises(ImageError, match=r"a\.tif has 4 infinite mask values; give them a whole number, or NaN"):
        read_mask(path)


def test_masks_of_other_numbers_of_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.npy has 2 channels; a mask has 1 .* or 3"):
        read_mask(save(tmp_path / "a.npy", np.zeros((20, 30, 2), np.uint8)))


def test_colours_of_more_than_8_bits_are_no_mask(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    with pytest.raises(ImageError, match=r"a\.tif is a coloured mask of type uint16; .*8-bit RGB"):
        read_mask(save(tmp_path / "a.tif", pixels))


# Real files


@pytest.mark.real_data
def test_every_real_file_opens_and_gives_a_window(shared_data: Path) -> None:
    files = [path for path in sorted(shared_data.rglob("*")) if path.suffix.lower() in SUFFIXES]
    assert len(files) > 1800
    for number, path in enumerate(files):
        assert len(pages(path)) == 1
        source = open_image(path)
        assert source.channels in (1, 3)
        assert source.dtype in (np.uint8, np.uint16)
        if number % 20 == 0:
            height, width = source.shape
            assert source.read(Window((height - 7, width - 5), (height, width))).shape == (7, 5, source.channels)


@pytest.mark.real_data
def test_real_masks_have_the_values_their_authors_describe(shared_data: Path) -> None:
    def values(pattern: str) -> set[int]:
        return set(np.unique(read_mask(sorted(shared_data.glob(pattern))[0])).tolist())

    assert values("drive/1st_manual/*.gif") == {0, 255}
    assert values("drive/mask/*.gif") == {0, 255}
    assert values("isbi2012/train/masks/*.png") == {0, 255}
    assert values("sunnybrook_lv/masks/*.png") == {0, 255}
    assert values("dsb2018/masks/*.tif") >= {0, 1}
