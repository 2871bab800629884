"""Contours of regions, between the pixels, in pixels and in millimetres → one JSON file for an image or stack.

    with contour_file(out / "heart_contours.json", "heart.nii.gz") as contours:
        for …:
            contours.add(page, shape, pixel_mm, to_patient, {"endocardium": polygons})

Places are (x, y). In pixels, (0, 0) is the upper left corner of the upper left pixel; in millimetres likewise. Of a
volume there are places in the patient too: (x, y, z) millimetres to the left, back and head, as DICOM has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushape.atomic import check_place, write_whole
from ushape.images.grid import Grid
from ushape.images.source import Page
from ushape.interchange.subpixel import SmoothPolygon

FORMAT = "ushape contours 1"
_PLACES = "x, y; 0, 0 is the upper left corner of the upper left pixel; in the patient left, back, head (DICOM)"
_DIGITS = 3


@contextmanager
def contour_file(path: Path, image: str, *, overwrite: bool = False) -> Iterator[ContourFile]:
    """A ContourFile to add pages to; written on a clean end. OutputError at once where it exists or cannot be."""
    check_place(path, overwrite=overwrite)
    contours = ContourFile(image)
    yield contours
    write_whole(path, json.dumps(contours.content(), separators=(",", ":"), allow_nan=False))


class ContourFile:
    """The contours of the pages of one image or stack."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._pages: list[dict[str, object]] = []

    def add(
        self,
        page: Page,
        shape: tuple[int, int],
        pixel_mm: tuple[float, float] | None,
        to_patient: NDArray[np.float64] | None,
        regions: Mapping[str, Sequence[SmoothPolygon]],
    ) -> None:
        """The next page; shape: (height, width); to_patient: of `slice_to_patient`; regions: the pieces of each."""
        contours = [
            {
                "region": name,
                "area_px": round(polygon.area_px, _DIGITS),
                "area_mm2": None if pixel_mm is None else round(polygon.area_px * pixel_mm[0] * pixel_mm[1], _DIGITS),
                "outer": _ring(polygon.outer, pixel_mm, to_patient),
                "holes": [_ring(hole, pixel_mm, to_patient) for hole in polygon.holes],
            }
            for name, polygons in regions.items()
            for polygon in polygons
        ]
        height, width = shape
        about = {"page": page.index, "name": page.name, "height": height, "width": width}
        self._pages.append({**about, "pixel_mm": pixel_mm and pixel_mm[::-1], "contours": contours})

    def content(self) -> dict[str, object]:
        """What the file holds."""
        return {"format": FORMAT, "image": self._image, "places": _PLACES, "pages": self._pages}


def slice_to_patient(grid: Grid, index: int) -> NDArray[np.float64] | None:
    """(3, 3): of a page of a volume, (x, y, 1) in pixels → millimetres in the patient; None without measurements."""
    if not grid.measured:
        return None
    depth = index % grid.shape[2]
    affine = np.diag([-1.0, -1.0, 1.0]) @ grid.affine[:3]  # grids point to the right and front
    origin = affine @ np.array([-0.5, -0.5, depth, 1.0])  # voxels are counted from the middle of the first
    return np.column_stack([affine[:, 0], affine[:, 1], origin])


def _ring(
    ring: NDArray[np.float64], pixel_mm: tuple[float, float] | None, to_patient: NDArray[np.float64] | None
) -> dict[str, list[list[float]]]:
    """A ring in all units that are known."""
    found = {"px": _rounded(ring[:, ::-1])}
    if pixel_mm is not None:
        found["mm"] = _rounded((ring * pixel_mm)[:, ::-1])
    if to_patient is not None:
        places = np.column_stack([ring[:, ::-1], np.ones(len(ring))]) @ to_patient.T
        found["patient_mm"] = _rounded(places)
    return found


def _rounded(places: NDArray[np.float64]) -> list[list[float]]:
    rounded: list[list[float]] = np.round(places, _DIGITS).tolist()
    return rounded
