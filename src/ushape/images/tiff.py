"""TIFF, BigTIFF, OME-TIFF, SVS and ImageJ stacks through tifffile: of a window, only the strips or tiles it touches.

What comes out, per page:

    1 bit             1 channel, 0 and 255, as viewers show it
    grey              1 channel, the stored numbers (an inverted or ImageJ's coloured table is a matter of display)
    palette           the palette's colours with 8 bits: 3 channels, or 1 where every colour is grey
    RGB, YCbCr-JPEG   3 channels, alpha dropped
    N samples         N channels, alpha dropped where the file calls the last one so

Every full-size page is an image of its own, whatever axis of a stack it belongs to (depth, time, channel); reduced
copies and transparency masks at the end of the file are left out, and of an SVS all but the slide itself. The
orientation tag is not applied.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.damage import DamagedPiece
from ushape.images.spacing import tiff_spacing

LARGEST_PIECE_BYTES = 2 << 30
"""The most memory that one strip or tile may take, since no part of it can be decoded alone."""

_MOST_BYTES_FROM_ONE = {
    tifffile.COMPRESSION.NONE: 1,
    tifffile.COMPRESSION.LZW: 4096,  # a code of 12 bits stands for fewer than 4096 bytes
    tifffile.COMPRESSION.ADOBE_DEFLATE: 1032,
    tifffile.COMPRESSION.DEFLATE: 1032,
    tifffile.COMPRESSION.PACKBITS: 64,
    tifffile.COMPRESSION.JPEG: 4096,  # a bit or so for 8 × 8 samples, which chroma subsampling spreads over more
}
"""How far each compression can go; the others know no bound."""

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _MASK, _YCBCR = 0, 1, 2, 3, 4, 6
_JPEGS = (6, 7, 33007, 34892)
_REDUCED_OR_MASK = 0b101
_ALPHA = (1, 2)

# What tifffile and imagecodecs raise for broken files, found by damaging files of every kind byte by byte.
_DAMAGE = (OSError, ValueError, RuntimeError, ImportError, struct.error, EOFError, IndexError, KeyError, TypeError,
           AttributeError, OverflowError, ZeroDivisionError, AssertionError, MemoryError)  # fmt: skip


class TiffImage:
    """One page, whose header is read at once; the file is opened for each read and closed after it."""

    def __init__(self, path: Path, index: int) -> None:
        self._path = path
        with opened_tiff(path) as tiff, damage_of(path):
            virtual = _virtual_pages(tiff, path)
            page = tiff.pages[0 if virtual > 1 else _page_numbers(tiff, path)[index]]
            _check_kind(page, path)
            _check_size(page, path, tiff.filehandle.size)
            self._page, self._decode = page, page.decode
            self._tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
            self._first_byte = page.dataoffsets[0] + (index * page.nbytes if virtual > 1 else 0)
            self._colours = _colours(page) if not tiff.is_imagej else None
            self.spacing = tiff_spacing(tiff, page)
        self._recent: dict[int, NDArray[np.generic] | None] = {}
        self.shape: tuple[int, int] = (page.imagelength, page.imagewidth)
        self.channels: int = _channels(page) if self._colours is None else self._colours.shape[-1]
        packed = self._colours is not None or page.dtype == np.bool_
        self.dtype: np.dtype[np.generic] = np.dtype(np.uint8) if packed else page.dtype

    def read(self, window: Window) -> NDArray[np.generic]:
        stored = self._mapped(window) if self._page.is_final else self._assembled(window)
        if self._colours is not None:
            return self._colours[stored[..., 0].astype(np.intp)]
        stored = stored[..., : self.channels]
        if stored.dtype == np.bool_:
            shown = stored != (self._page.photometric == _MIN_IS_WHITE)
            return np.where(shown, np.uint8(255), np.uint8(0))
        return np.ascontiguousarray(stored, dtype=self.dtype)

    def _mapped(self, window: Window) -> NDArray[np.generic]:
        """A window of pixels that lie in the file as they are."""
        planes, _, height, width, samples = self._page.shaped
        stored = np.dtype(self._page.parent.byteorder + self._page.dtype.char)
        with damage_of(self._path):
            pixels = np.memmap(self._path, stored, "r", self._first_byte, (planes, height, width, samples))
            part = np.array(pixels[(slice(None), *window.slices)])
        return np.moveaxis(part, 0, -2).reshape(*window.shape, planes * samples)

    def _assembled(self, window: Window) -> NDArray[np.generic]:
        """A window put together from the strips or tiles it touches.

        These stay in memory until the next read (unless it was the whole image), so that windows read in rows decode
        each strip once.
        """
        page, (top, left) = self._page, window.start
        planes, samples = page.shaped[0], page.shaped[4]
        piece_height, piece_width = _piece_shape(page)
        rows, columns = math.ceil(page.imagelength / piece_height), math.ceil(page.imagewidth / piece_width)
        touched = list(product(
            range(planes), _touched(window, 0, piece_height), _touched(window, 1, piece_width)
        ))  # fmt: skip
        numbers = [(plane * rows + row) * columns + column for plane, row, column in touched]
        pieces = list(self._pieces(numbers))
        self._recent = {} if window.shape == self.shape else dict(zip(numbers, pieces, strict=True))
        pixels = np.full((*window.shape, planes * samples), page.nodata, dtype=page.dtype)
        for (plane, row, column), piece in zip(touched, pieces, strict=True):
            if piece is not None:
                down, within_down = _overlap(row * piece_height, piece.shape[0], top, window.shape[0])
                across, within_across = _overlap(column * piece_width, piece.shape[1], left, window.shape[1])
                pixels[down, across, plane * samples : (plane + 1) * samples] = piece[within_down, within_across]
        return pixels

    def _pieces(self, numbers: Sequence[int]) -> Iterator[NDArray[np.generic] | None]:
        """(h, w, samples) pixels of these strips or tiles; None for those that a sparse file leaves out."""
        with damage_of(self._path):
            handle = self._path.open("rb")
        with handle:
            for number in numbers:
                if number in self._recent:
                    yield self._recent[number]
                    continue
                with damage_of(self._path, _tile_window(self._page, number) if self._page.is_tiled else None):
                    offset, count = self._page.dataoffsets[number], self._page.databytecounts[number]
                    handle.seek(offset)
                    coded = handle.read(count) if offset and count else None
                    piece, _, _ = self._decode(coded, number, **self._tables)
                yield None if piece is None else piece[0]


def tiff_pages(path: Path) -> int:
    """How many full-size images the file holds."""
    with opened_tiff(path) as tiff, damage_of(path):
        return max(_virtual_pages(tiff, path), len(_page_numbers(tiff, path)))


@contextlib.contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    with damage_of(path):
        tiff = tifffile.TiffFile(path)
    with tiff:
        yield tiff


@contextlib.contextmanager
def damage_of(path: Path, tile: Window | None = None) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except _DAMAGE as error:
        if tile is not None:
            raise DamagedPiece(path, "tile", tile, error) from error
        words = (str(error) or type(error).__name__).rstrip(".")
        raise ImageError(
            f"{path} cannot be read as a TIFF: {words}. It may be damaged, cut short, or of a kind we do not know; "
            "copy it again, or save it as a plain TIFF."
        ) from error


def _virtual_pages(tiff: tifffile.TiffFile, path: Path) -> int:
    """How many pages lie in one block though the file lists the first alone, as large ImageJ stacks do; else 1."""
    if tiff.pages.is_multipage or not tiff.pages[0].is_final:
        return 1
    page = tiff.pages[0]
    count = 1
    if tiff.is_imagej:
        count = (tiff.imagej_metadata or {}).get("images", 1)
    elif tiff.is_shaped:
        count = _described_images(page)
    if count in (1, page.shaped[0] * page.shaped[4]):  # some writers count the samples of a colour as images
        return 1
    if page.dataoffsets[0] + count * page.nbytes > tiff.filehandle.size:
        raise ImageError(
            f"{path} says it holds {count} images, but ends before the last of them; it was cut short. Copy it again."
        )
    return int(count)


def _described_images(page: tifffile.TiffPage) -> int:
    """How many images there are by the note that tifffile leaves in files whose first page alone it lists."""
    with contextlib.suppress(ValueError):
        note = json.loads(page.description)
        if note.get("truncated") is True:
            return int(math.prod(note["shape"]) // page.size)
    return 1


def _page_numbers(tiff: tifffile.TiffFile, path: Path) -> Sequence[int]:
    """Which of the file's pages are images of full size. Reduced copies follow those, so the last page tells."""
    if tiff.is_svs:  # its thumbnail and its levels do not call themselves reduced
        return [0]
    count = len(tiff.pages)
    tiff.filehandle.seek(tiff.pages.next_page_offset)
    if any(tiff.filehandle.read(tiff.tiff.offsetsize)):
        raise ImageError(f"{path} breaks off after {count} of its pages; it was cut short. Copy it again.")
    if count > 1 and tiff.pages[count - 1].subfiletype & _REDUCED_OR_MASK:
        return [n for n in range(count) if not tiff.pages[n].subfiletype & _REDUCED_OR_MASK] or range(count)
    return range(count)


def _check_kind(page: tifffile.TiffPage, path: Path) -> None:
    if page.dtype is None or page.dtype.kind not in "buif":
        kind = f"{page.bitspersample}-bit samples of format {page.sampleformat}" if page.dtype is None else page.dtype
        raise ImageError(f"{path} has pixels of a kind we do not read ({kind}); save it with integers or floats.")
    if page.imagedepth > 1:
        raise ImageError(f"{path} stores {page.imagedepth} slices as one volume; save it as a stack of 2-D pages.")
    jpeg = page.photometric == _YCBCR and page.compression in _JPEGS
    if not jpeg and page.photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _MASK):
        name = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"{path} has colours of the kind {name}; we take grey, palette and RGB. Convert it to RGB.")


def _check_size(page: tifffile.TiffPage, path: Path, file_bytes: int) -> None:
    """Refuses what the file cannot hold before memory is asked for."""
    size = f"{page.imagelength} x {page.imagewidth}"
    if min(page.shape) < 1:
        raise ImageError(f"{path} has no pixels ({size}). Export it again.")
    offsets, counts = np.array(page.dataoffsets, dtype=object), np.array(page.databytecounts, dtype=object)
    pieces = math.prod(page.chunked)
    if not len(offsets) == len(counts) == pieces:
        raise ImageError(
            f"{path} claims {size} pixels in {pieces} strips or tiles, but lists {len(offsets)}; its header is damaged."
            " Export it again."
        )
    end = offsets[0] + page.nbytes if page.is_final else max((offsets + counts)[counts > 0], default=0)
    if end > file_bytes:
        raise ImageError(
            f"{path} claims {size} pixels that would end at byte {end}, but the file has {file_bytes}; it was "
            "cut short. Copy it again."
        )
    bits = page.bitspersample if isinstance(page.bitspersample, int) else min(page.bitspersample)
    most = _MOST_BYTES_FROM_ONE.get(page.compression)
    if most and not page.is_final and all(counts) and page.size * bits > 8 * most * int(sum(counts)):
        raise ImageError(
            f"{path} claims {size} pixels, which its {sum(counts)} bytes of image data cannot hold; "
            "the file is damaged or made to mislead. Export it again."
        )
    height, width = _piece_shape(page)
    wanted = height * width * page.shaped[4] * page.dtype.itemsize
    if wanted > LARGEST_PIECE_BYTES and not page.is_final:
        raise ImageError(
            f"{path} is stored in pieces of {height} x {width} pixels, each of which takes {wanted / 2**30:.1f} GiB "
            f"when decoded; we stop at {LARGEST_PIECE_BYTES / 2**30:.0f} GiB. Save it again with tiles of 512 x 512."
        )


def _channels(page: tifffile.TiffPage) -> int:
    samples: int = page.samplesperpixel
    undeclared_rgba = page.photometric == _RGB and samples == 4 and not page.extrasamples
    has_alpha = undeclared_rgba or (bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA)
    return samples - 1 if has_alpha and samples > 1 else samples


def _colours(page: tifffile.TiffPage) -> NDArray[np.uint8] | None:
    """(n, 3) colours of a palette, (n, 1) where all are grey; None where the numbers themselves count."""
    if page.photometric != _PALETTE or page.colormap is None or page.samplesperpixel > 1:
        return None
    table = np.asarray(page.colormap, dtype=np.uint16).reshape(3, 1 << page.bitspersample)
    colours = (table >> 8 if table.max() > 255 else table).astype(np.uint8).T  # some writers fill the low byte alone
    return colours[:, :1] if bool((colours == colours[:, :1]).all()) else colours


def _piece_shape(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of a strip or tile."""
    return (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)


def _tile_window(page: tifffile.TiffPage, number: int) -> Window:
    """The pixels that a tile holds."""
    rows, columns = (-(-size // step) for size, step in zip(page.shaped[2:4], _piece_shape(page), strict=True))
    start = [n * step for n, step in zip(divmod(number % (rows * columns), columns), _piece_shape(page), strict=True)]
    stop = [min(a + n, size) for a, n, size in zip(start, _piece_shape(page), page.shaped[2:4], strict=True)]
    return Window(tuple(start), tuple(stop))


def _touched(window: Window, axis: int, step: int) -> range:
    """Which rows or columns of strips or tiles a window touches."""
    start, stop = window.start[axis], window.stop[axis]
    return range(start // step, math.ceil(stop / step) if stop > start else start // step)


def _overlap(piece_start: int, piece_size: int, start: int, size: int) -> tuple[slice, slice]:
    """Where a piece lies in the window, and the window in the piece, along one axis."""
    first, last = max(piece_start, start), min(piece_start + piece_size, start + size)
    return slice(first - start, last - start), slice(first - piece_start, last - piece_start)
