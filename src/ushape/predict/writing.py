"""The files of one image or stack: its mask, and whatever else is wanted beside, from the answers for its pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from ushape.atomic import replacing
from ushape.geometry.tiles import Window
from ushape.images.sink import MaskSink, create_mask
from ushape.images.source import Page, open_image
from ushape.labels import Labels
from ushape.object_rule import ObjectRule
from ushape.predict.answer import Answer
from ushape.predict.damage import Readable
from ushape.predict.formats import Formats
from ushape.predict.maps import NumberMap
from ushape.predict.object_map import ObjectMap
from ushape.predict.picture import Picture
from ushape.predict.predicted import Predicted
from ushape.predict.storage import PAGED, Content, Form, PagedMask, Sink, open_page, open_pages
from ushape.predict.tiled import Predictor


@dataclass(frozen=True)
class TileDone:
    """Progress within one image: so many tiles, or rows, of all; doing: what else than that goes on."""

    page: Page
    done: int
    total: int
    doing: str = ""
    unit: str = "tiles"


@dataclass(frozen=True)
class MaskWritten:
    """All files of one image (of one whole stack) are complete.

    expected_dice: of each page by its name, from the network's own probabilities (metrics/trust.py); NaN where a mask
    has no foreground. damage: what of the image could not be read, so that nothing is known of the mask there.
    skipped: the share of its pixels, 0 to 1, in tiles that were not computed, where not all was to be predicted.
    before: whether it was complete before, and this prediction went on from there. mended: what it changed that regions
    are in one piece through a volume.
    """

    page: Page
    paths: tuple[Path, ...]
    expected_dice: Mapping[str, float]
    damage: tuple[str, ...] = ()
    skipped: float | None = None
    before: bool = False
    mended: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a Dice that is not defined is None."""
        expected = {name: None if math.isnan(dice) else dice for name, dice in self.expected_dice.items()}
        files = [str(path) for path in self.paths]
        told = {"image": str(self.page.path), "files": files, "expected_dice": expected, "damage": [*self.damage]}
        told |= {"mended": [*self.mended]}
        return told if self.skipped is None else {**told, "skipped": self.skipped}


OpenMask = Callable[[DTypeLike], Sink]
"""Opens the mask of an image, once it is known how large the numbers are that it must hold."""


class ReadsObjects(Protocol):
    """Who wants to know the objects too."""

    def add_objects(self, window: Window, numbers: NDArray[np.unsignedinteger]) -> None: ...


@dataclass
class Writing:
    """The files of one image or stack, in a folder.

    names: of a page's files, by what they are ("mask", the endings of maps, "overlay"). expected_dice, damage: as in
    MaskWritten, known at the end.
    """

    predictor: Predictor
    form: Form
    names: Callable[[Page], Mapping[str, str]]
    folder: Path
    maps: Sequence[NumberMap]
    formats: Formats
    overlay: bool
    overwrite: bool
    expected_dice: dict[str, float] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)

    def events(self, file: Sequence[Page], answer_for: Callable[[Page], Answer]) -> Iterator[TileDone]:
        """Write them from the answers for its pages; each file appears whole or not at all."""
        if self.form in PAGED:
            yield from self._stack(file, answer_for)
        else:
            yield from self._image(file[0], answer_for(file[0]))

    def paths(self, page: Page) -> dict[str, Path]:
        """A page's files."""
        return {what: self.folder / name for what, name in self.names(page).items()}

    def _image(self, page: Page, answer: Answer) -> Iterator[TileDone]:
        source, paths = answer.readable.source, self.paths(page)

        def sink(path: Path, content: Content, dtype: DTypeLike) -> MaskSink:
            return create_mask(
                path,
                source.shape,
                dtype,
                channels=content.channels,
                spacing=source.spacing,
                description=content.what,
                pyramid=self.form == "ome-tiff",
                overwrite=self.overwrite,
            )

        with ExitStack() as masks, ExitStack() as files:  # the mask is the last to take its name
            files.enter_context(self.formats.of([page], self.folder))
            maps = {
                each: files.enter_context(sink(paths[each.ending], self._map(each, page), np.float32))
                for each in self.maps
            }
            picture = files.enter_context(replacing(paths["overlay"])) if self.overlay else None

            def open_mask(dtype: DTypeLike) -> Sink:
                return masks.enter_context(sink(paths["mask"], self._mask(page), dtype))

            yield from self._fill(page, answer, open_mask, maps, picture)

    def _stack(self, file: Sequence[Page], answer_for: Callable[[Page], Answer]) -> Iterator[TileDone]:
        paths, source = self.paths(file[0]), open_image(file[0].path, file[0].index)

        def pages_in(path: Path, content: Content) -> AbstractContextManager[PagedMask]:
            return open_pages(self.form, path, file, source, content, overwrite=self.overwrite)

        with ExitStack() as files:
            masks = files.enter_context(pages_in(paths["mask"], self._mask(file[0])))
            files.enter_context(self.formats.of(file, self.folder))
            maps = {
                each: files.enter_context(pages_in(paths[each.ending], self._map(each, file[0]))) for each in self.maps
            }
            for page in file:
                picture = files.enter_context(replacing(self.paths(page)["overlay"])) if self.overlay else None
                yield from self._page(page, answer_for(page), masks, maps, picture)

    def _page(
        self,
        page: Page,
        answer: Answer,
        masks: PagedMask,
        stacks: Mapping[NumberMap, PagedMask],
        picture: Path | None,
    ) -> Iterator[TileDone]:
        source = answer.readable.source
        with ExitStack() as sinks:
            maps = {
                each: sinks.enter_context(open_page(stacks[each], page, source, np.float32, self._map(each, page)))
                for each in self.maps
            }

            def open_mask(dtype: DTypeLike) -> Sink:
                return sinks.enter_context(open_page(masks, page, source, dtype, self._mask(page)))

            yield from self._fill(page, answer, open_mask, maps, picture)

    def _fill(
        self,
        page: Page,
        answer: Answer,
        open_mask: OpenMask,
        maps: Mapping[NumberMap, Sink],
        picture: Path | None,
    ) -> Iterator[TileDone]:
        readable = answer.readable
        shown = Picture(readable.source) if picture is not None else None
        collected = self.formats.collected(readable.source.shape)
        readers = [reader for reader in (shown, collected) if reader is not None]

        def tiles() -> Iterator[Predicted]:
            for tile in answer.parts(pixels=shown is not None):
                for each, sink in maps.items():
                    sink.write(tile.window, readable.marked(tile.window, each.values(tile, self._labels), np.nan))
                for reader in readers:
                    reader.add(tile)
                yield tile
            self.expected_dice[page.name] = answer.expected.dice
            self.damage += readable.faults

        rule = self.predictor.trained.object_rule
        yield from (
            self._objects(page, readable, tiles(), open_mask, readers, rule)
            if rule
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
            yield TileDone(page, tile.done, tile.total, unit=tile.unit)

    def _objects(
        self,
        page: Page,
        readable: Readable,
        tiles: Iterator[Predicted],
        open_mask: OpenMask,
        readers: Sequence[ReadsObjects],
        rule: ObjectRule,
    ) -> Iterator[TileDone]:
        memory = self.predictor.memory_bytes
        with ObjectMap(self.paths(page)["mask"], readable.source.shape, rule, memory_bytes=memory) as found:
            total = 0
            for tile in tiles:
                found.write(tile.window, tile.probability[1])
                total = tile.total + 1  # to find the objects is the last step
                yield TileDone(page, tile.done, total, unit=tile.unit)
            for step in found.find():
                yield TileDone(page, total - 1, total, f"finding objects: {step.step} {step.done / step.total:.0%}")
            mask = open_mask(found.dtype)
            for window, found_numbers in found.windows():
                numbers = readable.marked(window, found_numbers, 0)  # holes are filled and objects grow
                mask.write(window, numbers)
                for reader in readers:
                    reader.add_objects(window, numbers)
        yield TileDone(page, total, total)

    @property
    def _labels(self) -> Labels:
        return self.predictor.trained.labels

    @property
    def _channels(self) -> int:
        return 3 if self._labels.coloured and self.predictor.trained.object_rule is None else 1

    def _mask(self, page: Page) -> Content:
        about = self._description("mask", page)
        objects = self.predictor.trained.object_rule is not None
        return Content(about, self._labels.mask_dtype, self._channels, label=True, objects=objects)

    def _map(self, each: NumberMap, page: Page) -> Content:
        return Content(self._description(each.what, page), np.dtype(np.float32))

    def _description(self, what: str, page: Page) -> str:
        about = f"{what} in {page.name} by ushape {self.predictor.trained.recipe.model.name}"
        return about.encode("utf-8", "replace").decode()  # names of files may hold bytes that are no text
