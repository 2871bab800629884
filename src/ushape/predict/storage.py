"""Which kind of file each image's mask and maps go to, and the sinks for those of several pages.

Left to us, a Zarr image gives OME-Zarr, and a volume that says where its voxels lie a volume that lies there too. Of
other files: a stack gives a TIFF stack; beyond 64 megapixels a mask is a
tiled OME-TIFF with smaller copies, which viewers show without reading it whole; below, PNG for PNG and the like, and
uncompressed TIFF for TIFF, NumPy and what no PNG can hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ushape.errors import OutputError, RecipeError
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource, Page
from ushape.images.stack import MaskStack
from ushape.images.volume_mask import VolumeMask, mask_suffix
from ushape.images.zarr import is_store
from ushape.images.zarr_mask import ZarrMask, planes_of_image, planes_of_store
from ushape.predict.layer import LayerSink

MaskFormat = Literal["auto", "tiff", "ome-tiff", "ome-zarr"]
"""What may be asked for; "tiff" is uncompressed, in strips."""

Form = Literal["png", "tiff", "stack", "ome-tiff", "ome-zarr", "volume"]
"""What it comes to for a file."""

PAGED: tuple[Form, ...] = ("stack", "ome-zarr", "volume")
"""Those that hold the masks of all pages."""

LARGEST_PLAIN_PIXELS = 64 * 2**20
"""Beyond, a mask is tiled and has smaller copies."""

PagedMask = MaskStack | ZarrMask | VolumeMask


class Sink(Protocol):
    """Where the windows of one picture go."""

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None: ...


@dataclass(frozen=True)
class Content:
    """What a file is going to hold. what: in words; label: numbers of classes or objects; objects: of the latter."""

    what: str
    dtype: np.dtype[np.generic]
    channels: int = 1
    label: bool = False
    objects: bool = False


def mask_format_named(text: str) -> MaskFormat:
    """RecipeError for a name that is none."""
    for known in get_args(MaskFormat):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise RecipeError(f"There is no mask format {text!r}; choose {', '.join(get_args(MaskFormat))}.")


def suffix_for(form: Form, image: Path) -> str:
    """How the name of a mask of this image ends."""
    if form == "volume":
        return mask_suffix(image) or ".tif"
    return {"png": ".png", "ome-zarr": ".zarr"}.get(form, ".tif")


def form_of(page: Page, pages: int, pixels: int, wanted: MaskFormat, *, png: bool, grid: bool = True) -> Form:
    """The kind of file for the masks of some pages of a file. pixels: of the largest. png, grid: a PNG, a volume
    could hold the values.

    OutputError where masks of several pages are wanted in a file of one.
    """
    zarr_image = is_store(page.path)
    if grid and wanted == "auto" and not zarr_image and mask_suffix(page.path):
        return "volume"
    if pages > 1 and (wanted == "ome-tiff" or (wanted == "ome-zarr" and not zarr_image)):
        raise OutputError(
            f"{page.path} has {pages} pages, and {wanted} cannot hold their masks. Leave --mask-format out for it."
        )
    if zarr_image and wanted in ("auto", "ome-zarr"):
        return "ome-zarr"
    if pages > 1:
        return "stack"
    if wanted != "auto":
        return wanted
    if pixels > LARGEST_PLAIN_PIXELS:
        return "ome-tiff"
    return "png" if png and page.path.suffix.lower() not in (".tif", ".tiff", ".svs", ".npy") else "tiff"


def open_pages(
    form: Form, mask: Path, pages: Sequence[Page], source: ImageSource, content: Content, *, overwrite: bool
) -> AbstractContextManager[PagedMask]:
    """The mask of a whole file; `source` is its first page."""
    if form == "volume":
        return VolumeMask(
            mask, pages[0].path, [n for page in pages for n in _slices_of(page, source)], overwrite=overwrite
        )
    if form != "ome-zarr":
        return MaskStack(mask, overwrite=overwrite)
    of_store = is_store(source.path)
    return ZarrMask(
        mask,
        planes_of_store(source.path) if of_store else planes_of_image(source.plane_shape, source.plane_spacing),
        np.uint32 if content.objects else content.dtype,  # how many there are is not known before the last page
        channels=content.channels,
        label=content.label,
        description=content.what,
        overwrite=overwrite,
    )


def open_page(
    masks: PagedMask, page: Page, source: ImageSource, dtype: DTypeLike, content: Content
) -> AbstractContextManager[Sink]:
    """A sink for one page, or for all slices of a volume. OutputError where the pages of a stack cannot number its
    objects.
    """
    if page.axes == 3:
        slices = [Page(page.path, number, page.pages * source.shape[0]) for number in _slices_of(page, source)]
        return LayerSink(lambda z: open_page(masks, slices[z], source, dtype, content), source.plane_shape)
    if isinstance(masks, ZarrMask):
        return masks.page(page.index)
    if content.objects and dtype == np.uint32:
        raise OutputError(
            f"{page} has more than 65,535 objects, which the 16 bits of a stack's pages cannot number. "
            "Save its pages as single images."
        )
    return masks.page(
        source.plane_shape,
        dtype,
        channels=content.channels,
        spacing=source.plane_spacing,
        description=content.what,
    )


def _slices_of(page: Page, source: ImageSource) -> range:
    """The numbers of the pages of a file that a volume has for slices; of an image, its own."""
    if page.axes == 2:
        return range(page.index, page.index + 1)
    depth = source.shape[0]
    return range(page.index * depth, (page.index + 1) * depth)
