"""DICOM-SEG and RTSTRUCT → masks of the series that they were drawn on, a page for each of its slices.

0 is what nobody drew; structures are 1, 2, … in the order of their names. Of two that share a pixel the smaller one on
the slice has it, so that what lies within another stays visible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.dicom import dicom_grid, is_series, series_of
from ushape.images.dicom_file import damage_told, decoded, drawing_kind, header
from ushape.images.grid import LARGEST_SHIFT, Grid

_LEVELS_ABOVE = 2  # masks/case.dcm beside images/case/
_LARGEST_BYTES = 2 << 30
_TURNED = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM points to the patient's left and back, grids to right and front


class DrawingImage:
    """The mask of one slice of the series."""

    channels = 1
    dtype: np.dtype[np.generic] = np.dtype(np.uint8)

    def __init__(self, path: Path, index: int) -> None:
        self._drawing, self._index = _drawing(path), index
        width, height, *_ = self._drawing.grid.shape
        self.shape: tuple[int, int] = (height, width)
        self.spacing = self._drawing.grid.spacing

    def read(self, window: Window) -> NDArray[np.generic]:
        mask = np.zeros(self.shape, dtype=np.uint8)
        parts = self._drawing.parts(self._index)
        for value, part in sorted(parts, key=lambda each: -np.count_nonzero(each[1])):
            mask[part] = value
        return mask[window.slices][..., np.newaxis]


def drawing_pages(path: Path) -> int:
    """As many as the series has slices."""
    return _drawing(path).grid.pages


def drawing_grid(path: Path) -> Grid:
    return _drawing(path).grid


def drawing_names(path: Path) -> tuple[str, ...]:
    """What the values 1, 2, … stand for."""
    return _drawing(path).names


class _Drawing(Protocol):
    grid: Grid
    names: tuple[str, ...]

    def parts(self, index: int) -> Sequence[tuple[int, NDArray[np.bool_]]]:
        """(value, (H, W) pixels) of what is drawn on a slice."""
        ...


class _Segments:
    """DICOM-SEG: a frame for each structure and slice that it shows on."""

    def __init__(self, path: Path, data: Any, grid: Grid) -> None:  # data: a pydicom Dataset
        self.grid, self._path = grid, path
        labels = {int(each.SegmentNumber): str(each.SegmentLabel) for each in data.SegmentSequence}
        self.names, values = _valued(labels, path)
        frames = int(data.NumberOfFrames)
        if frames * int(data.Rows) * int(data.Columns) > min(_LARGEST_BYTES, 64 * path.stat().st_size * 8):
            raise ImageError(
                f"{path} claims {frames} frames, which it cannot hold or which are too many. Export it again."
            )
        if (int(data.Columns), int(data.Rows)) != grid.shape[:2]:
            raise ImageError(
                f"{path} has frames of {data.Rows} x {data.Columns}, its series slices of {grid.shape[1]} x "
                f"{grid.shape[0]}. Export it on the grid of the series."
            )
        if len(data.PerFrameFunctionalGroupsSequence) != frames:
            stated = len(data.PerFrameFunctionalGroupsSequence)
            raise ImageError(f"{path} states the places of {stated} of its {frames} frames. Export it again.")
        self._on: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, of_frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            place = of_frame.PlanePositionSequence[0].ImagePositionPatient
            segment = int(of_frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            corner = _voxels(np.array([place], dtype=np.float64), grid)[0]
            if np.abs(corner[:2]).max() > LARGEST_SHIFT:
                raise _elsewhere(path, "its frames begin where no slice does")
            self._on[_slice_at(corner[2:], grid, path)].append((values[segment], number))

    def parts(self, index: int) -> Sequence[tuple[int, NDArray[np.bool_]]]:
        frames = _frames(self._path, self._path.stat().st_mtime_ns)
        return [(value, frames[number] > 0) for value, number in self._on.get(index, ())]


class _Structures:
    """RTSTRUCT: closed polygons in millimetres; of one structure, what an odd number of them holds."""

    def __init__(self, path: Path, data: Any, grid: Grid) -> None:  # data: a pydicom Dataset
        self.grid = grid
        labels = {int(each.ROINumber): str(each.ROIName) for each in data.StructureSetROISequence}
        self.names, values = _valued(labels, path)
        self._on: dict[int, dict[int, list[NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(list))
        for of_structure in data.ROIContourSequence:
            value = values[int(of_structure.ReferencedROINumber)]
            for contour in of_structure.get("ContourSequence") or ():
                if contour.ContourGeometricType == "CLOSED_PLANAR":
                    points = _voxels(np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3), grid)
                    self._on[_slice_at(points[:, 2], grid, path)][value].append(points[:, 1::-1])

    def parts(self, index: int) -> Sequence[tuple[int, NDArray[np.bool_]]]:
        shape = (self.grid.shape[1], self.grid.shape[0])
        return [
            (value, np.logical_xor.reduce([polygon2mask(shape, polygon) for polygon in polygons]))
            for value, polygons in self._on.get(index, {}).items()
        ]


def _drawing(path: Path) -> _Drawing:
    return _cached(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _cached(path: Path, _changed: int) -> _Drawing:
    kind, data = drawing_kind(path), header(path)
    with damage_told(path):
        grid = dicom_grid(_folder_of(_series_named_by(data, path), path))
        if grid.shape[3] > 1:
            raise ImageError(
                f"{path} was drawn on a series of {grid.shape[3]} points in time; we take one. Convert it to NIfTI."
            )
        return _Segments(path, data, grid) if kind == "SEG" else _Structures(path, data, grid)


@lru_cache(maxsize=2)
def _frames(path: Path, _changed: int) -> NDArray[np.generic]:
    """(frames, H, W) stored values."""
    frames = decoded(path)
    return frames.reshape(-1, *frames.shape[-2:])


def _series_named_by(data: Any, path: Path) -> str:  # a pydicom Dataset
    """What identifies the series that a file was drawn on."""
    try:
        if "ReferencedSeriesSequence" in data:
            return str(data.ReferencedSeriesSequence[0].SeriesInstanceUID)
        study = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        return str(study.RTReferencedSeriesSequence[0].SeriesInstanceUID)
    except (AttributeError, IndexError, TypeError) as error:
        raise ImageError(
            f"{path} does not say which series it was drawn on. Export it again, with the series."
        ) from error


def _valued(labels: dict[int, str], path: Path) -> tuple[tuple[str, ...], dict[int, int]]:
    """Names in order, and the value of each number."""
    names = tuple(sorted(set(labels.values()), key=str.casefold))
    if not names or len(names) > 254:
        raise ImageError(f"{path} has {len(names)} structures; we take 1 to 254. Export those that are meant.")
    return names, {number: names.index(name) + 1 for number, name in labels.items()}


def _voxels(points: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """(n, 3) places in DICOM's millimetres → voxel indices x, y, z."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    return np.asarray((np.linalg.inv(_TURNED @ grid.affine) @ homogeneous.T).T[:, :3], dtype=np.float64)


def _slice_at(depths: NDArray[np.float64], grid: Grid, path: Path) -> int:
    """The slice on which all of some depths (in slices) lie."""
    index = round(float(depths.mean()))
    if np.abs(depths - index).max() > LARGEST_SHIFT or not 0 <= index < grid.shape[2]:
        raise _elsewhere(path, f"it has a part at depth {float(depths.mean()):.2f} of {grid.shape[2]} slices")
    return index


def _elsewhere(path: Path, what: str) -> ImageError:
    return ImageError(
        f"{path} does not lie on the slices of its series: {what}. Export it on the series that it was drawn on."
    )


def _folder_of(series: str, drawing: Path) -> Path:
    """The folder of a series, near the drawing."""
    for above in list(drawing.parents)[: _LEVELS_ABOVE + 1]:
        if found := _series_below(above, above.stat().st_mtime_ns).get(series):
            return found
    raise ImageError(
        f"{drawing} was drawn on a DICOM series that is not there. Put the folder of its slices beside it, or "
        "into images/."
    )


@lru_cache(maxsize=8)
def _series_below(folder: Path, _changed: int) -> dict[str, Path]:
    folders = [folder, *(path for path in sorted(folder.rglob("*")) if path.is_dir())]
    return {found: path for path in folders if is_series(path) and (found := series_of(path))}
