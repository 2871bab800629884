"""Zarr arrays and OME-Zarr images (NGFF 0.4 and 0.5) in folders: of a window, only the chunks it touches.

The axes of an OME-Zarr are t, c, z, y, x, those that it has. Each t and z is an image of its own, t by t; c are its
channels; the finest level is the image, the others are left out. A bare array has the names that Zarr 3 gives its
dimensions where those are such axes; else the meaning of its axes is read off the shape, as of a .npy (array.py).
Chunks that are not there hold the array's fill value, as Zarr wants it. Boolean arrays become 0 and 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images.array import axes_by_shape, readable_type
from ushape.images.damage import DamagedPiece
from ushape.images.ngff import Multiscale, is_axes, multiscale_of

if TYPE_CHECKING:
    import zarr

LARGEST_CHUNK_BYTES = 2 << 30
"""The most memory that one chunk may take, since no part of it can be decoded alone."""

# Zarr 2 names its codecs "id", Zarr 3 "name". One that is not listed could do anything: numcodecs' pickle runs code.
_CODECS = {"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"}
_CODECS |= {"bitround", "bz2", "delta", "fixedscaleoffset", "lz4", "lzma", "packbits", "quantize", "shuffle", "zlib"}
_CODECS |= {"crc32", "adler32", "fletcher32", "endian"}

_MARKS = (".zarray", ".zgroup", "zarr.json")

# What Zarr, numcodecs and the JSON reader raise for damaged stores, found by damaging every kind of file.
_DAMAGE = (OSError, ValueError, RuntimeError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
           MemoryError, NotImplementedError)  # fmt: skip


class ZarrImage:
    """One (y, x) plane, or (y, x, c), whose metadata is read at once; chunks are read for each window.

    level: 0 is the finest, 1 its first smaller copy, and so on.
    """

    def __init__(self, path: Path, index: int, level: int = 0) -> None:
        self._path = path
        self._array, multiscale = _opened(path, level)
        self._axes = multiscale.axes
        sizes = dict(zip(self._axes, self._array.shape, strict=True))
        self.shape: tuple[int, int] = (sizes["y"], sizes["x"])
        self.channels: int = sizes.get("c", 1)
        self.dtype = readable_type(self._array.dtype, path)
        self.spacing = multiscale.spacing
        paged = [axis for axis in self._axes if axis in "tz"]
        place = np.unravel_index(index, [sizes[axis] for axis in paged]) if paged else ()
        self._place = {axis: int(number) for axis, number in zip(paged, place, strict=True)}

    def read(self, window: Window) -> NDArray[np.generic]:
        try:
            return self._read(window)
        except _DAMAGE as error:
            for piece in self._touched(window):
                try:
                    self._read(piece)
                except _DAMAGE as damage:
                    raise DamagedPiece(self._path, "chunk", piece, damage) from damage
            raise ImageError(f"{self._path} cannot be read: {error}. Copy or export it again.") from error

    def _read(self, window: Window) -> NDArray[np.generic]:
        """(h, w, C) pixels."""
        y, x = window.slices
        where: dict[str, int | slice] = {"y": y, "x": x, **self._place}
        index: tuple[int | slice, ...] = tuple(where.get(axis, slice(None)) for axis in self._axes)
        stored = np.asarray(self._array[index])
        left = [axis for axis in self._axes if axis not in self._place]
        pixels = stored[..., np.newaxis] if "c" not in left else np.moveaxis(stored, left.index("c"), -1)
        return np.ascontiguousarray(pixels, dtype=self.dtype)

    def _touched(self, window: Window) -> Iterator[Window]:
        """The chunks of a window, each with all its pixels inside the image."""
        steps = [self._array.chunks[self._axes.index(axis)] for axis in "yx"]
        starts = [range(a // n * n, b, n) for a, b, n in zip(window.start, window.stop, steps, strict=True)]
        for start in itertools.product(*starts):
            stop = tuple(min(a + n, size) for a, n, size in zip(start, steps, self.shape, strict=True))
            yield Window(start, stop)


def zarr_pages(path: Path) -> int:
    """How many images the store holds: each time and depth is one."""
    array, multiscale = _opened(path)
    return math.prod(n for axis, n in zip(multiscale.axes, array.shape, strict=True) if axis in "tz")


def zarr_levels(path: Path) -> int:
    """How many there are of the image: itself and its smaller copies."""
    return 1 + len(_opened(path)[1].smaller)


def zarr_header(path: Path) -> tuple[Multiscale, tuple[int, ...], Literal[2, 3]]:
    """What the store says of its image, the image's size along each axis, and the version of Zarr."""
    array, multiscale = _opened(path)
    return multiscale, array.shape, array.metadata.zarr_format


def is_store(path: Path) -> bool:
    """Whether a folder is a Zarr array or group, or says by its name that it is."""
    return path.is_dir() and (path.suffix.lower() == ".zarr" or any((path / mark).exists() for mark in _MARKS))


def zarr_is_installed() -> bool:
    """Whether Zarr stores can be read and written here."""
    return find_spec("zarr") is not None


def zarr_library() -> Any:  # Any: Zarr's own module, known only where it is installed
    """The package itself. MissingExtra where it is not installed."""
    try:
        import zarr
    except ImportError as error:
        raise MissingExtra('Zarr files need the package zarr. Install it: pip install "ushape[large]"') from error
    return zarr


def _opened(path: Path, level: int = 0) -> tuple[zarr.Array[Any], Multiscale]:
    """The array of a level, the finest first, of which nothing is decoded yet, and what is said of the image."""
    library = zarr_library()
    try:
        node = library.open(store=path, mode="r")
        if isinstance(node, library.Group):
            node = _only_series(node, path)
            multiscale = multiscale_of(dict(node.attrs), path)
            name = (multiscale.level, *multiscale.smaller)[level]
            array = node[name]
            if not isinstance(array, library.Array):
                raise ImageError(f"{path}: its level {name!r} is a group, no array. Export it again.")
        else:
            array, multiscale = node, _bare(node, path)
        described = array.metadata.to_dict()
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(
            f"{path} cannot be read as Zarr: {(str(error) or type(error).__name__).rstrip('.')}. We take folders of "
            "Zarr 2 or 3, arrays or OME-Zarr images; copy it again, whole."
        ) from error
    _check(array, multiscale, described, path)
    return array, multiscale


def _only_series(group: zarr.Group, path: Path) -> zarr.Group:
    """The group itself, or the one image that bioformats2raw put into it."""
    attributes = dict(group.attrs)
    if "bioformats2raw.layout" not in {**attributes, **_of_ome(attributes)}:
        return group
    series = sorted((name for name, _ in group.groups() if name.isdecimal()), key=int)
    if len(series) != 1:
        raise ImageError(
            f"{path} holds {len(series)} images{': ' if series else ''}{', '.join(series)}. "
            f"Name one of them, such as {path / '0'}."
        )
    only = group[series[0]]
    assert hasattr(only, "groups"), "groups() gives groups"
    return only  # type: ignore[return-value]


def _of_ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    found = attributes.get("ome")
    return found if isinstance(found, Mapping) else {}


def _bare(array: zarr.Array[Any], path: Path) -> Multiscale:
    """Of an array that no multiscales describe."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    axes = "".join(names) if None not in names and is_axes(names) else axes_by_shape(array.shape, path)
    return Multiscale("", axes, (1.0,) * len(axes), (None,) * len(axes))


def _check(array: zarr.Array[Any], multiscale: Multiscale, described: Mapping[str, Any], path: Path) -> None:
    """Refuses what could not be read, before any of it is decoded."""
    if len(array.shape) != len(multiscale.axes):
        raise ImageError(
            f"{path} has the axes {', '.join(multiscale.axes)}, but its array has the shape {array.shape}. "
            "Its metadata are wrong; export it again."
        )
    if 0 in array.shape:
        raise ImageError(f"{path} has no pixels: its shape is {array.shape}. Export it again.")
    foreign = sorted(set(_codecs_in(described)) - _CODECS)
    if foreign:
        raise ImageError(
            f"{path} is compressed with {', '.join(foreign)}, which we do not read; we take "
            f"{', '.join(sorted(_CODECS - {'endian'}))}. Write it again with zstd or blosc."
        )
    wanted = math.prod(array.chunks) * array.dtype.itemsize
    if wanted > LARGEST_CHUNK_BYTES:
        raise ImageError(
            f"{path} is stored in chunks of {' x '.join(map(str, array.chunks))}, each of which takes "
            f"{wanted / 2**30:.1f} GiB when decoded; we stop at {LARGEST_CHUNK_BYTES / 2**30:.0f} GiB. "
            "Write it again with chunks of 512 x 512."
        )


def _codecs_in(described: Mapping[str, Any]) -> Iterator[str]:
    """The names of all codecs that chunks pass through, those within shards included."""
    outer = [described.get("compressor"), *(described.get("filters") or ()), *(described.get("codecs") or ())]
    for codec in outer:
        if codec is not None:
            yield str(codec.get("id", codec.get("name"))).removeprefix("numcodecs.")
            inner = codec.get("configuration") or {}
            yield from _codecs_in({"codecs": [*inner.get("codecs", ()), *inner.get("index_codecs", ())]})
