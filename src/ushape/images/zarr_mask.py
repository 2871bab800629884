"""Masks as OME-Zarr: label images with smaller copies, written window by window, complete on a clean end or absent.

    with ZarrMask(path, planes_of_store(image), np.uint8) as mask:
        with mask.page(index) as plane:
            plane.write(window, classes)

What is written is NGFF 0.4 on Zarr 2 or 0.5 on Zarr 3, as the image is; of other images 0.4, which more programs read.
A chunk is 1024 × 1024 pixels of a page. Each window goes to the disk at once, into the chunks that it touches, so that
an image of any size needs the memory of a few chunks; the copies are made from them at the end.
"""

from __future__ import annotations

import itertools
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ushape.atomic import output_error
from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images.ngff import Multiscale, attributes_of
from ushape.images.pyramid import halved, levels_of
from ushape.images.zarr import is_store, zarr_header, zarr_library

if TYPE_CHECKING:
    import zarr

CHUNK_PX = 1024


@dataclass(frozen=True)
class Planes:
    """The axes and sizes of a mask: those of its image, without channels."""

    multiscale: Multiscale
    shape: tuple[int, ...]
    zarr_format: Literal[2, 3]

    @property
    def page_shape(self) -> tuple[int, ...]:
        """How many pages there are along t and z, as far as there are such axes."""
        return self.shape[:-2]


def planes_of_store(path: Path) -> Planes:
    """Those of a Zarr image."""
    multiscale, shape, zarr_format = zarr_header(path)
    kept = [number for number, axis in enumerate(multiscale.axes) if axis != "c"]
    axes = replace(
        multiscale,
        axes="".join(multiscale.axes[number] for number in kept),
        scale=tuple(multiscale.scale[number] for number in kept),
        units=tuple(multiscale.units[number] for number in kept),
    )
    return Planes(axes, tuple(shape[number] for number in kept), zarr_format)


def planes_of_image(shape: tuple[int, int], spacing: tuple[float, float] | None) -> Planes:
    """Those of an image of one page in any format."""
    unit = "micrometer" if spacing else None
    return Planes(Multiscale("0", "yx", spacing or (1.0, 1.0), (unit, unit)), shape, 2)


class ZarrMask:
    """A store in the making, of every page of an image; pages that are not written stay 0.

    label: it holds numbers of classes or objects. channels: 3 for masks with colours. Raises OutputError where
    something is that must not be replaced.
    """

    def __init__(
        self,
        path: Path,
        planes: Planes,
        dtype: DTypeLike,
        *,
        channels: int = 1,
        label: bool = True,
        description: str = "",
        overwrite: bool = False,
    ) -> None:
        self.path, self.dtype, self.channels = path, np.dtype(dtype), channels
        self._planes, self._label, self._description, self._overwrite = planes, label, description, overwrite
        self._part = path.with_name(f".ushape-{uuid.uuid4().hex[:12]}.part")
        self._check_free()

    def __enter__(self) -> Self:
        try:
            self._group = zarr_library().create_group(self._part, zarr_format=self._planes.zarr_format)
            self._levels = [self._level(0, self._planes.shape[-2:])]
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise output_error(self.path, error) from error
            raise
        return self

    @property
    def page_pixels(self) -> tuple[int, ...]:
        """(height, width) of every page."""
        return self._planes.shape[-2:]

    def page(self, index: int = 0) -> ZarrPage:
        """A sink for one page of the image, by its number."""
        return ZarrPage(self, index)

    def write(self, index: int, window: Window, pixels: NDArray[np.generic]) -> None:
        """(h, w) or (h, w, 3) pixels into a window of a page."""
        try:
            self._put(self._levels[0], index, window, pixels)
        except OSError as error:
            raise output_error(self.path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._complete()
        except OSError as failure:
            raise failure if isinstance(failure, OutputError) else output_error(self.path, failure) from failure
        finally:
            self._discard()

    def _complete(self) -> None:
        shapes = levels_of((self._planes.shape[-2], self._planes.shape[-1]))
        for number, shape in enumerate(shapes[1:], start=1):
            self._levels.append(self._level(number, shape))
            for index in range(int(np.prod(self._planes.page_shape))):
                self._halve(number, index, shape)
        self._group.attrs.update(
            attributes_of(
                self.path.stem,
                self._axes,
                len(shapes),
                version="0.4" if self._planes.zarr_format == 2 else "0.5",
                label=self._label and self.channels == 1,
                about={"description": self._description, "software": "ushape"},
            )
        )
        for folder, _, files in os.walk(self._part):
            for file in files:
                with Path(folder, file).open("rb+") as written:
                    os.fsync(written.fileno())
        self._check_free()
        self._take_place()

    def _take_place(self) -> None:
        if not self.path.exists():
            self._part.rename(self.path)
            return
        before = self.path.rename(self._part.with_suffix(".before"))  # a folder with something in it cannot be replaced
        try:
            self._part.rename(self.path)
        except BaseException:
            before.rename(self.path)
            raise
        shutil.rmtree(before)

    def _halve(self, number: int, index: int, shape: tuple[int, int]) -> None:
        """One page of a level, from the level before it."""
        finer, coarser = self._levels[number - 1], self._levels[number]
        for window in _windows(shape):
            stop = (min(2 * window.stop[0], finer.shape[-2]), min(2 * window.stop[1], finer.shape[-1]))
            twice = Window((2 * window.start[0], 2 * window.start[1]), stop)
            stored = np.asarray(finer[self._place(index, twice)])
            pixels = np.moveaxis(stored, 0, -1) if self.channels == 3 else stored
            self._put(coarser, index, window, halved(pixels))

    def _put(self, level: zarr.Array[Any], index: int, window: Window, pixels: NDArray[np.generic]) -> None:
        stored = np.moveaxis(pixels, -1, 0) if self.channels == 3 else pixels
        level[self._place(index, window)] = stored.astype(self.dtype)

    def _place(self, index: int, window: Window) -> tuple[int | slice, ...]:
        """Where a window of a page lies in the array: t, c, z, y, x."""
        pages = self._planes.page_shape
        numbers: list[int | slice] = [int(n) for n in np.unravel_index(index, pages)] if pages else []
        if self.channels == 3:
            numbers.insert(self._axes.axes.index("c"), slice(None))
        return (*numbers, *window.slices)

    @property
    def _axes(self) -> Multiscale:
        """With the channels of a coloured mask."""
        plain = self._planes.multiscale
        if self.channels == 1:
            return plain
        place = plain.axes.startswith("t")

        def grown(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
            return (*values[:place], value, *values[place:])

        axes = "".join(grown(tuple(plain.axes), "c"))
        return replace(plain, axes=axes, scale=grown(plain.scale, 1.0), units=grown(plain.units, None))

    def _level(self, number: int, shape: tuple[int, ...]) -> zarr.Array[Any]:
        axes, sizes = self._axes.axes, list(self._planes.page_shape)
        if self.channels == 3:
            sizes.insert(axes.index("c"), 3)
        zarr2 = self._planes.zarr_format == 2
        level: zarr.Array[Any] = self._group.create_array(
            str(number),
            shape=(*sizes, *shape),
            chunks=(*(3 if axis == "c" else 1 for axis in axes[:-2]), *(min(CHUNK_PX, n) for n in shape)),
            dtype=self.dtype,
            fill_value=0,
            chunk_key_encoding={"name": "v2" if zarr2 else "default", "separator": "/"},
            dimension_names=None if zarr2 else list(axes),
        )
        return level

    def _check_free(self) -> None:
        if self.path.exists() and not is_store(self.path):
            raise OutputError(f"{self.path} is there and no Zarr store; a mask cannot take its place. Move it away.")
        if self.path.exists() and not self._overwrite:
            raise OutputError(f"{self.path} exists already. Choose another folder, or ask for it to be overwritten.")

    def _discard(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)  # after a clean end it is not there


class ZarrPage:
    """Windows → one page of the mask."""

    def __init__(self, mask: ZarrMask, index: int) -> None:
        self._mask, self._index = mask, index
        self._values_missing = int(np.prod(mask.page_pixels)) * mask.channels

    def __enter__(self) -> Self:
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        expected = window.shape if self._mask.channels == 1 else (*window.shape, self._mask.channels)
        assert pixels.shape == expected, f"{window} got pixels of shape {pixels.shape}"
        assert np.can_cast(pixels.dtype, self._mask.dtype), f"a mask of {self._mask.dtype} got {pixels.dtype}"
        self._mask.write(self._index, window, pixels)
        self._values_missing -= pixels.size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert kind is not None or self._values_missing <= 0, f"{self._values_missing} values were not written"


def _windows(shape: tuple[int, int]) -> Iterator[Window]:
    for y, x in itertools.product(range(0, shape[0], CHUNK_PX), range(0, shape[1], CHUNK_PX)):
        yield Window((y, x), (min(y + CHUNK_PX, shape[0]), min(x + CHUNK_PX, shape[1])))
