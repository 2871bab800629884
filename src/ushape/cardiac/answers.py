"""Class maps for the slices of a frame: a network's answers, or masks that are there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ushape.cardiac.frames import Frame
from ushape.data.pair import Pair, listed
from ushape.errors import DataError, ImageError
from ushape.images.source import Page, open_image, read_mask
from ushape.labels import IGNORED, Labels
from ushape.predict.pieces import in_one_piece
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor


class Answers(Protocol):
    """Class maps for images, in numbers of `labels`."""

    labels: Labels

    def check(self, pairs: Sequence[Pair]) -> None:
        """DataError, naming all, for images that there is no answer for."""

    def classes(self, pair: Pair) -> NDArray[np.uint8]:
        """(H, W) of an image."""

    def whole(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(S, H, W) of all slices of a frame → what is made of them as a volume."""


class NetworkAnswers:
    """A network's, found when they are asked for."""

    def __init__(self, predictor: Predictor) -> None:
        self._whole = predictor.one_piece if predictor.pieces_in == "volumes" else ()
        self.predictor = predictor.in_all_pieces() if self._whole else predictor
        self.labels = predictor.trained.labels

    def check(self, pairs: Sequence[Pair]) -> None:
        faults = []
        for pair in pairs:
            try:
                self.predictor.check(open_image(pair.image.path, pair.image.index))
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise DataError("\n".join(faults))

    def classes(self, pair: Pair) -> NDArray[np.uint8]:
        source = open_image(pair.image.path, pair.image.index)
        classes = np.empty(source.shape, dtype=np.uint8)
        for tile in self.predictor.tiles(source):
            classes[tile.window.slices] = tile.classes
        return classes

    def whole(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return in_one_piece(classes, self._whole) if self._whole else classes


class MaskAnswers:
    """Those in a folder of masks, under the names of the images and with the values of the manual masks."""

    def __init__(self, folder: Path, labels: Labels) -> None:
        self.folder, self.labels = folder, labels

    @cached_property
    def _pages(self) -> dict[str, Page]:
        """Every mask by its name, as the folder is when the first one is asked for."""
        return {page.name: page for page in find_images([str(self.folder)])}

    def check(self, pairs: Sequence[Pair]) -> None:
        missing = [pair.name for pair in pairs if pair.name not in self._pages]
        if missing:
            raise DataError(
                f"{self.folder} has no mask for {len(missing)} of {len(pairs)} images: {listed(missing)}. Masks bear "
                "the names of their images; leave images out with --include."
            )
        faults = []
        for pair in pairs:
            shapes = [open_image(page.path, page.index).shape for page in (self._pages[pair.name], pair.image)]
            if shapes[0] != shapes[1]:
                faults.append(
                    f"{self._pages[pair.name]} has {shapes[0][0]} x {shapes[0][1]} pixels, but its image "
                    f"{pair.image} has {shapes[1][0]} x {shapes[1][1]}."
                )
        if faults:
            raise DataError("\n".join(faults))

    def classes(self, pair: Pair) -> NDArray[np.uint8]:
        page: Page = self._pages[pair.name]
        values = read_mask(page.path, page.index, coloured=self.labels.coloured)
        classes = self.labels.encode(values)
        if (classes == IGNORED).any():
            foreign = np.unique(values[classes == IGNORED]).tolist()
            known = ", ".join(map(str, self.labels.values))
            raise DataError(
                f"{page} has the values {listed(map(str, foreign))}, which are none of the manual masks' ({known}). "
                "Save both with the same values."
            )
        return classes

    def whole(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return classes


def stacked(frame: Frame, read: Callable[[Pair], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """(S, H, W): the class maps of a frame's slices; DataError where these differ in size."""
    slices = [read(pair) for pair in frame.pairs]
    if len({one.shape for one in slices}) > 1:
        sizes = ", ".join(sorted({f"{one.shape[0]} x {one.shape[1]}" for one in slices}))
        raise DataError(f"The slices of {frame.name} differ in size: {sizes} pixels. A stack has slices of one size.")
    return np.stack(slices)
