"""PNG, JPEG, BMP and GIF: what comes out per mode, and what is refused before or while it is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images import raster
from ushape.images.source import ImageSource, open_image, pages

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (23, 31), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (23, 31, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (23, 31), dtype=np.uint16)
ALPHA = RNG.integers(0, 256, (23, 31), dtype=np.uint8)
BITS = GREY > 127
INNER = Window((3, 5), (20, 17))


def save(pixels: NDArray[np.generic] | Image.Image, path: Path, **options: object) -> ImageSource:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return open_image(path)


def check(source: ImageSource, expected: NDArray[np.generic]) -> None:
    """The header tells what comes, the whole is as expected, and a window is a slice of the whole."""
    expected = expected if expected.ndim == 3 else expected[..., np.newaxis]
    assert (*source.shape, source.channels) == expected.shape
    assert source.dtype == expected.dtype
    whole = source.read()
    assert whole.dtype == expected.dtype
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(source.read(INNER), expected[INNER.slices])
    assert source.spacing is None


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".PNG"])
def test_grey_keeps_its_values(tmp_path: Path, suffix: str) -> None:
    check(save(GREY, tmp_path / f"a{suffix}"), GREY)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_colour_keeps_its_values(tmp_path: Path, suffix: str) -> None:
    check(save(COLOUR, tmp_path / f"a{suffix}"), COLOUR)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif"])
def test_two_level_images_are_0_and_255(tmp_path: Path, suffix: str) -> None:
    check(save(BITS, tmp_path / f"a{suffix}"), np.where(BITS, 255, 0).astype(np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif"])
def test_palettes_are_expanded_to_their_colours(tmp_path: Path, suffix: str) -> None:
    few = np.array([[10, 20, 30], [200, 0, 0], [0, 90, 255]], dtype=np.uint8)[GREY % 3]
    image = Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE, colors=3)
    check(save(image, tmp_path / f"a{suffix}"), few)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif"])
def test_palettes_of_greys_give_one_channel(tmp_path: Path, suffix: str) -> None:
    greys = np.array([0, 255, 128], dtype=np.uint8)
    image = Image.fromarray(GREY % 3).convert("P")
    image.putpalette(np.repeat(greys, 3).tobytes())
    check(save(image, tmp_path / f"a{suffix}"), greys[GREY % 3])


def test_palette_transparency_is_dropped_without_a_warning(tmp_path: Path) -> None:
    few = np.array([[10, 20, 30], [200, 0, 0], [0, 90, 255]], dtype=np.uint8)[GREY % 3]
    image = Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE, colors=3)
    check(save(image, tmp_path / "a.png", transparency=bytes([0, 128, 255])), few)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    check(save(np.dstack([GREY, ALPHA]), tmp_path / "la.png"), GREY)
    check(save(np.dstack([COLOUR, ALPHA]), tmp_path / "rgba.png"), COLOUR)


def test_16_bit_grey_is_kept(tmp_path: Path) -> None:
    check(save(DEEP, tmp_path / "a.png"), DEEP)


@pytest.mark.parametrize(("samples", "kept"), [(2, 1), (3, 3), (4, 3)])
def test_16_bit_colour_is_kept(tmp_path: Path, samples: int, kept: int) -> None:
    deep = RNG.integers(0, 65536, (23, 31, samples), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    check(open_image(tmp_path / "a.png"), deep[..., :kept])


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_is_what_pillow_decodes(tmp_path: Path, suffix: str, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / f"a{suffix}"
    source = save(pixels, path)
    with Image.open(path) as image:
        check(source, np.asarray(image))


@pytest.mark.parametrize("orientation", range(9))
def test_the_orientation_of_a_jpeg_is_applied(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = save(COLOUR, path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert source.shape == expected.shape[:2]
    np.testing.assert_array_equal(source.read(), expected)


def test_the_orientation_of_a_png_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    check(save(COLOUR, tmp_path / "a.png", exif=exif), COLOUR)


@pytest.mark.parametrize("exif", [b"Exif\0\0no TIFF at all", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_illegible_exif_data_counts_as_none(tmp_path: Path, exif: bytes) -> None:
    assert save(COLOUR, tmp_path / "a.jpg", exif=exif).shape == (23, 31)


def test_exif_data_that_pillow_fails_on_count_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise SyntaxError("not a TIFF file")  # as some versions of Pillow do

    save(COLOUR, tmp_path / "a.jpg")
    monkeypatch.setattr(JpegImageFile, "getexif", fail)
    assert open_image(tmp_path / "a.jpg").shape == (23, 31)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(255 - GREY)])
    assert len(pages(path)) == 1
    check(open_image(path), GREY)


def test_the_contents_decide_between_these_formats(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a", format="PNG")
    (tmp_path / "a").rename(tmp_path / "a.jpg")
    check(open_image(tmp_path / "a.jpg"), GREY)


def test_pixels_are_decoded_once_and_handed_out_as_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    source = save(GREY, path)
    source.read()[...] = 0
    path.unlink()
    np.testing.assert_array_equal(source.read()[..., 0], GREY)


def png_claiming(height: int, width: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def test_a_small_file_that_claims_a_huge_image_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(100_000, 100_000, bytes(1000)).ljust(1000, b"\0"))
    with pytest.raises(ImageError, match=r"bomb\.png claims 100000 x 100000 pixels, which its 1000 bytes cannot hold"):
        open_image(path)


def test_what_is_too_large_to_decode_whole_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster, "LARGEST_WHOLE_BYTES", 23 * 31 * 3 - 1)
    monkeypatch.setattr(raster, "free_bytes", lambda _: 23 * 31 * 3 * 3)
    check(save(COLOUR, tmp_path / "fits.png"), COLOUR)  # a third of what is free
    monkeypatch.setattr(raster, "free_bytes", lambda _: 23 * 31 * 3 * 3 - 1)
    check(save(GREY, tmp_path / "grey.png"), GREY)
    with pytest.raises(ImageError, match=r"large\.png has 23 x 31 .*decoded whole.* Save it as a tiled TIFF"):
        save(COLOUR, tmp_path / "large.png")


def test_pillows_own_limit_of_size_neither_warns_nor_refuses(tmp_path: Path) -> None:
    assert Image.MAX_IMAGE_PIXELS < 14_000 * 14_000 / 2
    assert save(Image.new("1", (14_000, 14_000)), tmp_path / "a.png").shape == (14_000, 14_000)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif"])
def test_a_file_cut_short_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"half{suffix}"
    save(GREY, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    source = open_image(path)
    with pytest.raises(ImageError, match=rf"half\{suffix} breaks off or is damaged: .*Copy or export it again"):
        source.read()


def test_16_bit_colour_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(imagecodecs.png_encode(COLOUR.astype(np.uint16) * 257)[:2000])
    with pytest.raises(ImageError, match=r"half\.png breaks off or is damaged"):
        open_image(path).read()


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_claiming(4, 4)[:20])
    with pytest.raises(ImageError, match=r"a\.png has a damaged header: .*Copy or export it again"):
        open_image(path)


def test_a_damaged_palette_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    save(Image.fromarray(GREY).convert("P"), path)
    data = bytearray(path.read_bytes())
    data[46:50] = struct.pack("<I", 257)  # colours, of which 8 bits can count 256
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.bmp has a damaged palette: .*Export it again"):
        open_image(path)


def test_other_files_under_a_known_suffix_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ImageError, match=r"a\.png is no PNG, JPEG, BMP or GIF, whatever its name says .*<html>"):
        open_image(path)


def test_colours_for_print_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.jpg has colours of mode CMYK; we take grey.*Convert it to RGB"):
        save(Image.new("CMYK", (5, 5)), tmp_path / "a.jpg")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(GREY, tmp_path / "a.png")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"a\.png cannot be opened: .*Permission denied.*Check that you may read it"):
        open_image(tmp_path / "a.png")
