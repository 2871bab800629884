"""The smaller copies that a file holds of its image, for a quick look: NGFF's levels, and a TIFF's sub-resolutions.

smaller_copy(path, index, largest_side)    → (h, w, C) pixels of the finest copy that is no longer than this, or None
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource
from ushape.images.zarr import ZarrImage, is_store, zarr_levels

# What tifffile and imagecodecs raise for damaged copies; the image itself then serves.
_DAMAGE = (OSError, ValueError, RuntimeError, struct.error, EOFError, IndexError, KeyError, TypeError, AttributeError,
           OverflowError, MemoryError, AssertionError)  # fmt: skip


def smaller_copy(source: ImageSource, largest_side: int) -> NDArray[np.generic] | None:
    """The finest smaller copy of the image in its file that no side of which is longer than `largest_side` pixels.

    None where there is none, or none with the channels and the type of pixel of the image. At most largest_side² pixels
    are asked memory for, whatever the file says.
    """
    read = _of_store if is_store(source.path) else _of_tiff
    with contextlib.suppress(ImageError, *_DAMAGE):
        found = read(source.path, source.page.index, source.page.pages, largest_side)
        if found is not None and found.shape[2] >= source.channels and found.dtype == source.dtype:
            return found[..., : source.channels]  # alpha is dropped, as it is of the image
    return None


def _of_store(path: Path, index: int, _: int, largest_side: int) -> NDArray[np.generic] | None:
    for level in range(1, zarr_levels(path)):
        image = ZarrImage(path, index, level)
        if max(image.shape) <= largest_side:
            return image.read(Window.whole(image.shape))
    return None


def _of_tiff(path: Path, _: int, pages: int, largest_side: int) -> NDArray[np.generic] | None:
    if pages > 1 or path.suffix.lower() not in (".tif", ".tiff", ".svs"):
        return None
    with tifffile.TiffFile(path) as tiff:
        for level in tiff.series[0].levels[1:]:
            sizes = dict(zip(level.axes, level.shape, strict=True))
            if max(sizes.get("Y", 0), sizes.get("X", 0)) <= largest_side and set(sizes) <= set("YXS"):
                return _channels_last(level.asarray(), level.axes)
    return None


def _channels_last(pixels: NDArray[Any], axes: str) -> NDArray[np.generic]:
    """(h, w, C), whatever the order of the axes Y, X and S."""
    if "S" not in axes:
        return pixels[..., np.newaxis]
    return np.ascontiguousarray(np.transpose(pixels, [axes.index(axis) for axis in "YXS"]))
