"""Image files → mask files, one for each, under the image's stem; and whatever else is wanted beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from ushape.atomic import replacing
from ushape.errors import ImageError, RecipeError
from ushape.freed_memory import keeping_freed_memory
from ushape.geometry.tiles import Window
from ushape.images.sink import MaskSink, create_mask
from ushape.images.source import ImageSource, Page, source_of
from ushape.images.suffix import stem_of
from ushape.labels import Labels
from ushape.metrics.trust import ExpectedDice
from ushape.predict.damage import Readable
from ushape.predict.destination import check_folder, check_names
from ushape.predict.formats import Collected, FormatName, Formats
from ushape.predict.maps import NumberMap, maps_of
from ushape.predict.object_map import ObjectMap
from ushape.predict.picture import Picture
from ushape.predict.storage import (
    PAGED,
    Content,
    Form,
    MaskFormat,
    PagedMask,
    Sink,
    form_of,
    open_page,
    open_pages,
    suffix_for,
)
from ushape.predict.tiled import Predicted, Predictor


@dataclass(frozen=True)
class TileDone:
    """Progress within one image; doing: what else than a tile goes on."""

    page: Page
    done: int
    total: int
    doing: str = ""


@dataclass(frozen=True)
class MaskWritten:
    """All files of one image (of one whole stack) are complete.

    expected_dice: of each page by its name, from the network's own probabilities (metrics/trust.py); NaN where a mask
    has no foreground. damage: what of the image could not be read, so that nothing is known of the mask there.
    """

    page: Page
    paths: tuple[Path, ...]
    expected_dice: Mapping[str, float]
    damage: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For JSON; a Dice that is not defined is None."""
        expected = {name: None if math.isnan(dice) else dice for name, dice in self.expected_dice.items()}
        files = [str(path) for path in self.paths]
        return {"image": str(self.page.path), "files": files, "expected_dice": expected, "damage": [*self.damage]}


OpenMask = Callable[[DTypeLike], Sink]
"""Opens the mask of an image, once it is known how large the numbers are that it must hold."""


class ReadsObjects(Protocol):
    """Who wants to know the objects too."""

    def add_objects(self, window: Window, numbers: NDArray[np.unsignedinteger]) -> None: ...


class Job:
    """All masks of a list of images, into one folder; of a network that tells objects apart, their object maps.

    probability: also float32 TIFFs of each foreground class. uncertainty: also one of where not to trust the mask.
    overlay: also a PNG of the mask over the image.
    formats: also what other programs read; each image's maps are then held in memory whole.
    mask_format: the kind of file for masks and maps, in place of the one that suits the image (storage.py).
    Raises, before anything is computed: RecipeError for what is not made of volumes; ImageError, naming every image
    that the network cannot take; OutputError where results exist (unless `overwrite`), where two images would make the
    same file, or where `out` cannot be written.
    """

    def __init__(
        self,
        predictor: Predictor,
        images: list[Page],
        out: Path,
        *,
        probability: bool = False,
        uncertainty: bool = False,
        overlay: bool = False,
        formats: Collection[FormatName] = (),
        mask_format: MaskFormat = "auto",
        overwrite: bool = False,
    ) -> None:
        self.predictor, self.out, self.rule = predictor, out, predictor.trained.object_rule
        self.overlay, self.mask_format, self.overwrite = overlay, mask_format, overwrite
        self.maps = tuple(maps_of(self._labels, probability=probability, uncertainty=uncertainty))
        self._check_axes(formats)
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
        with keeping_freed_memory(), self.formats.opened():
            for file in self.files:
                self._expected: dict[str, float] = {}
                self._damage: list[str] = []
                paged = self._form[file[0].path] in PAGED
                yield from self._stack(file) if paged else self._image(file[0])
                yield MaskWritten(file[0], tuple(self._made_of(file)), self._expected, tuple(self._damage))

    def paths(self, page: Page) -> dict[str, Path]:
        """The files made of an image: "mask", then its maps by the ends of their names, and "overlay", where wanted."""
        stem, suffix = stem_of(page.path), suffix_for(self._form[page.path], page.path)
        made = {"mask": self.out / f"{stem}{suffix}"}
        for each in self.maps:
            made[each.ending] = self.out / f"{stem}{each.ending}{suffix.replace('.png', '.tif')}"
        if self.overlay:
            made["overlay"] = self.out / f"{page.name}_overlay.png"
        return made

    def _made_of(self, file: list[Page]) -> list[Path]:
        """Every file of an image or stack, those that a stack shares once."""
        every = [path for page in file for path in self.paths(page).values()]
        return list(dict.fromkeys([*every, *self.formats.paths(file)]))

    def _image(self, page: Page) -> Iterator[TileDone]:
        source, paths = source_of(page), self.paths(page)

        def sink(path: Path, content: Content, dtype: DTypeLike) -> MaskSink:
            return create_mask(
                path,
                source.plane_shape,
                dtype,
                channels=content.channels,
                spacing=source.plane_spacing,
                description=content.what,
                pyramid=self._form[page.path] == "ome-tiff",
                overwrite=self.overwrite,
            )

        with ExitStack() as masks, ExitStack() as files:  # the mask is the last to take its name
            files.enter_context(self.formats.of([page]))
            maps = {
                each: files.enter_context(sink(paths[each.ending], self._map(each, page), np.float32))
                for each in self.maps
            }
            picture = files.enter_context(replacing(paths["overlay"])) if self.overlay else None

            def open_mask(dtype: DTypeLike) -> Sink:
                return masks.enter_context(sink(paths["mask"], self._mask(page), dtype))

            yield from self._fill(page, source, open_mask, maps, picture)

    def _stack(self, file: list[Page]) -> Iterator[TileDone]:
        paths, source = self.paths(file[0]), source_of(file[0])

        def pages_in(path: Path, content: Content) -> AbstractContextManager[PagedMask]:
            return open_pages(self._form[source.page.path], path, file, source, content, overwrite=self.overwrite)

        with ExitStack() as files:
            masks = files.enter_context(pages_in(paths["mask"], self._mask(file[0])))
            files.enter_context(self.formats.of(file))
            maps = {
                each: files.enter_context(pages_in(paths[each.ending], self._map(each, file[0]))) for each in self.maps
            }
            for page in file:
                picture = files.enter_context(replacing(self.paths(page)["overlay"])) if self.overlay else None
                yield from self._page(page, masks, maps, picture)

    def _page(
        self, page: Page, masks: PagedMask, stacks: Mapping[NumberMap, PagedMask], picture: Path | None
    ) -> Iterator[TileDone]:
        source = source_of(page)
        with ExitStack() as sinks:
            maps = {
                each: sinks.enter_context(open_page(stacks[each], page, source, np.float32, self._map(each, page)))
                for each in self.maps
            }

            def open_mask(dtype: DTypeLike) -> Sink:
                return sinks.enter_context(open_page(masks, page, source, dtype, self._mask(page)))

            yield from self._fill(page, source, open_mask, maps, picture)

    def _fill(
        self,
        page: Page,
        source: ImageSource,
        open_mask: OpenMask,
        maps: Mapping[NumberMap, Sink],
        picture: Path | None,
    ) -> Iterator[TileDone]:
        shown = Picture(source) if picture is not None else None
        collected = Collected(source.shape) if self.formats.names else None
        readable = Readable(source, [footprint.margin for footprint in self.predictor.footprints])

        def tiles() -> Iterator[Predicted]:
            expected = ExpectedDice.none(self._labels.classes)
            for answer in self.predictor.tiles(readable.source):
                tile = readable.cleared(answer)
                expected += ExpectedDice.of(tile.classes, tile.probability)
                for each, sink in maps.items():
                    sink.write(tile.window, readable.marked(tile.window, each.values(tile, self._labels), np.nan))
                for reader in (shown, collected):
                    if reader is not None:
                        reader.add(tile)
                yield tile
            self._expected[page.name] = expected.dice
            self._damage += readable.faults

        readers = [reader for reader in (shown, collected) if reader is not None]
        yield from (
            self._objects(page, readable, tiles(), open_mask, readers)
            if self.rule
            else self._classes(page, tiles(), open_mask, readable)
        )
        if shown is not None and picture is not None:
            Image.fromarray(shown.drawn(self._labels)).save(picture, format="PNG")
        if collected is not None:
            self.formats.add(page, collected)

    def _classes(
        self, page: Page, tiles: Iterator[Predicted], open_mask: OpenMask, readable: Readable
    ) -> Iterator[TileDone]:
        mask = open_mask(self._labels.mask_dtype)
        for tile in tiles:
            values = self._labels.decode(tile.classes)
            mask.write(tile.window, readable.marked(tile.window, values, self._labels.unknown))
            yield TileDone(page, tile.done, tile.total)

    def _objects(
        self,
        page: Page,
        readable: Readable,
        tiles: Iterator[Predicted],
        open_mask: OpenMask,
        readers: Sequence[ReadsObjects],
    ) -> Iterator[TileDone]:
        assert self.rule is not None
        memory = self.predictor.memory_bytes
        with ObjectMap(self.paths(page)["mask"], readable.source.plane_shape, self.rule, memory_bytes=memory) as found:
            total = 0
            for tile in tiles:
                found.write(tile.window, tile.probability[1])
                total = tile.total + 1  # to find the objects is the last step
                yield TileDone(page, tile.done, total)
            for step in found.find():
                yield TileDone(page, total - 1, total, f"finding objects: {step.step} {step.done / step.total:.0%}")
            mask = open_mask(found.dtype)
            for window, found_numbers in found.windows():
                numbers = readable.marked(window, found_numbers, 0)  # holes are filled and objects grow
                mask.write(window, numbers)
                for reader in readers:
                    reader.add_objects(window, numbers)
        yield TileDone(page, total, total)

    def _check_axes(self, formats: Collection[FormatName]) -> None:
        """RecipeError for what is not made of volumes yet."""
        asked = {"--overlay": self.overlay, f"--format {','.join(formats)}": bool(formats), "objects": bool(self.rule)}
        wanted = [name for name, is_asked in asked.items() if is_asked]
        if self.predictor.axes == 3 and wanted:
            raise RecipeError(
                f"Of volumes there are masks and maps, and no {' and no '.join(wanted)} yet. Leave that out."
            )

    @property
    def _labels(self) -> Labels:
        return self.predictor.trained.labels

    @property
    def _channels(self) -> int:
        return 3 if self._labels.coloured and not self.rule else 1

    def _mask(self, page: Page) -> Content:
        about = self._description("mask", page)
        return Content(about, self._labels.mask_dtype, self._channels, label=True, objects=self.rule is not None)

    def _map(self, each: NumberMap, page: Page) -> Content:
        return Content(self._description(each.what, page), np.dtype(np.float32))

    def _description(self, what: str, page: Page) -> str:
        about = f"{what} in {page.name} by ushape {self.predictor.trained.recipe.model.name}"
        return about.encode("utf-8", "replace").decode()  # names of files may hold bytes that are no text

    def _check_images(self) -> None:
        """Notes how the mask of each file is stored, which depends on how large it is."""
        self._form: dict[Path, Form] = {}
        png = self.rule is None and self._labels.mask_dtype in (np.uint8, np.uint16)
        faults = []
        for file in self.files:
            try:
                sources = [source_of(page) for page in file]
                for source in sources:
                    self.predictor.check(source)
                largest = max(math.prod(source.plane_shape) for source in sources)
                count = sum(math.prod(source.shape[:-2]) for source in sources)
                self._form[file[0].path] = form_of(
                    file[0], count, largest, self.mask_format, png=png, grid=self._channels == 1
                )
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise ImageError("\n".join(faults))
