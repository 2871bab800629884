"""Contours drawn on a DICOM slice (Sunnybrook's *-icontour-manual.txt and *-ocontour-manual.txt) → the mask they mean.

A file lists a closed polygon, "x y" a line, in pixels, (0, 0) being the middle of the first one. Its name begins with
the name of its slice, which lies in a folder nearby. What the endocardial (i) contour holds is 1. What the epicardial
(o) contour holds is 1 too, but 2 where the endocardial one of its slice holds it: 0 outside, 1 myocardium, 2 cavity.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.dicom_file import is_dicom
from ushape.images.dicom_slice import dicom_slice

_NAME = re.compile(r"(?P<slice>.+?)-(?P<side>[io])contour(?P<rest>.*)\.txt", re.IGNORECASE)
_LEVELS_ABOVE = (
    4  # CONTOURS/PATIENT/contours-manual/IRCCI-expert/IM-0001-0048-icontour-manual.txt beside DICOM/PATIENT/…
)
_LARGEST_FILE_BYTES = 1 << 22


class ContourImage:
    """The mask of one slice."""

    channels = 1
    dtype: np.dtype[np.generic] = np.dtype(np.uint8)

    def __init__(self, path: Path, _index: int) -> None:
        drawn_on = slice_of(path)
        found = dicom_slice(drawn_on)
        if found is None:
            raise ImageError(f"{path} belongs to {drawn_on}, which holds no image. Copy the slice again.")
        self._path, self.shape = path, found.shape
        self.spacing = None if found.spacing is None else (found.spacing[0] * 1e3, found.spacing[1] * 1e3)

    def read(self, window: Window) -> NDArray[np.generic]:
        mask = _filled(self._path, self.shape).astype(np.uint8)
        inner = inner_of(self._path)
        if inner is not None:
            mask[_filled(inner, self.shape)] = 2
        return mask[window.slices][..., np.newaxis]


def is_contour(path: Path) -> bool:
    """Whether a file is called like a contour.

    >>> is_contour(Path("IM-0001-0048-icontour-manual.txt")), is_contour(Path("notes.txt"))
    (True, False)
    """
    return _NAME.fullmatch(path.name) is not None


def is_outer(path: Path) -> bool:
    """Whether a contour is the epicardial one."""
    named = _NAME.fullmatch(path.name)
    return named is not None and named["side"].lower() == "o"


def inner_of(path: Path) -> Path | None:
    """The endocardial contour of the slice that an epicardial one lies on, where there is one beside it."""
    named = _NAME.fullmatch(path.name)
    if named is None or not is_outer(path):
        return None
    inner = path.with_name(f"{named['slice']}-{'i' if named['side'] == 'o' else 'I'}contour{named['rest']}.txt")
    return inner if inner.is_file() else None


def slice_of(path: Path) -> Path:
    """The DICOM file that a contour was drawn on: of its name, in the nearest folder that holds one.

    Of several, the one that lies below a folder called like the contour's patient. Raises ImageError where there is
    none, or no telling which.
    """
    named = _NAME.fullmatch(path.name)
    assert named is not None, f"{path} is no contour"
    for above in list(path.parents)[: _LEVELS_ABOVE + 1]:
        found = _slices_below(above, above.stat().st_mtime_ns).get(named["slice"].casefold(), [])
        if len(found) > 1:
            patients = {_plain(part) for part in path.relative_to(above).parts[:-1]}
            found = [each for each in found if patients & {_plain(part) for part in each.relative_to(above).parts[:-1]}]
        if len(found) == 1:
            return found[0]
        if found:
            listing = ", ".join(str(each) for each in found[:3])
            raise ImageError(
                f"{path} could lie on any of {len(found)} slices of that name: {listing}. Put each patient's contours "
                "and slices into a folder of their own."
            )
    raise ImageError(
        f"{path} was drawn on a slice {named['slice']}.dcm, which is not there. Put the patient's DICOM files and "
        "contours into one folder."
    )


def _plain(name: str) -> str:
    """A name with numbers as people say them: SC-HF-I-01 is SC-HF-I-1."""
    return re.sub(r"\d+", lambda digits: str(int(digits[0])), name.casefold())


@lru_cache(maxsize=64)
def _slices_below(folder: Path, _changed: int) -> dict[str, list[Path]]:
    """DICOM files by name without suffix, in lower case."""
    by_name: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_dicom(path):
            name = path.name[:-4] if path.suffix.lower() == ".dcm" else path.name
            by_name.setdefault(name.casefold(), []).append(path)
    return by_name


def _filled(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) pixels whose middles the polygon of a file holds."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ValueError("the file is too large")
        points = [[float(number) for number in line.split()] for line in path.read_text().splitlines() if line.strip()]
        polygon = np.array(points, dtype=np.float64)
    except (ValueError, OSError) as error:
        raise _no_contour(path) from error
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3 or not np.isfinite(polygon).all():
        raise _no_contour(path)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if min(low) < -1 or high[0] > shape[1] or high[1] > shape[0]:
        raise ImageError(
            f"{path} reaches from {tuple(low.tolist())} to {tuple(high.tolist())} (x, y), beyond its slice of "
            f"{shape[1]} x {shape[0]} pixels. Contours are in pixels of the slice; check that they belong together."
        )
    filled: NDArray[np.bool_] = polygon2mask(shape, polygon[:, ::-1])
    return filled


def _no_contour(path: Path) -> ImageError:
    return ImageError(
        f"{path} is no contour that we can read: we take at least three points, two numbers (x y) a line. "
        "Export it again."
    )
