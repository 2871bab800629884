"""open_image(path) → an image whose windows can be read; the formats are told apart by suffix.

    open_image(path).read(Window((0, 0), (512, 512)))    → (512, 512, C) pixels
    source_of(volumes(path)[0])                          → all slices at one point in time: (d, h, w, C) of a window
    read_mirrored(source, window)                        → the same, where the window may stick out of the image
    read_mask(path)                                      → (H, W) integers

Grey files have 1 channel, colour files 3; alpha is dropped and palettes are expanded (raster.py and tiff.py have the
whole rule). Values are never rescaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window, mirrored
from ushape.images.array import MemoryImage, NumpyImage, numpy_pages
from ushape.images.contour import ContourImage, is_contour
from ushape.images.dicom import DicomImage, dicom_grid, dicom_pages, is_series
from ushape.images.dicom_drawing import DrawingImage, drawing_grid, drawing_pages
from ushape.images.dicom_file import drawing_kind, is_dicom
from ushape.images.grid import Grid
from ushape.images.itk_volume import ItkImage, itk_grid, itk_pages
from ushape.images.nifti import NiftiImage, nifti_grid, nifti_pages
from ushape.images.pixels import Pixels
from ushape.images.raster import RasterImage
from ushape.images.suffix import stem_of, suffix_of
from ushape.images.tiff import TiffImage, tiff_pages
from ushape.images.tiff_stack import tiff_stack
from ushape.images.volume import SlicedVolume, Stack
from ushape.images.zarr import ZarrImage, ZarrVolume, is_store, zarr_pages, zarr_stack

UNANNOTATED = 2**31 - 1
"""What `read_mask` gives for pixels that are NaN or -1 in the file: no class, no object, nothing known."""

_LARGEST_MASK_VALUE = UNANNOTATED - 1


@dataclass(frozen=True)
class Page:
    """One image of a file; `pages` is how many the file holds.

    axes: 2 of an image, 3 of a volume: all slices of the file at a point in time, which `index` numbers then.
    """

    path: Path
    index: int = 0
    pages: int = 1
    axes: int = 2

    @property
    def name(self) -> str:
        """The file's stem, with the number of the page where there are several.

        >>> Page(Path("cells.tif")).name, Page(Path("stack.tif"), 7, 30).name
        ('cells', 'stack_007')
        """
        stem = stem_of(self.path)
        return stem if self.pages == 1 else f"{stem}_{self.index:03d}"

    def __str__(self) -> str:
        what = "page" if self.axes == 2 else "point in time"
        return str(self.path) if self.pages == 1 else f"{self.path} ({what} {self.index} of 0 to {self.pages - 1})"


class ImageSource:
    """An image file whose header has been read. No file stays open between reads.

    shape: (height, width), or (depth, height, width) of a volume. spacing: the size of a pixel along each axis in
    micrometres, where the file says so.
    """

    def __init__(self, page: Page, pixels: Pixels) -> None:
        self.page, self.path = page, page.path
        self.shape, self.channels, self.dtype = pixels.shape, pixels.channels, pixels.dtype
        self.spacing = pixels.spacing
        self._pixels = pixels

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(height, width), of a volume that of its slices."""
        height, width = self.shape[-2:]
        return height, width

    @property
    def plane_spacing(self) -> tuple[float, float] | None:
        """(y, x) of a pixel, in micrometres."""
        return None if self.spacing is None else (self.spacing[-2], self.spacing[-1])

    def read(self, window: Window | None = None) -> NDArray[np.generic]:
        """(h, w, C) pixels of a window inside the image, or of all; a new array, the caller's own. Of a volume,
        (d, h, w, C).

        Raises ImageError for a damaged file, and for floats that are NaN or infinite.
        """
        window = Window.whole(self.shape) if window is None else window
        pixels = self.read_stored(window)
        if self.dtype.kind == "f":
            self._check_finite(pixels, window)
        return pixels

    def read_stored(self, window: Window) -> NDArray[np.generic]:
        """The same, whatever numbers they are."""
        assert window.inside(self.shape), f"{window} sticks out of an image of shape {self.shape}"
        return self._pixels.read(window)

    def _check_finite(self, pixels: NDArray[np.generic], window: Window) -> None:
        bad = ~np.isfinite(pixels)
        if bad.any():
            *slices, y, x, _ = np.argwhere(bad)[0] + (*window.start, 0)
            first = "".join(f"slice {z}, " for z in slices) + f"row {y}, column {x}"
            raise ImageError(
                f"{self.page} has {np.count_nonzero(bad)} of {bad.size} values that are NaN or infinite, the first at "
                f"{first}. Networks need numbers: replace them, for instance by the image's median."
            )


@dataclass(frozen=True)
class _Format:
    open: Callable[[Path, int], Pixels]
    pages: Callable[[Path], int]
    grid: Callable[[Path], Grid] | None = None
    stack: Callable[[Path], Stack] = lambda _: Stack(1)
    open_volume: Callable[[Path, int], Pixels] | None = None


_RASTER = _Format(lambda path, _: RasterImage(path), lambda _: 1)
_TIFF = _Format(TiffImage, tiff_pages, stack=tiff_stack)
_NUMPY = _Format(NumpyImage, numpy_pages, stack=lambda path: Stack(numpy_pages(path)))
_NIFTI = _Format(NiftiImage, nifti_pages, nifti_grid, lambda path: Stack.of(nifti_grid(path)))
_ITK = _Format(ItkImage, itk_pages, itk_grid, lambda path: Stack.of(itk_grid(path)))
_DICOM = _Format(DicomImage, dicom_pages, dicom_grid, lambda path: Stack.of(dicom_grid(path)))
_DRAWING = _Format(DrawingImage, drawing_pages, drawing_grid, lambda path: Stack.of(drawing_grid(path)))
_CONTOUR = _Format(ContourImage, lambda _: 1)
_ZARR = _Format(ZarrImage, zarr_pages, stack=zarr_stack, open_volume=ZarrVolume)

_FORMATS = {
    ".png": _RASTER,
    ".jpg": _RASTER,
    ".jpeg": _RASTER,
    ".bmp": _RASTER,
    ".gif": _RASTER,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".npy": _NUMPY,
    ".nii": _NIFTI,
    ".nii.gz": _NIFTI,
    ".mha": _ITK,
    ".mhd": _ITK,
    ".nrrd": _ITK,
    ".nhdr": _ITK,
    ".dcm": _DICOM,
    ".svs": _TIFF,
    ".zarr": _ZARR,
}

SUFFIXES = frozenset(_FORMATS)
"""The suffixes of what we read, in lower case; case does not matter. A .zarr is a folder, all others are files."""


def open_image(path: Path, index: int = 0) -> ImageSource:
    """The image at `path`, or page `index` of a stack; only the header is read."""
    image_format = _format_of(path)
    count = image_format.pages(path)
    if not 0 <= index < count:
        raise ImageError(f"{path} has {count} page{'s' if count > 1 else ''}, numbered from 0; there is no {index}.")
    return ImageSource(Page(path, index, count), image_format.open(path, index))


def source_of(page: Page) -> ImageSource:
    """The image or volume that a page names; only headers are read."""
    if page.axes == 2:
        return open_image(page.path, page.index)
    image_format, found = _format_of(page.path), volumes(page.path)
    if not 0 <= page.index < len(found):
        raise ImageError(f"{page.path} has {len(found)} points in time, numbered from 0; there is no {page.index}.")
    if image_format.open_volume is not None:
        return ImageSource(found[page.index], image_format.open_volume(page.path, page.index))
    stack = image_format.stack(page.path)
    first = page.index * stack.slices

    def open_slice(number: int) -> Pixels:
        return image_format.open(page.path, first + number)

    return ImageSource(found[page.index], SlicedVolume(page.path, open_slice, stack, page.index))


def grid_of(path: Path) -> Grid | None:
    """Where the voxels of a volume lie in the patient; None for formats that do not tell."""
    read = _format_of(path).grid
    return None if read is None else read(path)


def is_image(path: Path) -> bool:
    """Whether something is there that goes by the name of an image: a file, a Zarr store, or the folder of a series."""
    if path.is_dir():
        return is_store(path) or is_series(path)
    return suffix_of(path) in SUFFIXES and path.is_file()


def from_array(pixels: NDArray[np.generic], name: str = "array", *, axes: int = 2) -> ImageSource:
    """An (H, W) or (H, W, C) array as a source, so that what reads files reads arrays too; of 3 axes, (D, H, W) or
    (D, H, W, C).
    """
    path = Path(name)
    return ImageSource(Page(path, axes=axes), MemoryImage(pixels, path, axes))


def pages(path: Path) -> list[Page]:
    """Every image of the file: one for most, several for a TIFF stack or an (N, H, W) array."""
    count = _format_of(path).pages(path)
    return [Page(path, index, count) for index in range(count)]


def volumes(path: Path) -> list[Page]:
    """Every volume of the file: one for most, several for points in time.

    ImageError where the file is no volume, for there is but one slice.
    """
    image_format = _format_of(path)
    slices, found = image_format.stack(path).slices, image_format.pages(path)
    if slices < 2:
        raise ImageError(
            f"{path} is no volume: it has a single slice. Give volumes to a network of volumes; for images, train one "
            "of images."
        )
    count = found // slices
    return [Page(path, index, count, axes=3) for index in range(count)]


def pages_of(path: Path, axes: int) -> list[Page]:
    """The images of a file, or its volumes, for a network that sees so many axes."""
    return pages(path) if axes == 2 else volumes(path)


def read_mirrored(source: ImageSource, window: Window) -> NDArray[np.generic]:
    """(h, w, C) pixels of a window that may stick out on any side, by any amount: the image goes on mirrored there,
    its border pixels not repeated; of a volume, (d, h, w, C). Only the part that shows in the window is read.
    """
    if window.inside(source.shape):
        return source.read(window)
    if 0 in window.shape:
        return np.empty((*window.shape, source.channels), dtype=source.dtype)
    places = [
        mirrored(start, stop, size) for start, stop, size in zip(window.start, window.stop, source.shape, strict=True)
    ]
    first = tuple(int(place.min()) for place in places)
    needed = source.read(Window(first, tuple(int(place.max()) + 1 for place in places)))
    return needed[np.ix_(*(place - start for place, start in zip(places, first, strict=True)))]


def read_mask(path: Path, index: int = 0, *, coloured: bool = False) -> NDArray[np.integer]:
    """(H, W) values of a mask file, as `mask_of` has them."""
    return mask_of(Page(path, index), coloured=coloured)


def mask_of(page: Page, *, coloured: bool = False) -> NDArray[np.integer]:
    """(H, W) values of a mask, of a volume (D, H, W), as uint8, uint16 or int32.

    - Grey values stay what they are; so do colours whose channels are all equal, the usual export of a grey mask.
    - True colours become 0xRRGGBB. `coloured` asks for this whatever the file holds (grey g becomes 0xgggggg), for
      folders where some masks are coloured (`is_coloured`) and others happen to show grey classes only.
    - Two-level files (1 bit) are 0 and 255, as viewers show them; boolean .npy arrays are 0 and 1.
    - Floats must be whole numbers. All values must lie in 0 … 2³¹ - 2.
    - NaN, and -1, are UNANNOTATED.
    """
    source = source_of(page)
    if source.channels not in (1, 3):
        raise ImageError(
            f"{source.page} has {source.channels} channels; a mask has 1 (class or object numbers) or 3 (colours). "
            "Save one channel, or name the file so that it does not count as a mask."
        )
    mask = _whole_numbers(source.read_stored(Window.whole(source.shape)), source.page)
    grey = mask[..., 0]
    if not coloured and bool((mask == mask[..., :1]).all()):
        return np.ascontiguousarray(grey)
    if mask.dtype != np.uint8:
        raise ImageError(
            f"{source.page} is a coloured mask of type {source.dtype}; colours are read with 8 bits a channel. "
            "Save it as 8-bit RGB, or as one channel of class numbers."
        )
    red, green, blue = (mask[..., min(c, source.channels - 1)].astype(np.int32) for c in range(3))
    return red << 16 | green << 8 | blue


def is_coloured(page: Page) -> bool:
    """Whether some pixel of a mask has a colour, so that `mask_of` gives 0xRRGGBB."""
    source = source_of(page)
    if source.channels != 3:
        return False
    pixels = source.read()
    return not bool((pixels == pixels[..., :1]).all())


def _format_of(path: Path) -> _Format:
    if not path.exists():
        raise ImageError(f"There is no file {path}. Check the name and the folder.")
    if is_store(path):
        return _ZARR
    if path.is_dir():
        if is_series(path):
            return _DICOM
        raise ImageError(f"{path} is a folder, not an image. Name one file in it.")
    image_format = _FORMATS.get(suffix_of(path)) or (_CONTOUR if is_contour(path) else None)
    if image_format in (None, _DICOM) and is_dicom(path):
        image_format = _DRAWING if drawing_kind(path) else _DICOM
    if image_format is None:
        raise ImageError(
            f"{path} has the suffix {path.suffix!r}; we read {' '.join(sorted(SUFFIXES))}. Convert it, best to TIFF."
        )
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes); the copy or download broke off. Copy it again.")
    return image_format


def _whole_numbers(pixels: NDArray[np.generic], page: Page) -> NDArray[np.integer]:
    """Checked mask values as uint8, uint16 or int32."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels  # type: ignore[return-value]
    blank = np.isnan(pixels) | (pixels == -1)
    pixels = np.where(blank, pixels.dtype.type(0), pixels)
    if np.isinf(pixels).any():
        raise ImageError(f"{page} has {np.isinf(pixels).sum()} infinite mask values; give them a whole number, or NaN.")
    fractions = np.count_nonzero(pixels % 1) if pixels.dtype.kind == "f" else 0
    if fractions:
        raise ImageError(
            f"{page} has {fractions} values that are no whole numbers (such as {pixels[pixels % 1 != 0][0]}); "
            "a mask holds class or object numbers. Threshold probabilities first, and save integers."
        )
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > _LARGEST_MASK_VALUE:
        raise ImageError(
            f"{page} has mask values from {low} to {high}; we take 0 to {_LARGEST_MASK_VALUE}. "
            "Number objects from 1 up, give the background a number of its own, not negative, and give what is not "
            "annotated -1 or NaN, or a number that is then ignored (--ignore)."
        )
    mask = pixels.astype(np.int32)
    mask[blank] = UNANNOTATED
    return mask
