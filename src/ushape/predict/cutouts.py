"""Photographs → PNG files of what is salient in them, the rest transparent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ushape.atomic import write_whole
from ushape.errors import ImageError
from ushape.images.source import ImageSource, Page, open_image
from ushape.predict.destination import check_folder, check_names
from ushape.predict.saliency import Saliency
from ushape.predict.tiled import DEFAULT_MEMORY_BYTES

_COMPRESSION = 6  # of zlib, its own default: photographs gain next to nothing from more


@dataclass(frozen=True)
class CutOut:
    """The file of one photograph is complete."""

    page: Page
    path: Path


class CutOuts:
    """All cut-outs of a list of photographs, in one folder, under the photographs' names.

    mask: how salient each pixel is, as an 8-bit grey picture, in place of the photograph with that as its alpha.
    memory_bytes: what a photograph and its cut-out may take, since both are held whole.
    Raises, before anything is computed: ImageError, naming every photograph that cannot be cut out; OutputError where
    results exist (unless `overwrite`), where two photographs would make the same file, or `out` cannot be written.
    """

    def __init__(
        self,
        saliency: Saliency,
        photographs: Sequence[Page],
        out: Path,
        *,
        mask: bool = False,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        overwrite: bool = False,
    ) -> None:
        self.saliency, self.photographs, self.out = saliency, photographs, out
        self.mask, self.memory_bytes = mask, memory_bytes
        self._check_photographs()
        made = {
            path: [self.path(page) for page in pages]
            for path, pages in groupby(photographs, key=lambda page: page.path)
        }
        check_names(made, (), out)
        check_folder(out, made, (), overwrite=overwrite)

    def path(self, page: Page) -> Path:
        return self.out / f"{page.name}.png"

    def events(self) -> Iterator[CutOut]:
        """Cut out, photograph after photograph; each file appears whole or not at all."""
        for page in self.photographs:
            source = open_image(page.path, page.index)
            salient = self.saliency.of(source)
            picture = _as_alpha(salient, np.dtype(np.uint8)) if self.mask else cut_out(source.read(), salient)
            write_whole(self.path(page), bytes(imagecodecs.png_encode(picture, level=_COMPRESSION)))
            yield CutOut(page, self.path(page))

    def _check_photographs(self) -> None:
        faults = []
        for page in self.photographs:
            try:
                source = open_image(page.path, page.index)
                self._check_photograph(source)
                self.saliency.check(source)
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise ImageError("\n".join(faults))

    def _check_photograph(self, source: ImageSource) -> None:
        if source.dtype not in (np.uint8, np.uint16) or source.channels not in (1, 3):
            raise ImageError(
                f"{source.page} has {source.channels} channels of {source.dtype}; photographs have 1 (grey) or 3 of 8 "
                "or 16 bits, as PNG has. Convert it."
            )
        (height, width), itemsize = source.shape, source.dtype.itemsize
        held_twice = source.channels + 4  # the photograph and its cut-out: as decoded and copied, as made and encoded
        needed = height * width * (2 * itemsize * held_twice + self.saliency.bytes_per_pixel)
        if needed > self.memory_bytes:
            raise ImageError(
                f"{source.page} has {height} x {width} pixels, and to cut it out takes about {needed / 2**30:.1f} GiB: "
                f"it is held whole. {self.memory_bytes / 2**30:.1f} GiB are allowed. Allow more with --memory, or make "
                "it smaller."
            )


def cut_out(pixels: NDArray[np.generic], salient: NDArray[np.float32]) -> NDArray[np.generic]:
    """(H, W, 1 or 3) pixels of 8 or 16 bits → (H, W, 4): their own colours, untouched, and saliency as alpha.

    >>> cut_out(np.array([[[7], [8]]], np.uint8), np.array([[0.0, 1.0]], np.float32)).tolist()
    [[[7, 7, 7, 0], [8, 8, 8, 255]]]
    """
    cut = np.empty((*pixels.shape[:2], 4), dtype=pixels.dtype)
    cut[..., :3] = pixels
    cut[..., 3] = _as_alpha(salient, pixels.dtype)
    return cut


def _as_alpha(salient: NDArray[np.float32], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """0 to 1 → 0 to the largest number of the type."""
    largest = np.float32(2 ** (8 * dtype.itemsize) - 1)
    return (salient * largest).round().astype(dtype)
