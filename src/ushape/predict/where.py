"""Where to predict: a mask of the same picture in any lower resolution. Outside it all is background.

Tiles that lie outside altogether are never computed. Inside, the answer is that of the whole image in the same tiles:
these see what lies around the mask as ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.source import Page, is_image, open_image, pages
from ushape.images.suffix import stem_of
from ushape.predict.blocks import Blocks

LARGEST_PIXELS = 1 << 28
"""Of a mask, which is held in memory; a smaller copy says as well where to look."""


@dataclass(frozen=True, eq=False)
class Where:
    """The part of one page of this (height, width) that is to be predicted; mask: (h, w), true inside.

    page: the page of a file that the mask was read from, if it was.
    """

    mask: NDArray[np.bool_]
    shape: tuple[int, int]
    page: Page | None = None

    def any(self, window: Window) -> bool:
        """Whether some pixel of a window lies inside.

        >>> Where(np.array([[True, False]]), (4, 8)).any(Window((0, 4), (4, 8)))
        False
        """
        y, x = (slice(rows[0], rows[-1] + 1) for rows in self._indices(window))
        return bool(self.mask[y, x].any())

    def outside(self, window: Window) -> NDArray[np.bool_] | None:
        """(h, w): which pixels of a window lie outside; None where none does."""
        rows, columns = self._indices(window)
        outside: NDArray[np.bool_] = ~self.mask[np.ix_(rows, columns)]
        return outside if outside.any() else None

    def skipped(self, blocks: Blocks) -> float:
        """The share of the page's pixels, 0 to 1, that lie in tiles which are not computed."""
        windows = (tile.keep for number in range(len(blocks)) for tile in blocks.tiles(number))
        left_out = sum(math.prod(window.shape) for window in windows if not self.any(window))
        return left_out / math.prod(self.shape)

    def _indices(self, window: Window) -> list[NDArray[np.intp]]:
        """Of each axis, the pixels of the mask that the window's pixels lie in."""
        spans = zip(window.start, window.stop, self.mask.shape, self.shape, strict=True)
        return [np.arange(start, stop) * small // large for start, stop, small, large in spans]


def where_in(place: Path, images: Sequence[Page]) -> dict[Page, Where]:
    """The mask of each page: of a folder, those under the images' stems; of one file, that file for the only image.

    A stack may have a mask of one page for all of its pages. ImageError, naming every image that has no mask, or one
    that is no smaller copy of it.
    """
    faults, found = [], {}
    masks = {stem_of(file): file for file in place.iterdir() if is_image(file)} if _is_folder(place) else {}
    alone = not masks and len({image.path for image in images}) == 1
    for image in images:
        mask = place if alone else masks.get(stem_of(image.path))
        try:
            if mask is None:
                raise ImageError(f"{image} has no mask in {place} that says where to predict. Add it, or leave it out.")
            found[image] = read_where(_page_for(image, mask), open_image(image.path, image.index).shape)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise ImageError("\n".join(dict.fromkeys(faults)))
    return found


def read_where(mask: Page, shape: tuple[int, int]) -> Where:
    """A mask file for a page of this (height, width): inside is what is not 0. ImageError for one that does not fit."""
    source = open_image(mask.path, mask.index)
    (h, w), (height, width) = source.shape, shape
    if h * w > LARGEST_PIXELS:
        raise ImageError(
            f"{mask} has {h} x {w} pixels; a mask of where to predict is held in memory, and we stop at "
            f"{LARGEST_PIXELS >> 20} megapixels. Give a smaller copy."
        )
    if not _is_smaller_copy((h, w), shape):
        raise ImageError(
            f"{mask} has {h} x {w} pixels, and the image {height} x {width}, which is not the same picture in another "
            "size. A mask of where to predict has the image's size divided by one number, such as "
            f"{-(-height // 16)} x {-(-width // 16)}."
        )
    return Where(np.asarray((source.read() != 0).any(axis=-1)), shape, mask)


def _is_smaller_copy(small: tuple[int, int], large: tuple[int, int]) -> bool:
    """Whether one factor leads from large to small, along both axes, but for a pixel's rounding."""
    if any(few > many for few, many in zip(small, large, strict=True)):
        return False
    least = max(many / (few + 1) for few, many in zip(small, large, strict=True))
    most = min(many / (few - 1) if few > 1 else math.inf for few, many in zip(small, large, strict=True))
    return least < most


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not is_image(place)


def _page_for(image: Page, mask: Path) -> Page:
    every = pages(mask)
    if len(every) not in (1, image.pages):
        raise ImageError(
            f"{mask} has {len(every)} pages, and {image.path} {image.pages}. Give a mask of one page, or one for each."
        )
    return every[image.index if len(every) > 1 else 0]
