"""Image files → mask files: a folder, a file, a pattern or a stack in; a mask per image out, under the image's stem."""

from __future__ import annotations

import glob
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from ushape.atomic import output_error, replacing
from ushape.errors import ImageError, OutputError
from ushape.geometry.tiles import Window
from ushape.images.sink import MaskSink, create_mask
from ushape.images.source import SUFFIXES, ImageSource, Page, open_image, pages
from ushape.images.stack import MaskStack, StackPage
from ushape.labels import Labels
from ushape.predict.picture import Picture
from ushape.predict.tiled import Predictor

_LARGEST_PNG = 64 * 2**20  # pixels: beyond, a mask goes to TIFF, which needs no memory


@dataclass(frozen=True)
class TileDone:
    """Progress within one image."""

    page: Page
    done: int
    total: int


@dataclass(frozen=True)
class MaskWritten:
    """All files of one image (of one whole stack) are complete."""

    page: Page
    paths: tuple[Path, ...]


class Sink(Protocol):
    """Where the windows of one picture go."""

    def write(self, window: Window, pixels: NDArray[np.generic]) -> None: ...


def find_images(places: Iterable[str]) -> list[Page]:
    """The images of folders, files and patterns (`*.tif`), every page of a stack, in the order of their names.

    Raises ImageError, naming every place that holds none and every file that cannot be opened.
    """
    faults: list[str] = []
    files: dict[str, Path] = {}  # by absolute path: what two places share is predicted once
    for place in places:
        try:
            files |= {os.path.abspath(file): file for file in _files_in(place)}
        except ImageError as error:
            faults.append(str(error))
    found: list[Page] = []
    for file in files.values():
        try:
            open_image(file)
            found += pages(file)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise ImageError("\n".join(faults))
    return found


class Job:
    """All masks of a list of images, into one folder.

    probability: also float32 TIFFs of each foreground class. overlay: also a PNG of the mask over the image.
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
        overwrite: bool = False,
    ) -> None:
        self.predictor, self.out = predictor, out
        self.probability, self.overlay, self.overwrite = probability, overlay, overwrite
        self.files = [list(group) for _, group in groupby(images, key=lambda page: page.path)]
        self._check_images()
        self._check_names()
        self._check_place()

    def events(self) -> Iterator[TileDone | MaskWritten]:
        """Predict, image after image; each file appears whole or not at all."""
        for file in self.files:
            yield from self._stack(file) if len(file) > 1 else self._image(file[0])

    def paths(self, page: Page) -> dict[str, Path]:
        """The files made of an image: "mask", then "probability CLASS" and "overlay" where wanted."""
        made = {"mask": self.out / f"{page.path.stem}{self._mask_suffix(page)}"}
        for k in self._wanted():
            made[f"probability {k}"] = self.out / f"{page.path.stem}_probability{_of_class(self._labels, k)}.tif"
        if self.overlay:
            made["overlay"] = self.out / f"{page.name}_overlay.png"
        return made

    def _image(self, page: Page) -> Iterator[TileDone | MaskWritten]:
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

        with ExitStack() as files:  # the mask comes first, so that it is the last to take its name
            mask = files.enter_context(sink(paths["mask"], "mask", *self._mask_type))
            probabilities = {
                k: files.enter_context(sink(paths[f"probability {k}"], self._probability_of(k), np.float32))
                for k in self._wanted()
            }
            picture = files.enter_context(replacing(paths["overlay"])) if self.overlay else None
            yield from self._fill(page, source, mask, probabilities, picture)
        yield MaskWritten(page, tuple(paths.values()))

    def _stack(self, file: list[Page]) -> Iterator[TileDone | MaskWritten]:
        paths = self.paths(file[0])
        with ExitStack() as files:
            masks = files.enter_context(MaskStack(paths["mask"], overwrite=self.overwrite))
            maps = {
                k: files.enter_context(MaskStack(paths[f"probability {k}"], overwrite=self.overwrite))
                for k in self._wanted()
            }
            for page in file:
                picture = files.enter_context(replacing(self.paths(page)["overlay"])) if self.overlay else None
                yield from self._page(page, masks, maps, picture)
        overlays = [self.paths(page)["overlay"] for page in file] if self.overlay else []
        whole = [path for name, path in paths.items() if name != "overlay"]
        yield MaskWritten(file[0], (*whole, *overlays))

    def _page(
        self, page: Page, masks: MaskStack, maps: Mapping[int, MaskStack], picture: Path | None
    ) -> Iterator[TileDone]:
        source = open_image(page.path, page.index)

        def sink(stack: MaskStack, what: str, dtype: DTypeLike, channels: int = 1) -> StackPage:
            about = self._description(what, page)
            return stack.page(source.shape, dtype, channels=channels, spacing=source.spacing, description=about)

        with ExitStack() as sinks:
            mask = sinks.enter_context(sink(masks, "mask", *self._mask_type))
            probabilities = {
                k: sinks.enter_context(sink(maps[k], self._probability_of(k), np.float32)) for k in self._wanted()
            }
            yield from self._fill(page, source, mask, probabilities, picture)

    def _fill(
        self, page: Page, source: ImageSource, mask: Sink, probabilities: Mapping[int, Sink], picture: Path | None
    ) -> Iterator[TileDone]:
        shown = Picture(source) if picture is not None else None
        for tile in self.predictor.tiles(source):
            mask.write(tile.window, self._labels.decode(tile.classes))
            for k, sink in probabilities.items():
                sink.write(tile.window, tile.probability[k])
            if shown is not None:
                shown.add(tile)
            yield TileDone(page, tile.done, tile.total)
        if shown is not None and picture is not None:
            Image.fromarray(shown.drawn(self._labels)).save(picture, format="PNG")

    @property
    def _labels(self) -> Labels:
        return self.predictor.trained.labels

    def _wanted(self) -> range:
        """The classes whose probability is written."""
        return self._labels.foreground if self.probability else range(0)

    @property
    def _mask_type(self) -> tuple[DTypeLike, int]:
        return self._labels.mask_dtype, 3 if self._labels.coloured else 1

    def _mask_suffix(self, page: Page) -> str:
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

    def _check_names(self) -> None:
        of_stem, of_name = defaultdict(list), defaultdict(list)
        for file in self.files:
            of_stem[file[0].path.stem].append(str(file[0].path))
            for path in {path for page in file for path in self.paths(page).values()}:
                of_name[path.name].append(str(file[0].path))
        clashes = {tuple(images) for images in (*of_stem.values(), *of_name.values()) if len(images) > 1}
        if clashes:
            raise OutputError(
                f"These images would make files of the same name in {self.out}: "
                f"{'; '.join(' and '.join(images) for images in sorted(clashes))}. "
                "Rename some, or predict them into folders of their own."
            )

    def _check_place(self) -> None:
        planned = [path for file in self.files for page in file for path in self.paths(page).values()]
        images = {_identity(file[0].path) for file in self.files}
        existing = sorted({path for path in planned if path.exists()})
        if any(_identity(path) in images for path in existing):
            raise OutputError(f"The masks would take the place of the images in {self.out}. Choose another folder.")
        if existing and not self.overwrite:
            raise OutputError(
                f"{self.out} already holds {len(existing)} of these results "
                f"({', '.join(path.name for path in existing[:5])}{', …' if len(existing) > 5 else ''}). "
                "Replace them with --overwrite, or choose another folder."
            )
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self.out, error) from error
        try:
            tempfile.TemporaryFile(dir=self.out).close()
        except OSError as error:
            raise output_error(planned[0], error) from error


def _files_in(place: str) -> list[Path]:
    path, kinds = Path(place), " ".join(sorted(SUFFIXES))
    try:
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if _is_image(f) and not f.name.startswith("."))
            if not inside:
                raise ImageError(
                    f"{place}: no image there of a kind we read ({kinds}); folders within it are not searched. "
                    "Name the folder that holds the images."
                )
            return inside
        if path.exists():
            return [path]
        matching = sorted(f for f in map(Path, glob.glob(place)) if _is_image(f))
    except OSError as error:
        raise ImageError(f"{place} cannot be looked into: {error.strerror}. Check that you may read it.") from error
    if not matching:
        raise ImageError(f"{place}: no image there, by this name or pattern; we read {kinds}. Check the name.")
    return matching


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()


def _identity(path: Path) -> tuple[int, int]:
    """Of the file itself, under whatever name, link or spelling."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _of_class(labels: Labels, number: int) -> str:
    """What tells the file of one class from those of others: nothing where there is only one."""
    if labels.classes == 2:
        return ""
    names = ["".join(c if c.isalnum() else "-" for c in name) for name in labels.names]
    alone = [name.casefold() for name in names].count(names[number].casefold()) == 1
    return f"_{names[number]}" if alone else f"_{names[number]}-{number}"
