"""PNG, JPEG, BMP and GIF through Pillow: files that can only be decoded whole.

What comes out, per mode of the file:

    1               1 channel, 0 and 255, as every viewer shows it
    L, LA           1 channel (2- and 4-bit grey scaled to 0–255, alpha dropped)
    P               the palette's colours: 3 channels, or 1 where every colour of the palette is grey
    RGB, RGBA       3 channels, alpha dropped
    16 bit a sample kept as uint16, grey or colour

Of an animation the first frame is read. The EXIF orientation of a JPEG is applied, since viewers and the programs that
people draw masks with show the image so; PNG, BMP and GIF are taken as stored.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from ushape.device import free_bytes
from ushape.errors import ImageError
from ushape.geometry.tiles import Window

LARGEST_WHOLE_BYTES = 2 << 30
"""The memory that the pixels of one of these files may take on any machine, since no part of it can be read alone.
Where more is free, they may take a third of that: decoding holds them twice for a while."""

_PIXELS_PER_BYTE = 8 * 1032
"""Deflate makes at most 1032 bytes of one, and a byte holds 8 pixels at most; JPEG, GIF and BMP stay well below."""

_ORIENTATION = 0x0112

# The classes are called directly: Image.open would warn of, or refuse, sizes by a limit of its own that is global.
_FORMATS: dict[bytes, Callable[[BinaryIO], ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"GIF87a": GifImageFile,
    b"GIF89a": GifImageFile,
}

# What Pillow and imagecodecs raise for broken files, found by damaging files of every kind byte by byte.
_DAMAGE = (OSError, SyntaxError, ValueError, RuntimeError, struct.error, zlib.error, EOFError, IndexError, KeyError,
           TypeError, AttributeError, OverflowError, MemoryError, Image.DecompressionBombError)  # fmt: skip


class RasterImage:
    """One file, whose header is read at once and whose pixels are decoded at the first read, then kept."""

    spacing: tuple[float, float] | None = None  # the dpi of these formats are a wish to printers, no measurement

    def __init__(self, path: Path) -> None:
        self._path = path
        with _reading(path) as handle:
            image = _header(handle, path)
            self._orientation = _orientation(image)
            self._colours = _palette(image, path) if image.mode == "P" else None
            self.channels, self.dtype = _pixel_type(image, path)
            if self._colours is not None:
                self.channels = self._colours.shape[-1]
            width, height = image.size
        self.shape: tuple[int, int] = (width, height) if self._orientation >= 5 else (height, width)
        self._check_size()
        self._pixels: NDArray[np.generic] | None = None

    def read(self, window: Window) -> NDArray[np.generic]:
        if self._pixels is None:
            self._pixels = self._decoded()
        return self._pixels[window.slices].copy()

    def _check_size(self) -> None:
        height, width = self.shape
        stored = self._path.stat().st_size
        if height * width > stored * _PIXELS_PER_BYTE:
            raise ImageError(
                f"{self._path} claims {height} x {width} pixels, which its {stored} bytes cannot hold. "
                "The file is damaged or made to mislead; export it again from the original."
            )
        wanted = height * width * self.channels * self.dtype.itemsize
        if wanted > LARGEST_WHOLE_BYTES and wanted > _memory_bytes() // 3:
            most = max(LARGEST_WHOLE_BYTES, _memory_bytes() // 3)
            raise ImageError(
                f"{self._path} has {height} x {width} pixels and would take {wanted / 2**30:.1f} GiB; files of this "
                f"kind can only be decoded whole, and here we stop at {most / 2**30:.1f} GiB. "
                "Save it as a tiled TIFF, which is read piece by piece."
            )

    def _decoded(self) -> NDArray[np.generic]:
        with _reading(self._path) as handle:
            image = _header(handle, self._path)
            try:
                if _is_deep_colour(image):  # Pillow would cut these to 8 bits
                    handle.seek(0)
                    stored = imagecodecs.png_decode(handle.read())
                else:
                    image.load()
                    stored = np.asarray(image)
            except _DAMAGE as error:
                raise ImageError(
                    f"{self._path} breaks off or is damaged: {_words(error)}. Copy or export it again."
                ) from error
        pixels = self._colours[stored] if self._colours is not None else _three_axes(stored)
        if pixels.dtype == np.bool_:
            pixels = np.where(pixels, np.uint8(255), np.uint8(0))
        upright = _upright(pixels[..., : self.channels], self._orientation)
        return np.ascontiguousarray(upright, dtype=self.dtype)


def _memory_bytes() -> int:
    """What is free for the process; 0 where the system does not tell."""
    return free_bytes(torch.device("cpu")) or 0


def _reading(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {_words(error)}. Check that you may read it.") from error


def _header(handle: BinaryIO, path: Path) -> ImageFile:
    start = handle.read(8)
    handle.seek(0)
    plugin = next((plugin for signature, plugin in _FORMATS.items() if start.startswith(signature)), None)
    if plugin is None:
        raise ImageError(
            f"{path} is no PNG, JPEG, BMP or GIF, whatever its name says (it begins with {start!r}). "
            "Give it the suffix of what it is, or export it again."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata, which we do not use, and Pillow's own limit of size
            return plugin(handle)
    except _DAMAGE as error:
        raise ImageError(f"{path} has a damaged header: {_words(error)}. Copy or export it again.") from error


def _orientation(image: ImageFile) -> int:
    """1–8 as in EXIF; 1 (as stored) for anything but a JPEG that says otherwise legibly."""
    if not isinstance(image, JpegImageFile):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pixel_type(image: ImageFile, path: Path) -> tuple[int, np.dtype[np.generic]]:
    """Channels and type of the pixels that we hand out."""
    if _is_deep_colour(image):
        return (1 if _raw_mode(image).startswith("LA") else 3), np.dtype(np.uint16)
    if image.mode in ("1", "L", "LA"):
        return 1, np.dtype(np.uint8)
    if image.mode in ("I", "I;16", "I;16B"):  # 16-bit grey PNG; which of these depends on Pillow's version
        return 1, np.dtype(np.uint16)
    if image.mode in ("P", "RGB", "RGBA"):
        return 3, np.dtype(np.uint8)
    raise ImageError(
        f"{path} has colours of mode {image.mode}; we take grey, palette, RGB and RGBA. Convert it to RGB."
    )


def _palette(image: ImageFile, path: Path) -> NDArray[np.uint8]:
    """(256, 3) colours by number, or (256, 1) where all are grey; numbers beyond the palette are black."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    probe = Image.new("P", (1, 1))  # asked for its palette, the image itself would decode all its pixels
    try:
        if image.palette is not None:
            probe.putpalette(image.palette.palette, image.palette.rawmode or "RGB")
        listed = np.array(probe.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    except _DAMAGE as error:
        raise ImageError(f"{path} has a damaged palette: {_words(error)}. Export it again.") from error
    colours[: len(listed)] = listed
    return colours[:, :1] if bool((colours == colours[:, :1]).all()) else colours


def _raw_mode(image: ImageFile) -> str:
    """How the file packs its samples, which tells 16 bits where `image.mode` does not."""
    mode = next((tile[3] for tile in image.tile), "")
    return str(mode[0] if isinstance(mode, tuple) else mode)


def _is_deep_colour(image: ImageFile) -> bool:
    return isinstance(image, PngImageFile) and _raw_mode(image) in ("RGB;16B", "RGBA;16B", "LA;16B")


def _three_axes(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _upright(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """The stored pixels turned and mirrored as the EXIF orientation asks."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
