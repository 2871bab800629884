"""Shapes of the pages of a stack → a zip of regions that the ROI Manager of ImageJ and Fiji opens.

    with roi_zip(out / "cells.zip", labels) as rois:
        for …:
            rois.add(Shapes(name, objects))      # the next page

One ring is a traced region, as the wand makes it; several rings (pieces, holes) are one composite region. Holes run the
other way round, so that any rule of filling leaves them out. All corners are corners of pixels: ImageJ fills and
measures exactly the pixels of the object.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from ushape.atomic import check_place, write_whole
from ushape.errors import ImageError
from ushape.interchange.shapes import Shape, Shapes
from ushape.labels import Labels

_LARGEST_SHORT = 2**15 - 1
_MOVE_TO, _LINE_TO, _CLOSE = 0, 1, 4  # java.awt.geom.PathIterator, which ImageJ stores paths as
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date of a zip: the same regions make the same file


@contextmanager
def roi_zip(path: Path, labels: Labels, *, overwrite: bool = False) -> Iterator[RoiZip]:
    """A RoiZip to add pages to; the file is written on a clean end.

    Raises OutputError at once where it cannot be written or exists, and at the end ImageError, naming every page that
    could not be added; then nothing is written.
    """
    check_place(path, overwrite=overwrite)
    rois = RoiZip(labels)
    yield rois
    if rois.faults:
        raise ImageError("\n".join(rois.faults))
    write_whole(path, rois.content())


class RoiZip:
    """Regions named NUMBER-CLASS, or PAGE-NUMBER-CLASS and bound to their page where there are several pages."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.faults: list[str] = []
        self._pages: list[list[ImagejRoi]] = []

    def add(self, shapes: Shapes) -> None:
        """The next page. Where its maps cannot be drawn, `faults` gets a line."""
        try:
            self._pages.append([_region(shape, self.labels) for shape in shapes.drawn(self.labels)])
        except ImageError as error:
            self.faults.append(str(error))

    def content(self) -> bytes:
        """The zip file."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for page, regions in enumerate(self._pages, start=1):
                for region in regions:
                    if len(self._pages) > 1:
                        region.name, region.position = f"{page:04d}-{region.name}", page
                    entry = zipfile.ZipInfo(f"{region.name}.roi", _LONG_AGO)
                    archive.writestr(entry, region.tobytes(), zipfile.ZIP_DEFLATED)
        return buffer.getvalue()


def _region(shape: Shape, labels: Labels) -> ImagejRoi:
    rings = [ring[:, ::-1] for polygon in shape.polygons for ring in polygon.rings]
    region = _traced(rings[0]) if len(rings) == 1 else _composite(rings)
    name = labels.names[shape.class_number]
    region.name = f"{shape.number}-{''.join(c if c.isalnum() else '-' for c in name)}"
    region.stroke_color = bytes((255, *labels.colour(shape.class_number)))  # alpha, red, green, blue
    return region


def _traced(ring: NDArray[np.int32]) -> ImagejRoi:
    """One ring of (x, y); beyond 16 bits the corners are stored as floats too."""
    region = ImagejRoi.frompoints(ring if ring.max() <= _LARGEST_SHORT else ring.astype(np.float32))
    region.roitype = ROI_TYPE.TRACED
    return region


def _composite(rings: list[NDArray[np.int32]]) -> ImagejRoi:
    region = ImagejRoi()
    region.roitype = ROI_TYPE.RECT  # ImageJ marks composites so
    corners = np.concatenate(rings)
    region.left, region.top = corners.min(axis=0).tolist()
    region.right, region.bottom = corners.max(axis=0).tolist()
    region.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
    region.shape_roi_size = len(region.multi_coordinates)
    return region


def _path(ring: NDArray[np.int32]) -> NDArray[np.float32]:
    steps = np.column_stack([np.full(len(ring), _LINE_TO), ring])
    steps[0, 0] = _MOVE_TO
    return np.append(steps.ravel(), _CLOSE).astype(np.float32)
