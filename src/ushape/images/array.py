"""NumPy's .npy files, read through a memory map, and arrays that are in memory already.

The meaning of the axes is read off the shape: (H, W) is one grey image; (H, W, C) with C ≤ 4 is one image of C
channels; (N, H, W) with W > 4 is a stack of N grey images; (N, H, W, C) with C ≤ 4 a stack of images of C channels.
Boolean arrays become 0 and 1. Otherwise values and channels stay as they are: a fourth channel of an array is no alpha.
"""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window

_MOST_CHANNELS = 4

# What NumPy raises for broken files, found by damaging files byte by byte.
_DAMAGE = (OSError, ValueError, RuntimeError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError, TokenError)


class NumpyImage:
    """One image of a .npy file; the file is mapped anew for each read, so nothing stays open."""

    spacing: tuple[float, float] | None = None

    def __init__(self, path: Path, index: int) -> None:
        self._path, self._index = path, index
        array = _mapped(path)
        image = _pages(array)[index]
        self.shape: tuple[int, int] = image.shape[:2]
        self.channels: int = image.shape[2]
        self.dtype = readable_type(array.dtype, path)

    def read(self, window: Window) -> NDArray[np.generic]:
        image: NDArray[np.generic] = _pages(_mapped(self._path))[self._index]
        return image[window.slices].astype(self.dtype)


class MemoryImage:
    """An (H, W) or (H, W, C) array in memory, of a volume (D, H, W) or (D, H, W, C); `name` stands in messages."""

    spacing: tuple[float, ...] | None = None

    def __init__(self, pixels: NDArray[np.generic], name: Path, axes: int = 2) -> None:
        if pixels.ndim not in (axes, axes + 1) or 0 in pixels.shape:
            space = "H, W" if axes == 2 else "D, H, W"
            raise ImageError(
                f"{name} has shape {pixels.shape}; we take ({space}) or ({space}, C) with at least one pixel."
            )
        self._pixels = pixels if pixels.ndim == axes + 1 else pixels[..., np.newaxis]
        self.shape: tuple[int, ...] = self._pixels.shape[:axes]
        self.channels: int = self._pixels.shape[axes]
        self.dtype = readable_type(pixels.dtype, name)

    def read(self, window: Window) -> NDArray[np.generic]:
        return self._pixels[window.slices].astype(self.dtype)


def numpy_pages(path: Path) -> int:
    """How many images the file holds."""
    return len(_pages(_mapped(path)))


def _mapped(path: Path) -> NDArray[np.generic]:
    try:
        array = open_memmap(path, mode="r")
    except _DAMAGE as error:
        raise ImageError(
            f"{path} cannot be read as a NumPy array: {str(error).rstrip('.')}. We take whole .npy files of numbers; "
            "save it again with numpy.save."
        ) from error
    axes_by_shape(array.shape, path)
    return array


def axes_by_shape(shape: tuple[int, ...], path: Path) -> str:
    """ "yx", "yxc", "zyx" or "zyxc", whose z are images of their own. ImageError for any other shape."""
    colours = len(shape) > 2 and shape[-1] <= _MOST_CHANNELS
    axes = {2: "yx", 3: "yxc" if colours else "zyx", 4: "zyxc" if colours else ""}.get(len(shape))
    if not axes or 0 in shape:
        raise ImageError(
            f"{path} has shape {shape}; we take (H, W), (H, W, C) with C ≤ {_MOST_CHANNELS}, (N, H, W) and "
            f"(N, H, W, C), with at least one pixel. Save it in one of these."
        )
    return axes


def _pages(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """(N, H, W, C), whichever of the accepted shapes came."""
    if array.ndim == 2:
        return array[np.newaxis, :, :, np.newaxis]
    if array.ndim == 4:
        return array
    return array[np.newaxis] if array.shape[-1] <= _MOST_CHANNELS else array[..., np.newaxis]


def readable_type(dtype: np.dtype[np.generic], path: Path) -> np.dtype[np.generic]:
    """The type of the pixels we hand out, in the machine's byte order."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind not in "uif":
        raise ImageError(f"{path} has values of type {dtype}; we take integers, floats and booleans. Convert it first.")
    return dtype.newbyteorder("=")
