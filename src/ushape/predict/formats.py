"""A job's answers in the forms that other programs read, beside its masks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ushape.atomic import replacing
from ushape.errors import RecipeError
from ushape.geometry.tiles import Window
from ushape.images.source import Page, grid_of, open_image
from ushape.images.suffix import stem_of
from ushape.interchange.challenges import CtcFolder, IsbiStack, ctc_folder, isbi_stack
from ushape.interchange.coco import Coco, coco_file
from ushape.interchange.contours import ContourFile, contour_file, slice_to_patient
from ushape.interchange.geojson import feature_collection
from ushape.interchange.rois import RoiZip, roi_zip
from ushape.interchange.shapes import Shapes
from ushape.interchange.subpixel import SmoothPolygon, margin_of, smooth_polygons
from ushape.interchange.sunnybrook import SIDES, Side, SunnybrookFolder, sunnybrook_folder
from ushape.labels import Labels
from ushape.predict.predicted import Predicted
from ushape.regions import Region
from ushape.settings import chosen, require_known

FormatName = Literal["geojson", "rois", "contours", "sunnybrook", "coco", "ctc", "isbi2012"]

ABOUT: dict[FormatName, str] = {
    "geojson": "outlines for QuPath",
    "rois": "regions for Fiji and ImageJ",
    "contours": "smooth contours in pixels and mm",
    "sunnybrook": "contours of the heart, as text",
    "coco": "one COCO file of all images",
    "ctc": "masks of the Cell Tracking Challenge",
    "isbi2012": "the stack of the EM challenge",
}
TOGETHER: dict[FormatName, str] = {"coco": "coco.json", "ctc": "ctc", "isbi2012": "isbi2012.tif"}
"""Files and folders that hold the answers of all images."""


class Collected:
    """One image's answer, whole: (H, W) class map, foreground probability, and objects where they are told apart.

    regions: whose contours are wanted; `margins` has a map for each (interchange/subpixel.py).
    """

    def __init__(self, shape: tuple[int, int], regions: Sequence[Region] = ()) -> None:
        self.classes = np.zeros(shape, dtype=np.uint8)
        self.foreground = np.zeros(shape, dtype=np.float32)
        self.objects: NDArray[np.uint32] | None = None
        self.margins = {region: np.zeros(shape, dtype=np.float32) for region in regions}

    def add(self, tile: Predicted) -> None:
        self.classes[tile.window.slices] = tile.classes
        self.foreground[tile.window.slices] = tile.probability[1:].sum(axis=0)
        for region, margin in self.margins.items():
            margin[tile.window.slices] = margin_of(tile.probability, region.numbers)

    def add_objects(self, window: Window, numbers: NDArray[np.unsignedinteger]) -> None:
        if self.objects is None:
            self.objects = np.zeros(self.classes.shape, dtype=np.uint32)
        self.objects[window.slices] = numbers

    def contours(self) -> dict[str, list[SmoothPolygon]]:
        """The pieces of each region that is wanted, by its name."""
        return {
            region.name: smooth_polygons(margin, region.of(self.classes)) for region, margin in self.margins.items()
        }


class Formats:
    """The wanted formats of a job: `opened` around all of it, `of` around each file, `add` for each page.

    regions: whose contours are drawn; each foreground class where there are none. objects: whether objects are told
    apart. Raises RecipeError, before anything is computed, for a format that these
    answers do not have.
    """

    def __init__(
        self,
        names: Collection[FormatName],
        files: Sequence[Sequence[Page]],
        out: Path,
        labels: Labels,
        *,
        regions: Sequence[Region] = (),
        objects: bool,
        overwrite: bool,
    ) -> None:
        self._regions = _drawn_regions(names, regions, labels)
        _check(names, labels, self._regions, objects)
        self.names = [name for name in get_args(FormatName) if name in names]
        self.together = {name: out / TOGETHER[name] for name in self.names if name in TOGETHER}
        self._files, self._out, self._labels, self._overwrite = files, out, labels, overwrite
        self._coco: Coco | None = None
        self._ctc: CtcFolder | None = None
        self._isbi: IsbiStack | None = None
        self._rois: RoiZip | None = None
        self._contours: ContourFile | None = None
        self._sunnybrook: SunnybrookFolder | None = None
        self._of_file, self._folder = ExitStack(), out

    def paths(self, file: Sequence[Page]) -> list[Path]:
        """The files made of one image or stack alone."""
        outlines = [self._out / self._geojson(page) for page in file] if "geojson" in self.names else []
        of_file = {"rois": self._zip, "contours": self._contour_file, "sunnybrook": self._contour_folder}
        return outlines + [self._out / name_of(file) for name, name_of in of_file.items() if name in self.names]

    def collected(self, shape: tuple[int, int]) -> Collected | None:
        """What is to be added of an image of (height, width) pixels; None where no format is wanted."""
        return Collected(shape, self._regions) if self.names else None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Files of all images together, complete on a clean end or absent."""
        places, overwrite = self.together, self._overwrite
        with ExitStack() as files:
            if "coco" in places:
                self._coco = files.enter_context(coco_file(places["coco"], self._labels, overwrite=overwrite))
            if "ctc" in places:
                images = [page.name for file in self._files for page in file]
                self._ctc = files.enter_context(ctc_folder(places["ctc"], images, overwrite=overwrite))
            if "isbi2012" in places:
                self._isbi = files.enter_context(isbi_stack(places["isbi2012"], overwrite=overwrite))
            yield

    @contextmanager
    def of(self, file: Sequence[Page], folder: Path) -> Iterator[None]:
        """The files of one image or stack alone, in this folder, complete on a clean end or absent."""
        self._folder = folder
        with ExitStack() as self._of_file:
            if "rois" in self.names:
                zipped = roi_zip(folder / self._zip(file), self._labels, overwrite=self._overwrite)
                self._rois = self._of_file.enter_context(zipped)
            if "contours" in self.names:
                drawn = contour_file(folder / self._contour_file(file), file[0].path.name, overwrite=self._overwrite)
                self._contours = self._of_file.enter_context(drawn)
            if "sunnybrook" in self.names:
                self._sunnybrook = self._of_file.enter_context(sunnybrook_folder(folder / self._contour_folder(file)))
            yield

    def add(self, page: Page, answer: Collected) -> None:
        """One image, or one page of a stack."""
        name = page.path.name if page.name == stem_of(page.path) else page.name
        shapes = Shapes(name, answer.objects, answer.classes)
        if "geojson" in self.names:
            outlines = self._of_file.enter_context(replacing(self._folder / self._geojson(page)))
            outlines.write_bytes(feature_collection(shapes, self._labels).encode())
        if self._rois is not None:
            self._rois.add(shapes)
        if self._regions:
            self._add_contours(page, answer)
        if self._coco is not None:
            self._coco.add(shapes)
        if self._ctc is not None and answer.objects is not None:
            self._ctc.add(page.name, answer.objects)
        if self._isbi is not None:
            self._isbi.add(page.name, answer.foreground)

    def _add_contours(self, page: Page, answer: Collected) -> None:
        pieces, source, grid = answer.contours(), open_image(page.path, page.index), grid_of(page.path)
        if self._contours is not None:
            pixel_mm = source.spacing and (source.spacing[0] / 1e3, source.spacing[1] / 1e3)
            to_patient = None if grid is None else slice_to_patient(grid, page.index)
            self._contours.add(page, source.shape, pixel_mm, to_patient, pieces)
        if self._sunnybrook is not None:
            for name, of_region in pieces.items():
                if side := _side(name):
                    self._sunnybrook.add(page, side, of_region)

    def _geojson(self, page: Page) -> str:
        return f"{page.name}.geojson"

    def _zip(self, file: Sequence[Page]) -> str:
        return f"{stem_of(file[0].path)}_rois.zip"

    def _contour_file(self, file: Sequence[Page]) -> str:
        return f"{stem_of(file[0].path)}_contours.json"

    def _contour_folder(self, file: Sequence[Page]) -> str:
        return f"{stem_of(file[0].path)}_contours"


def formats_named(text: str) -> tuple[FormatName, ...]:
    """Names with commas between; RecipeError, with all there are, for another.

    >>> formats_named("coco, geojson")
    ('geojson', 'coco')
    """
    return chosen(text, ABOUT, "format")


def _drawn_regions(names: Collection[FormatName], regions: Sequence[Region], labels: Labels) -> tuple[Region, ...]:
    """Those whose contours are wanted: of the heart, the cavity is the one class that there is, if none is declared."""
    if not {"contours", "sunnybrook"} & {*names}:
        return ()
    if not regions and "sunnybrook" in names and labels.classes == 2:
        return (Region("endocardium", (1,)),)
    return tuple(regions) or tuple(Region(labels.names[k], (k,)) for k in labels.foreground)


def _side(region: str) -> Side | None:
    return next((side for side in SIDES if region.lower() == side), None)


def _check(names: Collection[FormatName], labels: Labels, regions: Sequence[Region], objects: bool) -> None:
    require_known(names, ABOUT, "format")
    for name in {"contours", "sunnybrook"} & {*names} if objects else ():
        raise RecipeError(
            f"The format {name} draws regions of classes, and this network tells objects apart. Take geojson or rois, "
            f"or leave {name} out."
        )
    if "sunnybrook" in names and not any(_side(region.name) == "endocardium" for region in regions):
        raise RecipeError(
            "The format sunnybrook takes the regions endocardium and epicardium, and there are "
            f"{', '.join(region.name for region in regions)}. Declare them in [regions] of the training's recipe."
        )
    if "ctc" in names and not objects:
        raise RecipeError(
            "The Cell Tracking Challenge takes numbered objects, and this network was not trained to tell them apart. "
            "Train with --task instances, or leave ctc out."
        )
    if "isbi2012" in names and labels.classes != 2:
        raise RecipeError(
            f"The EM challenge takes one class, the inside of cells; this network has {labels.classes - 1}: "
            f"{', '.join(labels.names[1:])}. Leave isbi2012 out."
        )
