"""TIFF: every kind of pixel, layout and compression; pages; only what a window touches is decoded; damage is named."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images import tiff
from ushape.images.damage import DamagedPiece
from ushape.images.source import ImageSource, open_image, pages

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (50, 41), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (50, 41, 3), dtype=np.uint8)
WINDOWS = [Window((3, 5), (40, 37)), Window((0, 0), (1, 1)), Window((49, 40), (50, 41)), Window((16, 16), (32, 32)),
           Window((7, 0), (9, 41)), Window((4, 4), (4, 9))]  # fmt: skip
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
}


def written(path: Path, pixels: NDArray[np.generic], **options: Any) -> ImageSource:
    options = {"photometric": "rgb" if pixels.shape[-1] in (3, 4) else "minisblack", **options}
    tifffile.imwrite(path, pixels, **options)
    return open_image(path)


def patch_tag(path: Path, code: int, new: Callable[[Any], Any]) -> None:
    """Overwrites what a tag of the first page holds."""
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages[0].tags[code]
        tag.overwrite(new(tag.value))


def check(source: ImageSource, expected: NDArray[np.generic]) -> None:
    expected = expected if expected.ndim == 3 else expected[..., np.newaxis]
    assert (*source.shape, source.channels) == expected.shape
    assert source.dtype == expected.dtype
    for window in [*WINDOWS, None]:
        pixels = source.read(window)
        assert pixels.dtype == expected.dtype
        assert pixels.flags.writeable
        np.testing.assert_array_equal(pixels, expected if window is None else expected[window.slices])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_windows_are_slices_of_the_whole(
    tmp_path: Path, layout: str, compression: str | None, pixels: NDArray[np.uint8]
) -> None:
    check(written(tmp_path / "a.tif", pixels, compression=compression, **LAYOUTS[layout]), pixels)


TYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", TYPES)
def test_types_are_kept_in_the_machines_byte_order(
    tmp_path: Path, dtype: str, compression: str | None, byteorder: Any
) -> None:
    pixels = (GREY.astype(np.int64) - (0 if dtype.startswith("u") else 100)).astype(dtype)
    check(written(tmp_path / "a.tif", pixels, byteorder=byteorder, compression=compression), pixels)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_predictors_are_undone(tmp_path: Path, dtype: str) -> None:
    pixels = GREY.astype(dtype)
    check(written(tmp_path / "a.tif", pixels, compression="zlib", predictor=True, rowsperstrip=8), pixels)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 5])
def test_planes_become_channels(tmp_path: Path, layout: str, compression: str | None, channels: int) -> None:
    pixels = RNG.integers(0, 256, (channels, 50, 41), dtype=np.uint8)
    photometric = "rgb" if channels == 3 else "minisblack"
    source = written(
        tmp_path / "a.tif",
        pixels,
        photometric=photometric,
        planarconfig="separate",
        compression=compression,
        **LAYOUTS[layout],
    )
    check(source, np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("tiled", [False, True])
def test_jpeg_compression_is_what_tifffile_decodes(tmp_path: Path, tiled: bool) -> None:
    path = tmp_path / "a.tif"
    source = written(path, COLOUR, compression="jpeg", **(LAYOUTS["tiles"] if tiled else {"rowsperstrip": 16}))
    check(source, tifffile.imread(path))


def test_bigtiff_is_read(tmp_path: Path) -> None:
    check(written(tmp_path / "a.tiff", GREY, bigtiff=True), GREY)


@pytest.mark.parametrize(("alpha", "kept"), [("unassalpha", 3), ("assocalpha", 3), ("unspecified", 4)])
def test_what_a_colour_file_calls_alpha_is_dropped(tmp_path: Path, alpha: str, kept: int) -> None:
    pixels = RNG.integers(0, 256, (50, 41, 4), dtype=np.uint8)
    check(written(tmp_path / "a.tif", pixels, extrasamples=[alpha]), pixels[..., :kept])


def test_grey_with_alpha_gives_one_channel(tmp_path: Path) -> None:
    pixels = np.dstack([GREY, GREY])
    source = written(tmp_path / "a.tif", pixels, planarconfig="contig", extrasamples=["unassalpha"])
    check(source, GREY)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F"])
def test_what_pillow_writes_is_read_as_pillow_shows_it(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 200)
    elif mode == "P":
        image = Image.fromarray(COLOUR).quantize(16)
    else:
        image = Image.fromarray(COLOUR).convert(mode.removesuffix("A")).convert(mode)
    image.save(path)
    shown = np.asarray(image.convert({"1": "L", "P": "RGB"}.get(mode, mode)))
    check(open_image(path), shown[..., :-1] if mode.endswith("A") else shown)


@pytest.mark.parametrize("compression", ["raw", "group4", "packbits"])
@pytest.mark.parametrize("inverted", [False, True])
def test_two_level_images_are_0_and_255_as_shown(tmp_path: Path, compression: str, inverted: bool) -> None:
    bits = GREY > 127
    path = tmp_path / "a.tif"
    tiffinfo = {262: 0 if inverted else 1}
    Image.fromarray(bits).save(path, compression=compression, tiffinfo=tiffinfo)
    with Image.open(path) as image:
        check(open_image(path), np.asarray(image.convert("L")))


def test_grey_numbers_are_kept_where_zero_is_shown_white(tmp_path: Path) -> None:
    check(written(tmp_path / "a.tif", GREY, photometric="miniswhite"), GREY)


@pytest.mark.parametrize("scale", [257, 1])
def test_palettes_are_expanded(tmp_path: Path, scale: int) -> None:
    table = RNG.integers(0, 256, (3, 256), dtype=np.uint16)
    source = written(tmp_path / "a.tif", GREY, photometric="palette", colormap=table * np.uint16(scale))
    check(source, table.T[GREY].astype(np.uint8))


def test_a_palette_of_greys_gives_one_channel(tmp_path: Path) -> None:
    table = np.repeat(np.arange(256, dtype=np.uint16)[np.newaxis, ::-1], 3, axis=0) * 257
    check(written(tmp_path / "a.tif", GREY, photometric="palette", colormap=table), 255 - GREY)


def test_imagejs_colour_table_is_display_and_labels_stay_labels(tmp_path: Path) -> None:
    table = RNG.integers(0, 256, (3, 256), dtype=np.uint16) * np.uint16(257)
    check(written(tmp_path / "a.tif", GREY, photometric="palette", colormap=table, description="ImageJ=1.54f\n"), GREY)


def test_left_out_tiles_are_background(tmp_path: Path) -> None:
    pixels = GREY | 1
    path = tmp_path / "a.tif"
    written(path, pixels, tile=(16, 32), compression="zlib")
    for code in (324, 325):  # no offset, no bytes
        patch_tag(path, code, lambda values: (0, *values[1:]))
    pixels[:16, :32] = 0
    check(open_image(path), pixels)


# Stacks


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"imagej": True},
        {"imagej": True, "compression": "zlib"},
        {"ome": True},
        {"bigtiff": True},
        {"truncate": True},
        {"metadata": None},
    ],
    ids=str,
)
def test_every_page_of_a_stack_is_an_image(tmp_path: Path, options: dict[str, Any]) -> None:
    stack = RNG.integers(0, 65536, (5, 50, 41), dtype=np.uint16)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    assert [page.name for page in pages(path)] == [f"stack_{i:03d}" for i in range(5)]
    for page in pages(path):
        check(open_image(page.path, page.index), stack[page.index])


def test_a_large_imagej_stack_that_lists_its_first_page_alone_has_all_its_pages(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (4, 50, 41), dtype=np.uint8)
    path = tmp_path / "a.tif"
    description = "ImageJ=1.54f\nimages=4\nslices=4\n"
    tifffile.imwrite(path, stack[0], description=description, metadata=None, photometric="minisblack")
    with path.open("ab") as file:  # the pixels of the first page come last in the file, the others follow
        file.write(stack[1:].tobytes())
    assert len(pages(path)) == 4
    check(open_image(path, 3), stack[3])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageError, match=r"a\.tif says it holds 4 images, but ends before the last.*Copy it again"):
        pages(path)


def test_an_imagej_colour_image_is_one_page(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, imagej=True)
    assert len(pages(tmp_path / "a.tif")) == 1
    check(open_image(tmp_path / "a.tif"), COLOUR)


def test_samples_that_imagej_metadata_counts_as_images_are_one_page(tmp_path: Path) -> None:
    description = "ImageJ=1.54f\nimages=3\nchannels=3\n"
    check(written(tmp_path / "a.tif", COLOUR, description=description, metadata=None), COLOUR)
    assert len(pages(tmp_path / "a.tif")) == 1


def test_reduced_copies_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, photometric="minisblack", metadata=None)
        writer.write(GREY[::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
        writer.write(GREY > 0, photometric="mask", subfiletype=4, metadata=None)
    assert len(pages(path)) == 1
    check(open_image(path), GREY)


def test_reduced_copies_inside_pages_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY, photometric="minisblack", subifds=1)
        writer.write(GREY[::2, ::2], photometric="minisblack", subfiletype=1)
    assert len(pages(path)) == 1
    check(open_image(path), GREY)


def test_a_file_of_nothing_but_a_reduced_copy_is_read(tmp_path: Path) -> None:
    check(written(tmp_path / "a.tif", GREY, subfiletype=1), GREY)


def test_pages_of_several_sizes_are_read_each_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY[:9, :7], photometric="minisblack", metadata=None)
        writer.write(COLOUR, photometric="rgb", metadata=None)
    assert open_image(path, 0).shape == (9, 7)
    check(open_image(path, 1), COLOUR)


# Only what a window touches


def count_decoded(source: ImageSource, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the strips and tiles that are decoded from now on."""
    numbers: list[int] = []
    reader = source._pixels
    decode = reader._decode  # type: ignore[attr-defined]

    def counting(data: bytes, number: int, **tables: Any) -> Any:
        numbers.append(number)
        return decode(data, number, **tables)

    monkeypatch.setattr(reader, "_decode", counting)
    return numbers


def test_a_window_decodes_only_the_tiles_it_touches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.integers(0, 9, (320, 320), dtype=np.uint8)
    source = written(tmp_path / "a.tif", pixels, tile=(32, 32), compression="zlib")  # 10 × 10 tiles
    numbers = count_decoded(source, monkeypatch)
    source.read(Window((33, 64), (65, 96)))
    assert numbers == [12, 22]


def test_neighbouring_windows_decode_a_strip_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.integers(0, 9, (320, 320), dtype=np.uint8)
    source = written(tmp_path / "a.tif", pixels, rowsperstrip=10, compression="zlib")
    numbers = count_decoded(source, monkeypatch)
    source.read(Window((5, 0), (25, 100)))
    source.read(Window((5, 100), (25, 320)))
    assert numbers == [0, 1, 2]
    source.read(Window((25, 0), (40, 100)))
    assert numbers == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options",
    [{"tile": (256, 256), "compression": "zlib"}, {"tile": (256, 256)}, {"rowsperstrip": 8, "compression": "lzw"}, {}],
    ids=["tiles", "plain tiles", "strips", "contiguous"],
)
def test_the_memory_of_a_window_goes_with_the_window(tmp_path: Path, options: dict[str, Any]) -> None:
    side = 4096  # 16 MiB whole
    written(tmp_path / "a.tif", np.zeros((side, side), dtype=np.uint8), **options)
    window = Window((1000, 1000), (1200, 1300))
    tracemalloc.start()
    open_image(tmp_path / "a.tif").read(window)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 2**20  # at most the 208 × 4096 pixels of the strips touched, and the window


# Damage and what is not taken


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"tile": (16, 16), "compression": "lzw"}]
)
@pytest.mark.parametrize("kept", [0.98, 0.6])
def test_a_file_cut_short_is_refused_unread(tmp_path: Path, options: dict[str, Any], kept: float) -> None:
    path = tmp_path / "half.tif"
    written(path, GREY, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"half\.tif claims 50 x 41 pixels that would end at byte.*cut short"):
        open_image(path)


def test_a_stack_cut_short_is_refused_and_not_taken_for_a_smaller_one(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(5):
            writer.write(GREY, photometric="minisblack", metadata=None, contiguous=False)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(ImageError, match=r"stack\.tif breaks off after \d of its pages; it was cut short"):
        pages(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"claims 100000000 x 41 pixels that would end at byte"),
        ({"compression": "zlib"}, r"claims 100000000 x 41 pixels, which its \d+ bytes of image data cannot hold"),
        ({"compression": "jpeg"}, r"claims 100000000 x 41 pixels, which its \d+ bytes of image data cannot hold"),
        ({"compression": "zlib", "rowsperstrip": 5}, r"claims 100000000 x 41 pixels in 20000000 strips or tiles, but"),
        ({"compression": "zlib", "tile": (16, 16)}, r"claims 100000000 x 41 pixels in 18750000 strips or tiles, but"),
    ],
)
def test_sizes_the_file_cannot_hold_are_refused_unread(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    path = tmp_path / "a.tif"
    written(path, GREY, **options)
    patch_tag(path, 257, lambda _: 100_000_000)
    if "rowsperstrip" not in options and "tile" not in options:
        patch_tag(path, 278, lambda _: 100_000_000)
    with pytest.raises(ImageError, match=rf"a\.tif {words}"):
        open_image(path)


@pytest.mark.parametrize("code", [256, 257])
def test_a_page_without_pixels_is_refused(tmp_path: Path, code: int) -> None:
    path = tmp_path / "a.tif"
    written(path, GREY)
    patch_tag(path, code, lambda _: 0)
    with pytest.raises(ImageError, match=r"a\.tif has no pixels \((0 x 41|50 x 0)\)\. Export it again"):
        open_image(path)


def test_uncompressed_tiles_that_cannot_hold_the_image_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    written(path, GREY[:16, :32], tile=(16, 16))
    patch_tag(path, 325, lambda _: (50, 50))
    with pytest.raises(ImageError, match=r"a\.tif claims 16 x 32 pixels, which its 100 bytes of image data cannot"):
        open_image(path)


def test_pieces_too_large_to_decode_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "LARGEST_PIECE_BYTES", 50 * 41 - 1)
    check(written(tmp_path / "plain.tif", GREY), GREY)
    with pytest.raises(ImageError, match=r"a\.tif is stored in pieces of 50 x 41 pixels.*with tiles of 512 x 512"):
        written(tmp_path / "a.tif", GREY, compression="zlib")


@pytest.mark.parametrize("compression", ["zlib", "lzw", "jpeg", "zstd", "lzma", "packbits", "jpeg2000"])
def test_damaged_pixels_are_named(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    source = written(path, GREY, compression=compression)
    with tifffile.TiffFile(path) as file:
        place, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[place : place + count] = b"\xff" * count
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as a TIFF: .*copy it again"):
        source.read()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_file_that_is_gone_or_shorter_at_the_time_of_reading_is_named(
    tmp_path: Path, compression: str | None
) -> None:
    path = tmp_path / "a.tif"
    source = written(path, GREY, compression=compression)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as a TIFF"):
        source.read()
    path.unlink()
    with pytest.raises(ImageError, match=r"a\.tif cannot be read as a TIFF: .*No such file"):
        source.read()


@pytest.mark.parametrize(
    "data", [b"II*\0", b"<html>not found</html>", b"II*\0\xff\xff\0\0", b"II*\0" + struct.pack("<IHI", 8, 0, 0)]
)
def test_what_is_no_tiff_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif (cannot be read as a TIFF|has no pixels|has pixels of a kind)"):
        open_image(path)


def test_complex_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.tif has pixels of a kind we do not read \(complex64\); save it with"):
        written(tmp_path / "a.tif", GREY.astype(np.complex64))


def test_pixels_of_unknown_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    written(path, GREY)
    patch_tag(path, 258, lambda _: 37)
    with pytest.raises(ImageError, match=r"a\.tif has pixels of a kind we do not read \(37-bit samples of format 1\)"):
        open_image(path)


def test_volumes_in_one_page_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.tif stores 4 slices as one volume; save it as a stack of 2-D pages"):
        written(tmp_path / "a.tif", np.zeros((4, 32, 32), np.uint8), volumetric=True, tile=(4, 16, 16))


@pytest.mark.parametrize(("photometric", "channels"), [("separated", 4), ("cielab", 3), ("ycbcr", 3)])
def test_other_colours_are_refused(tmp_path: Path, photometric: str, channels: int) -> None:
    pixels = np.zeros((16, 16, channels), np.uint8)
    with pytest.raises(ImageError, match=rf"a\.tif has colours of the kind {photometric.upper()}; .*Convert it to RGB"):
        written(tmp_path / "a.tif", pixels, photometric=photometric, planarconfig="contig")


def test_of_an_aperio_slide_the_slide_alone_is_read_with_its_spacing(tmp_path: Path) -> None:
    slide = np.kron(COLOUR[:40, :40], np.ones((16, 16, 1), dtype=np.uint8))
    path = tmp_path / "a.svs"
    jpeg = {"photometric": "rgb", "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(path) as writer:  # as Aperio has it: slide, thumbnail, a smaller level, label
        about = (
            "Aperio Image Library v12.0.15\r\n640x640 [0,0 640x640] (256x256) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
        )
        writer.write(slide, tile=(256, 256), description=about, **jpeg)
        writer.write(slide[::8, ::8], rowsperstrip=16, **jpeg)
        writer.write(slide[::4, ::4], tile=(256, 256), **jpeg)
        writer.write(slide[:20, :20], rowsperstrip=20, subfiletype=1, **jpeg)
    with tifffile.TiffFile(path) as file:
        assert file.is_svs
        expected = file.pages[0].asarray()
    assert len(pages(path)) == 1
    source = open_image(path)
    assert (source.shape, source.channels, source.spacing) == ((640, 640), 3, (0.499, 0.499))
    np.testing.assert_array_equal(source.read(), expected)
    window = Window((250, 3), (270, 300))
    np.testing.assert_array_equal(source.read(window), expected[window.slices])


@pytest.mark.parametrize("about", ["Aperio Image|AppMag = 20", "Aperio Image|MPP = 1.2.3", "Aperio Image|MPP = 0"])
def test_a_slide_that_does_not_say_its_spacing(tmp_path: Path, about: str) -> None:
    assert written(tmp_path / "a.svs", GREY, tile=(16, 16), description=about, metadata=None).spacing is None


def test_a_damaged_tile_is_named_with_its_place(tmp_path: Path) -> None:
    planes = {"photometric": "rgb", "planarconfig": "separate"}
    source = written(tmp_path / "a.tif", np.moveaxis(COLOUR, -1, 0), tile=(16, 16), compression="zlib", **planes)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        number = 4 * 3 + 2 * 3 + 1  # of green's, that in row 2, column 1
        offset, count = file.pages[0].dataoffsets[number], file.pages[0].databytecounts[number]
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * count)
    np.testing.assert_array_equal(source.read(Window((0, 0), (32, 41))), COLOUR[:32])
    with pytest.raises(DamagedPiece, match=r"a\.tif: the tile of rows 32 to 47, columns 16 to 31 cannot be read") as e:
        source.read()
    assert e.value.window == Window((32, 16), (48, 32))
