"""Masks of volumes: a file of the image's own format on the image's own grid, complete on a clean end or absent.

Of the image's header only the geometry is taken over: names, dates, comments and extensions may tell who the patient
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import DTypeLike

from ushape.atomic import replacing
from ushape.errors import OutputError
from ushape.images.itk_header import meta_head, nrrd_head
from ushape.images.itk_volume import itk_geometry
from ushape.images.nifti import header_like, header_of, nifti_head
from ushape.images.page_buffer import PageBuffer
from ushape.images.source import grid_of
from ushape.images.suffix import suffix_of
from ushape.images.volume_file import RawSlices, SqueezedSlices, gzip_compressor, zlib_compressor

_MASK_SUFFIXES = {
    ".nii": ".nii", ".nii.gz": ".nii.gz", ".mha": ".mha", ".mhd": ".mha", ".nrrd": ".nrrd", ".nhdr": ".nrrd",
    ".dcm": ".nii.gz",
}  # fmt: skip
"""The suffix of an image that has a grid → that of its mask."""


class VolumeMask:
    """The mask of some pages of a volume, `indices`, which come in this order; what is not among them stays 0.

    It works as a MaskStack does: one page is held in memory. All kinds but an uncompressed .nii are compressed as one
    stream, and take pages in ascending order.
    """

    def __init__(self, path: Path, image: Path, indices: Sequence[int], *, overwrite: bool = False) -> None:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already. Write elsewhere, or allow it with --overwrite.")
        self.path, self._image, self._indices = path, image, iter(indices)
        grid = grid_of(image)
        assert grid is not None, f"{image} has no grid"
        self._grid = grid
        self._slices: RawSlices | SqueezedSlices | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file = stack.enter_context(stack.enter_context(replacing(self.path)).open("wb"))
            self._open = stack.pop_all()
        return self

    def page(
        self,
        shape: tuple[int, int],
        dtype: DTypeLike,
        *,
        channels: int = 1,
        spacing: tuple[float, float] | None = None,
        description: str = "",
    ) -> PageBuffer:
        """A sink for the next page. The grid has its spacing; a description has no place in the file."""
        width, height, *_ = self._grid.shape
        assert (shape, channels) == ((height, width), 1), f"{shape} with {channels} channels in {self._grid.shape}"
        if self._slices is None:
            self._dtype = np.dtype(dtype)
            self._slices = self._begun()
            self._open.enter_context(self._slices)
        assert self._dtype == np.dtype(dtype), f"a volume of {self._dtype} got a page of {dtype}"
        return PageBuffer(shape, dtype, partial(self._slices.put, next(self._indices)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert kind or self._slices is not None, "a mask without pages"
        self._open.__exit__(kind, error, trace)

    def _begun(self) -> RawSlices | SqueezedSlices:
        """The file with its header."""
        width, height, *_ = self._grid.shape
        suffix, room = suffix_of(self.path), (self._grid.pages, width * height * self._dtype.itemsize)
        if suffix == ".mha":
            head, size_at = meta_head(itk_geometry(self._image), self._dtype)
            return SqueezedSlices(self._file, head, *room, zlib_compressor(), size_at=size_at)
        if suffix == ".nrrd":
            head = nrrd_head(itk_geometry(self._image), self._dtype)
            return SqueezedSlices(self._file, head, *room, gzip_compressor())
        like = suffix_of(self._image) in (".nii", ".nii.gz")
        head = nifti_head(header_like(self._image) if like else header_of(self._grid, self.path), self._dtype)
        if suffix == ".nii.gz":
            return SqueezedSlices(self._file, head, *room, gzip_compressor(), head_inside=True)
        return RawSlices(self._file, head, *room)


def mask_suffix(image: Path) -> str | None:
    """The suffix of a mask on the grid of this image; None for images without a grid."""
    return ".nii.gz" if image.is_dir() else _MASK_SUFFIXES.get(suffix_of(image))
