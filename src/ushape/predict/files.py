"""Image files → mask files: a folder, a file, a pattern or a stack in; a mask per image out, under the image's stem."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
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
from ushape.images.sink import create_mask
from ushape.images.source import SUFFIXES, ImageSource, Page, open_image, pages
from ushape.images.stack import MaskStack
from ushape.predict.overlay import overlay
from ushape.predict.tiled import Predicted, Predictor

_LARGEST_PNG = 64 * 2**20  # pixels: beyond, a mask goes to TIFF, which needs no memory
_LARGEST_OVERLAY = 4096  # pixels a side: beyond, the picture shows every second, third, … pixel


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
    files: list[Path] = []
    for place in places:
        found = _files_in(place)
        if not found:
            faults.append(f"{place}: no image there; we read {' '.join(sorted(SUFFIXES))}.")
        files += [f for f in found if f not in files]
    found_pages: list[Page] = []
    for file in files:
        try:
            found_pages += pages(file)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise ImageError("\n".join(faults))
    return found_pages


class Job:
    """All masks of a list of images, into one folder.

    probability: also float32 TIFFs of each foreground class. overlay: also a PNG of the mask over the image.
    Raises OutputError, before anything is computed, where results exist (unless `overwrite`), where two images would
    make the same mask, or where `out` cannot be written.
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
        self._check_images(images)
        self._check_place()

    def events(self) -> Iterator[TileDone | MaskWritten]:
        """Predict, image after image; each file appears whole or not at all."""
        for file in self.files:
            yield from self._stack(file) if len(file) > 1 else self._image(file[0])

    def paths(self, page: Page) -> dict[str, Path]:
        """The files made of an image: "mask", then "probability CLASS" and "overlay" where wanted."""
        stem, labels = page.path.stem, self.predictor.trained.labels
        made = {"mask": self.out / f"{stem}{self._mask_suffix(page)}"}
        if self.probability:
            for k in labels.foreground:
                only = "" if labels.classes == 2 else f"_{_in_file_name(labels.names[k])}"
                made[f"probability {k}"] = self.out / f"{stem}_probability{only}.tif"
        if self.overlay:
            made["overlay"] = self.out / (f"{page.name}_overlay.png")
        return made

    def _image(self, page: Page) -> Iterator[TileDone | MaskWritten]:
        source, paths = open_image(page.path, page.index), self.paths(page)

        def sink(path: Path, dtype: DTypeLike, channels: int) -> AbstractContextManager[Sink]:
            return create_mask(
                path,
                source.shape,
                dtype,
                channels=channels,
                spacing=source.spacing,
                description=self._description(page),
                overwrite=self.overwrite,
            )

        with ExitStack() as stack:
            mask = stack.enter_context(sink(paths["mask"], *self._mask_type()))
            probabilities = {
                k: stack.enter_context(sink(paths[f"probability {k}"], np.float32, 1)) for k in self._wanted()
            }
            yield from self._fill(page, source, mask, probabilities)
        yield MaskWritten(page, tuple(paths.values()))

    def _stack(self, file: list[Page]) -> Iterator[TileDone | MaskWritten]:
        paths = self.paths(file[0])
        with ExitStack() as stack:
            masks = stack.enter_context(MaskStack(paths["mask"], overwrite=self.overwrite))
            maps = {
                k: stack.enter_context(MaskStack(paths[f"probability {k}"], overwrite=self.overwrite))
                for k in self._wanted()
            }
            for page in file:
                source, (dtype, channels) = open_image(page.path, page.index), self._mask_type()
                with ExitStack() as of_page:
                    mask = of_page.enter_context(masks.page(source.shape, dtype, channels=channels))
                    probabilities = {
                        k: of_page.enter_context(maps[k].page(source.shape, np.float32)) for k in self._wanted()
                    }
                    yield from self._fill(page, source, mask, probabilities)
        overlays = [self.paths(page)["overlay"] for page in file] if self.overlay else []
        whole = [path for name, path in paths.items() if name != "overlay"]
        yield MaskWritten(file[0], (*whole, *overlays))

    def _fill(
        self, page: Page, source: ImageSource, mask: Sink, probabilities: Mapping[int, Sink]
    ) -> Iterator[TileDone]:
        picture = _Overlay(source) if self.overlay else None
        for tile in self.predictor.tiles(source):
            mask.write(tile.window, self.predictor.trained.labels.decode(tile.classes))
            for k, sink in probabilities.items():
                sink.write(tile.window, tile.probability[k])
            if picture is not None:
                picture.add(tile)
            yield TileDone(page, tile.done, tile.total)
        if picture is not None:
            picture.write(self.paths(page)["overlay"], self.predictor)

    def _wanted(self) -> range:
        return self.predictor.trained.labels.foreground if self.probability else range(0)

    def _mask_type(self) -> tuple[DTypeLike, int]:
        labels = self.predictor.trained.labels
        return labels.mask_dtype, 3 if labels.coloured else 1

    def _mask_suffix(self, page: Page) -> str:
        height, width = open_image(page.path, page.index).shape
        as_png = page.path.suffix.lower() not in (".tif", ".tiff", ".npy") and height * width <= _LARGEST_PNG
        small = self.predictor.trained.labels.mask_dtype in (np.uint8, np.uint16)
        return ".png" if as_png and small else ".tif"

    def _description(self, page: Page) -> str:
        recipe = self.predictor.trained.recipe
        return f"mask of {page.path.name} by ushape {recipe.model.name}"

    def _check_images(self, images: list[Page]) -> None:
        for page in images:
            source = open_image(page.path, page.index)
            window = Window((0, 0), (1, 1))
            self.predictor.trained.intensity.tensor(source.read(window), str(page))
        stems = Counter(file[0].path.stem for file in self.files)
        twice = [str(file[0].path) for file in self.files if stems[file[0].path.stem] > 1]
        if twice:
            raise OutputError(
                f"These images would make masks of the same name: {', '.join(twice)}. Predict them apart."
            )

    def _check_place(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(self.out, error) from error
        inputs = {file[0].path.resolve() for file in self.files}
        planned = [path for file in self.files for page in file for path in self.paths(page).values()]
        if any(path.resolve() in inputs for path in planned):
            raise OutputError(f"The masks would take the place of the images in {self.out}. Choose another folder.")
        existing = sorted({path.name for path in planned if path.exists()})
        if existing and not self.overwrite:
            raise OutputError(
                f"{self.out} already holds {len(existing)} of these results ({', '.join(existing[:5])}"
                f"{', …' if len(existing) > 5 else ''}). Replace them with --overwrite, or choose another folder."
            )


class _Overlay:
    """Collects what the picture shows: the image and its classes, at full size or thinned to a bounded one."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._step = -(-max(source.shape) // _LARGEST_OVERLAY)
        thinned = tuple(-(-n // self._step) for n in source.shape)
        self._classes = np.zeros(thinned, dtype=np.uint8)
        self._pixels = np.zeros((*thinned, source.channels), dtype=source.dtype)

    def add(self, tile: Predicted) -> None:
        first = [-(-a // self._step) for a in tile.window.start]
        offset = [f * self._step - a for f, a in zip(first, tile.window.start, strict=True)]
        classes = tile.classes[offset[0] :: self._step, offset[1] :: self._step]
        place = tuple(slice(f, f + n) for f, n in zip(first, classes.shape, strict=True))
        self._classes[place] = classes
        self._pixels[place] = self._source.read(tile.window)[offset[0] :: self._step, offset[1] :: self._step]

    def write(self, path: Path, predictor: Predictor) -> None:
        with replacing(path) as temporary:
            picture = overlay(self._pixels, self._classes, predictor.trained.labels)
            Image.fromarray(picture).save(temporary, format="PNG")


def _files_in(place: str) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        return sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
    if path.exists():
        return [path]
    return sorted(f for f in map(Path, glob.glob(place)) if f.is_file() and f.suffix.lower() in SUFFIXES)


def _in_file_name(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)
