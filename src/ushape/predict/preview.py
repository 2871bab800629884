"""A rough answer for a large image before the whole: that for a smaller copy of it.

The network was trained on pixels of another size, so that a preview says whether it sees anything sensible, and where,
not how good the mask will be. Objects are not told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ushape.atomic import check_place, replacing
from ushape.geometry.tiles import Window
from ushape.images.array import MemoryImage
from ushape.images.level import smaller_copy
from ushape.images.sink import create_mask
from ushape.images.source import ImageSource, Page, open_image
from ushape.predict.destination import make_folder
from ushape.predict.overlay import overlay
from ushape.predict.tiled import Predictor

LARGEST_SIDE = 2048
"""Of a preview, in pixels; a smaller image has none, as its mask is there as soon."""


@dataclass(frozen=True)
class Previewed:
    """The preview of a page is there: a mask of it, and that over the image; each of its pixels stands for factor²."""

    page: Page
    paths: tuple[Path, Path]
    factor: float


class Previews:
    """Previews of those of the pages that are large, beside their masks: STEM_preview.tif and STEM_preview.png.

    OutputError, before anything is computed, where some are there already, unless `overwrite`.
    """

    def __init__(self, predictor: Predictor, pages: Sequence[Page], out: Path, *, overwrite: bool = False) -> None:
        self._predictor, self._out = predictor, out
        sources = [open_image(page.path, page.index) for page in pages]
        self._sources = [source for source in sources if max(source.shape) > LARGEST_SIDE]
        make_folder(out)
        for source in self._sources:
            for path in self.paths(source.page):
                check_place(path, overwrite=overwrite)

    def paths(self, page: Page) -> tuple[Path, Path]:
        """Of the mask, and of the picture."""
        return self._out / f"{page.name}_preview.tif", self._out / f"{page.name}_preview.png"

    def events(self) -> Iterator[Previewed]:
        """One after another."""
        labels = self._predictor.trained.labels
        for source in self._sources:
            pixels = shrunken(source)
            small = ImageSource(source.page, MemoryImage(pixels, source.path))
            classes, _ = self._predictor.whole(small)
            mask, picture = self.paths(source.page)
            values = labels.decode(classes)
            channels = 3 if labels.coloured else 1
            with create_mask(mask, small.shape, labels.mask_dtype, channels=channels, overwrite=True) as sink:
                sink.write(Window.whole(small.shape), values)
            with replacing(picture) as temporary:
                Image.fromarray(overlay(pixels, classes, labels)).save(temporary, format="PNG")
            yield Previewed(source.page, (mask, picture), max(source.shape) / max(small.shape))


def shrunken(source: ImageSource, largest_side: int = LARGEST_SIDE) -> NDArray[np.generic]:
    """(h, w, C) pixels of an image, no side longer than this: a copy that its file holds, or else every n-th pixel."""
    copy = smaller_copy(source, largest_side)
    if copy is not None:
        return copy
    step = -(-max(source.shape) // largest_side)
    height, width = source.shape
    rows = [source.read(Window((top, 0), (top + 1, width)))[:, ::step] for top in range(0, height, step)]
    return np.concatenate(rows)
