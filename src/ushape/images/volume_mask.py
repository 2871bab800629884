"""Masks of volumes: a file of the image's own format on the image's own grid, complete on a clean end or absent.

Of the image's header only the geometry is taken over: names, dates, comments and extensions may tell who the patient
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ushape.atomic import replacing
from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images.itk_volume import write_itk
from ushape.images.nifti import header_like, header_of, write_nifti
from ushape.images.source import grid_of
from ushape.images.suffix import suffix_of

_MASK_SUFFIXES = {
    ".nii": ".nii", ".nii.gz": ".nii.gz", ".mha": ".mha", ".mhd": ".mha", ".nrrd": ".nrrd", ".nhdr": ".nrrd",
    ".dcm": ".nii.gz",
}  # fmt: skip
"""The suffix of an image that has a grid → that of its mask."""


class VolumeMask:
    """The mask of some pages of a volume, `indices`, which come in this order; what is not among them stays 0.

    It works as a MaskStack does. The whole mask is held in memory, as large as it is uncompressed.
    """

    def __init__(self, path: Path, image: Path, indices: Sequence[int], *, overwrite: bool = False) -> None:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already. Write elsewhere, or allow it with --overwrite.")
        self.path, self._image, self._indices = path, image, iter(indices)
        grid = grid_of(image)
        assert grid is not None, f"{image} has no grid"
        self._grid = grid
        self._pixels: NDArray[np.generic] | None = None

    def __enter__(self) -> Self:
        return self

    def page(
        self,
        shape: tuple[int, int],
        dtype: DTypeLike,
        *,
        channels: int = 1,
        spacing: tuple[float, float] | None = None,
        description: str = "",
    ) -> VolumePage:
        """A sink for the next page. The grid has its spacing; a description has no place in the file."""
        width, height, *_ = self._grid.shape
        assert (shape, channels) == ((height, width), 1), f"{shape} with {channels} channels in {self._grid.shape}"
        if self._pixels is None:
            self._pixels = np.zeros((self._grid.pages, height, width), dtype=dtype)
        assert self._pixels.dtype == np.dtype(dtype), f"a volume of {self._pixels.dtype} got a page of {dtype}"
        return VolumePage(self._pixels[next(self._indices)])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        assert self._pixels is not None, "a mask without pages"
        with replacing(self.path) as temporary:
            self._store(temporary, self._pixels)

    def _store(self, temporary: Path, pixels: NDArray[np.generic]) -> None:
        suffix = suffix_of(self.path)
        if suffix in (".mha", ".nrrd"):
            write_itk(temporary, suffix, pixels, self._image)
            return
        like = suffix_of(self._image) in (".nii", ".nii.gz")
        header = header_like(self._image) if like else header_of(self._grid, self.path)
        write_nifti(temporary, pixels, header, zipped=suffix == ".nii.gz")


class VolumePage:
    """Windows → one page of a volume in memory."""

    def __init__(self, pixels: NDArray[np.generic]) -> None:
        self._pixels, self._values_written = pixels, 0

    def __enter__(self) -> Self:
        return self

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None:
        place = self._pixels[window.slices]
        assert pixels.shape == place.shape, f"{window} got pixels of shape {pixels.shape}, not {place.shape}"
        assert pixels.dtype == place.dtype, f"a page of {place.dtype} got {pixels.dtype}"
        place[...] = pixels
        self._values_written += pixels.size

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert kind or self._values_written >= self._pixels.size, "a page with gaps"


def mask_suffix(image: Path) -> str | None:
    """The suffix of a mask on the grid of this image; None for images without a grid."""
    return ".nii.gz" if image.is_dir() else _MASK_SUFFIXES.get(suffix_of(image))
