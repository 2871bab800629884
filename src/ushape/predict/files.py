"""Image files → mask files, one for each, under the image's stem; and whatever else is wanted beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from ushape.atomic import replacing
from ushape.errors import ImageError, OutputError
from ushape.geometry.tiles import Window
from ushape.images.sink import MaskSink, create_mask
from ushape.images.source import ImageSource, Page, open_image
from ushape.images.stack import MaskStack, StackPage
from ushape.labels import Labels
from ushape.predict.destination import check_folder, check_names
from ushape.predict.formats import Collected, FormatName, Formats
from ushape.predict.object_map import ObjectMap
from ushape.predict.picture import Picture
from ushape.predict.tiled import Predicted, Predictor

_LARGEST_PNG = 64 * 2**20  # pixels: beyond, a mask goes to TIFF, which needs no memory


@dataclass(frozen=True)
class TileDone:
    """Progress within one image; doing: what else than a tile goes on."""

    page: Page
    done: int
    total: int
    doing: str = ""


@dataclass(frozen=True)
class MaskWritten:
    """All files of one image (of one whole stack) are complete."""

    page: Page
    paths: tuple[Path, ...]


class Sink(Protocol):
    """Where the windows of one picture go."""

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None: ...


OpenMask = Callable[[DTypeLike], Sink]
"""Opens the mask of an image, once it is known how large the numbers are that it must hold."""


class ReadsObjects(Protocol):
    """Who wants to know the objects too."""

    def add_objects(self, window: Window, numbers: NDArray[np.unsignedinteger]) -> None: ...


class Job:
    """All masks of a list of images, into one folder; of a network that tells objects apart, their object maps.

    probability: also float32 TIFFs of each foreground class. overlay: also a PNG of the mask over the image.
    formats: also what other programs read; each image's maps are then held in memory whole.
    Raises, before anything is computed: ImageError, naming every image that the network cannot take; OutputError where
    results exist (unless `overwrite`), where two images would make the same file, or where `out` cannot be written.
    """

    def __init__(
        self,
        predictor: Predictor,
        images: list[Page],
        out: Path,
        *,
        probability: bool = False,
        overlay: bool = False,
        formats: Collection[FormatName] = (),
        overwrite: bool = False,
    ) -> None:
        self.predictor, self.out, self.rule = predictor, out, predictor.trained.object_rule
        self.probability, self.overlay, self.overwrite = probability, overlay, overwrite
        self.files = [list(group) for _, group in groupby(images, key=lambda page: page.path)]
        self.formats = Formats(
            formats, self.files, out, self._labels, objects=self.rule is not None, overwrite=overwrite
        )
        self._check_images()
        made = {file[0].path: self._made_of(file) for file in self.files}
        check_names(made, self.formats.together.values(), out)
        check_folder(out, made, self.formats.together.values(), overwrite=overwrite)

    def events(self) -> Iterator[TileDone | MaskWritten]:
        """Predict, image after image; each file appears whole or not at all, `formats.together` at the end."""
        with self.formats.opened():
            for file in self.files:
                yield from self._stack(file) if len(file) > 1 else self._image(file[0])
                yield MaskWritten(file[0], tuple(self._made_of(file)))

    def paths(self, page: Page) -> dict[str, Path]:
        """The files made of an image: "mask", then "probability CLASS" and "overlay" where wanted."""
        made = {"mask": self.out / f"{page.path.stem}{self._mask_suffix(page)}"}
        for k in self._wanted():
            made[f"probability {k}"] = self.out / f"{page.path.stem}_probability{_of_class(self._labels, k)}.tif"
        if self.overlay:
            made["overlay"] = self.out / f"{page.name}_overlay.png"
        return made

    def _made_of(self, file: list[Page]) -> list[Path]:
        """Every file of an image or stack, those that a stack shares once."""
        every = [path for page in file for path in self.paths(page).values()]
        return list(dict.fromkeys([*every, *self.formats.paths(file)]))

    def _image(self, page: Page) -> Iterator[TileDone]:
        source, paths = open_image(page.path, page.index), self.paths(page)

        def sink(path: Path, what: str, dtype: DTypeLike, channels: int = 1) -> MaskSink:
            return create_mask(
                path,
                source.shape,
                dtype,
                channels=channels,
                spacing=source.spacing,
                description=self._description(what, page),
                overwrite=self.overwrite,
            )

        with ExitStack() as masks, ExitStack() as files:  # the mask is the last to take its name
            files.enter_context(self.formats.of([page]))
            probabilities = {
                k: files.enter_context(sink(paths[f"probability {k}"], self._probability_of(k), np.float32))
                for k in self._wanted()
            }
            picture = files.enter_context(replacing(paths["overlay"])) if self.overlay else None

            def open_mask(dtype: DTypeLike) -> Sink:
                return masks.enter_context(sink(paths["mask"], "mask", dtype, self._channels))

            yield from self._fill(page, source, open_mask, probabilities, picture)

    def _stack(self, file: list[Page]) -> Iterator[TileDone]:
        paths = self.paths(file[0])
        with ExitStack() as files:
            masks = files.enter_context(MaskStack(paths["mask"], overwrite=self.overwrite))
            files.enter_context(self.formats.of(file))
            maps = {
                k: files.enter_context(MaskStack(paths[f"probability {k}"], overwrite=self.overwrite))
                for k in self._wanted()
            }
            for page in file:
                picture = files.enter_context(replacing(self.paths(page)["overlay"])) if self.overlay else None
                yield from self._page(page, masks, maps, picture)

    def _page(
        self, page: Page, masks: MaskStack, maps: Mapping[int, MaskStack], picture: Path | None
    ) -> Iterator[TileDone]:
        source = open_image(page.path, page.index)

        def sink(stack: MaskStack, what: str, dtype: DTypeLike, channels: int = 1) -> StackPage:
            if self.rule and dtype == np.uint32:
                raise OutputError(
                    f"{page} has more than 65,535 objects, which the 16 bits of a stack's pages cannot number. "
                    "Save its pages as single images."
                )
            about = self._description(what, page)
            return stack.page(source.shape, dtype, channels=channels, spacing=source.spacing, description=about)

        with ExitStack() as sinks:
            probabilities = {
                k: sinks.enter_context(sink(maps[k], self._probability_of(k), np.float32)) for k in self._wanted()
            }

            def open_mask(dtype: DTypeLike) -> Sink:
                return sinks.enter_context(sink(masks, "mask", dtype, self._channels))

            yield from self._fill(page, source, open_mask, probabilities, picture)

    def _fill(
        self,
        page: Page,
        source: ImageSource,
        open_mask: OpenMask,
        probabilities: Mapping[int, Sink],
        picture: Path | None,
    ) -> Iterator[TileDone]:
        shown = Picture(source) if picture is not None else None
        collected = Collected(source.shape) if self.formats.names else None

        def tiles() -> Iterator[Predicted]:
            for tile in self.predictor.tiles(source):
                for k, sink in probabilities.items():
                    sink.write(tile.window, tile.probability[k])
                for reader in (shown, collected):
                    if reader is not None:
                        reader.add(tile)
                yield tile

        readers = [reader for reader in (shown, collected) if reader is not None]
        yield from (
            self._objects(page, source, tiles(), open_mask, readers)
            if self.rule
            else self._classes(page, tiles(), open_mask)
        )
        if shown is not None and picture is not None:
            Image.fromarray(shown.drawn(self._labels)).save(picture, format="PNG")
        if collected is not None:
            self.formats.add(page, collected)

    def _classes(self, page: Page, tiles: Iterator[Predicted], open_mask: OpenMask) -> Iterator[TileDone]:
        mask = open_mask(self._labels.mask_dtype)
        for tile in tiles:
            mask.write(tile.window, self._labels.decode(tile.classes))
            yield TileDone(page, tile.done, tile.total)

    def _objects(
        self,
        page: Page,
        source: ImageSource,
        tiles: Iterator[Predicted],
        open_mask: OpenMask,
        readers: Sequence[ReadsObjects],
    ) -> Iterator[TileDone]:
        assert self.rule is not None
        memory = self.predictor.memory_bytes
        with ObjectMap(self.paths(page)["mask"], source.shape, self.rule, memory_bytes=memory) as found:
            total = 0
            for tile in tiles:
                found.write(tile.window, tile.probability[1])
                total = tile.total + 1  # to find the objects is the last step
                yield TileDone(page, tile.done, total)
            for step in found.find():
                yield TileDone(page, total - 1, total, f"finding objects: {step.step} {step.done / step.total:.0%}")
            mask = open_mask(found.dtype)
            for window, numbers in found.windows():
                mask.write(window, numbers)
                for reader in readers:
                    reader.add_objects(window, numbers)
        yield TileDone(page, total, total)

    @property
    def _labels(self) -> Labels:
        return self.predictor.trained.labels

    def _wanted(self) -> range:
        """The classes whose probability is written."""
        return self._labels.foreground if self.probability else range(0)

    @property
    def _channels(self) -> int:
        return 3 if self._labels.coloured and not self.rule else 1

    def _mask_suffix(self, page: Page) -> str:
        if self.rule:
            return ".tif"
        small = self._largest[page.path] <= _LARGEST_PNG and self._labels.mask_dtype in (np.uint8, np.uint16)
        return ".png" if small and page.path.suffix.lower() not in (".tif", ".tiff", ".npy") else ".tif"

    def _probability_of(self, k: int) -> str:
        return f"probability of {self._labels.names[k]}"

    def _description(self, what: str, page: Page) -> str:
        about = f"{what} in {page.name} by ushape {self.predictor.trained.recipe.model.name}"
        return about.encode("utf-8", "replace").decode()  # names of files may hold bytes that are no text

    def _check_images(self) -> None:
        """Notes the pixels of each file, which decide how its mask is stored."""
        self._largest: dict[Path, int] = {}
        faults = []
        for file in self.files:
            try:
                for page in file:
                    source = open_image(page.path, page.index)
                    self.predictor.check(source)
                    self._largest[page.path] = max(source.shape[0] * source.shape[1], self._largest.get(page.path, 0))
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise ImageError("\n".join(faults))


def _of_class(labels: Labels, number: int) -> str:
    """What tells the file of one class from those of others: nothing where there is only one."""
    if labels.classes == 2:
        return ""
    names = ["".join(c if c.isalnum() else "-" for c in name) for name in labels.names]
    alone = [name.casefold() for name in names].count(names[number].casefold()) == 1
    return f"_{names[number]}" if alone else f"_{names[number]}-{number}"
