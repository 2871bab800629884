"""A DICOM series, a folder of slices, as one volume: slices sorted along their normal, and at each place by time.

A single .dcm file is a series of one slice, or of its frames.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.tiles import Window
from ushape.images.dicom_file import drawing_kind, is_dicom
from ushape.images.dicom_slice import DicomSlice, dicom_slice, dicom_slices
from ushape.images.grid import Grid

SAME_PLACE_MM = 0.01
"""Slices closer than this along the normal lie at one place."""

LARGEST_UNEVENNESS = 0.1
"""Of the usual step from slice to slice: beyond it, a grid would put slices where they are not."""

_LISTED = 5
_FAULTS_LISTED = 2  # of files that cannot be read, which mostly are all of a series for one reason


class DicomImage:
    """One slice of a series, at one point in time; no file stays open between reads."""

    def __init__(self, path: Path, index: int) -> None:
        series = _series(path)
        self._slice = series.slices[index]
        self.shape, self.channels = self._slice.shape, self._slice.channels
        self.dtype, self.spacing = series.dtype, series.grid.spacing

    def read(self, window: Window) -> NDArray[np.generic]:
        return self._slice.read()[window.slices].astype(self.dtype)


def dicom_pages(path: Path) -> int:
    """Slices times points in time."""
    return len(_series(path).slices)


def dicom_grid(path: Path) -> Grid:
    return _series(path).grid


def slice_name(path: Path, index: int) -> str:
    """The name of the file of one slice, without .dcm, and with the number of the frame where it has several."""
    found = _series(path).slices[index]
    name = found.path.name[:-4] if found.path.name.lower().endswith(".dcm") else found.path.name
    return name if found.frame is None else f"{name}-{found.frame + 1:04d}"


def series_of(folder: Path) -> str | None:
    """What identifies the series of a folder of slices; None where these are no series."""
    try:
        return _series(folder).slices[0].series
    except ImageError:
        return None


def is_series(folder: Path) -> bool:
    """Whether the DICOM files of a folder belong together: unless each is a series of its own, as radiographs are."""
    return _is_series(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _is_series(folder: Path, _changed: int) -> bool:
    files = _dicom_files(folder)
    if len(files) < 2:
        return bool(files) and not drawing_kind(files[0])
    seen = set()
    for path in files:
        try:
            found = dicom_slice(path)
        except ImageError:
            return True  # opening the series tells what is wrong with it
        if found and (not found.series or found.series in seen):
            return True
        seen.add(found.series if found else None)
    return False


class _Series:
    """Sorted slices (time by time, in each along the normal), and the grid that they make."""

    def __init__(self, path: Path) -> None:
        files = _dicom_files(path) if path.is_dir() else [path]
        found = _slices_of(files, path)
        if not found:
            raise ImageError(f"{path} holds no DICOM image. Name a folder of slices.")
        _check_one_series(found, path)
        _check_alike(found, path)
        self.slices, places = _sorted(found, path)
        self.grid = _grid(self.slices, places)
        kinds = {each.dtype for each in found}
        self.dtype = kinds.pop() if len(kinds) == 1 else np.dtype(np.float32)


def _slices_of(files: Sequence[Path], path: Path) -> list[DicomSlice]:
    """All slices; ImageError for the first few files that cannot be read, and how many there are."""
    found, faults = [], []
    for file in files:
        try:
            found += dicom_slices(file)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        more = f"\nSo it is with {len(faults) - _FAULTS_LISTED} more files in {path}." * (len(faults) > _FAULTS_LISTED)
        raise ImageError("\n".join(faults[:_FAULTS_LISTED]) + more)
    return found


def _series(path: Path) -> _Series:
    return _cached(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _cached(path: Path, _changed: int) -> _Series:
    return _Series(path)


def _dicom_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".") and is_dicom(f))


def _check_one_series(slices: Sequence[DicomSlice], path: Path) -> None:
    by_series = Counter((each.series, each.series_number) for each in slices)
    if len(by_series) > 1 and not _are_places_of_a_stack(slices):
        listing = ", ".join(f"{count} of series {number}" for (_, number), count in by_series.most_common(_LISTED))
        raise ImageError(
            f"{path} holds the slices of {len(by_series)} series ({listing}). Give each a folder of its own, and leave "
            "out those that are not meant."
        )


def _are_places_of_a_stack(slices: Sequence[DicomSlice]) -> bool:
    """Whether each series is one place of a stack at several points in time: some scanners save a cine so."""
    if any(each.position is None or each.orientation is None for each in slices):
        return False
    if len({tuple(np.round(each.orientation or (), 3).tolist()) for each in slices}) > 1:
        return False
    by_series: dict[str, list[float]] = defaultdict(list)
    for each in slices:
        by_series[each.series].append(_depth(each))
    lengths = {len(depths) for depths in by_series.values()}
    middles = sorted(median(depths) for depths in by_series.values())
    still = all(max(depths) - min(depths) < SAME_PLACE_MM for depths in by_series.values())
    apart = all(after - before > SAME_PLACE_MM for before, after in pairwise(middles))
    return still and apart and len(lengths) == 1 and lengths != {1}


def _check_alike(slices: Sequence[DicomSlice], path: Path) -> None:
    """ImageError where slices cannot lie on one grid."""
    looks: tuple[tuple[str, Callable[[DicomSlice], object]], ...] = (
        ("size (height, width)", lambda each: each.shape),
        ("kind of pixels", lambda each: (each.channels, each.stored.name)),
        ("size of a pixel (mm)", lambda each: each.spacing and tuple(np.round(each.spacing, 4).tolist())),
        ("orientation", lambda each: each.orientation and tuple(np.round(each.orientation, 3).tolist())),
    )
    for what, look in looks:
        found: dict[object, list[DicomSlice]] = defaultdict(list)
        for each in slices:
            found[look(each)].append(each)
        if len(found) > 1:
            usual, odd = max(found, key=lambda k: len(found[k])), min(found, key=lambda k: len(found[k]))
            raise ImageError(
                f"The slices in {path} differ in their {what}: {usual} for most, but {odd} for "
                f"{_names(found[odd])}. Move what does not belong to this volume into a folder of its own."
            )
    turned = slices[0].orientation
    if turned is not None:
        rows, columns = np.array(turned[:3]), np.array(turned[3:])
        if abs(rows @ columns) > 1e-3 or abs(rows @ rows - 1) > 1e-3 or abs(columns @ columns - 1) > 1e-3:
            raise ImageError(
                f"The slices in {path} have an orientation that contradicts itself: rows along {turned[:3]}, columns "
                f"along {turned[3:]}, which are not at right angles. Export the series again."
            )


def _sorted(slices: Sequence[DicomSlice], path: Path) -> tuple[list[DicomSlice], int]:
    """Slices in the order of their pages, and how many places there are; ImageError where some are missing."""
    if any(each.position is None or each.orientation is None for each in slices):
        return sorted(slices, key=lambda each: (each.times.get("InstanceNumber", 0), each.name)), len(slices)
    along = sorted(slices, key=_depth)
    places: list[list[DicomSlice]] = []
    for each in along:
        if places and _depth(each) - _depth(places[-1][0]) < SAME_PLACE_MM:
            places[-1].append(each)
        else:
            places.append([each])
    _check_complete(places, path)
    _check_steps(places, path)
    ordered = [sorted(place, key=_when(place)) for place in places]
    return [place[t] for t in range(len(ordered[0])) for place in ordered], len(places)


def _check_complete(places: Sequence[Sequence[DicomSlice]], path: Path) -> None:
    """ImageError where some places have fewer points in time than others."""
    most = max(len(place) for place in places)
    short = [place for place in places if len(place) < most]
    if short:
        where = ", ".join(f"{_depth(place[0]):.2f} mm ({_names(place)})" for place in short[:_LISTED])
        raise ImageError(
            f"{path} has {most} slices at most places along the volume, but fewer at {len(short)} of {len(places)}: "
            f"{where}. Copy the series again; or move repeated slices away, if these are no points in time."
        )


def _check_steps(places: Sequence[Sequence[DicomSlice]], path: Path) -> None:
    """ImageError where slices are missing between others, or lie unevenly."""
    steps = np.diff([_depth(place[0]) for place in places])
    if len(steps) < 2:
        return
    usual = median(steps.tolist())
    for number in np.flatnonzero(np.abs(steps - usual) > LARGEST_UNEVENNESS * usual).tolist():
        before, after = places[number][0].name, places[number + 1][0].name
        missing = round(steps[number] / usual) - 1
        lacks = f"{missing} missing there" if missing > 0 else "the distances are uneven"
        raise ImageError(
            f"{path} has slices {usual:.4g} mm apart, but {steps[number]:.4g} mm between {before} and {after}: {lacks}."
            " Copy the whole series again; a volume needs slices at even distances."
        )


def _when(place: Sequence[DicomSlice]) -> Callable[[DicomSlice], float]:
    """A key that tells slices of one place apart by time."""
    for name in ("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime"):
        if len({each.times.get(name) for each in place} - {None}) == len(place):
            return lambda each, name=name: each.times[name]  # type: ignore[misc]
    return lambda each: each.times.get("InstanceNumber", 0.0)


def _depth(each: DicomSlice) -> float:
    """Millimetres along the normal of the slice."""
    assert each.position is not None and each.orientation is not None
    return float(np.dot(each.position, np.cross(each.orientation[:3], each.orientation[3:])))


def _grid(slices: Sequence[DicomSlice], places: int) -> Grid:
    """From the first slice, and the step that leads from it to the last place."""
    first, last = slices[0], slices[places - 1]
    height, width = first.shape
    y, x = first.spacing or (1.0, 1.0)
    affine = np.diag([x, y, 1.0, 1.0])
    if first.orientation is not None and first.position is not None and last.position is not None:
        rows, columns = np.array(first.orientation[:3]), np.array(first.orientation[3:])
        step = (np.array(last.position) - first.position) / max(1, places - 1)
        affine[:3, 0], affine[:3, 1] = rows * x, columns * y
        affine[:3, 2] = step if places > 1 else np.cross(rows, columns)
        affine[:3, 3] = first.position
    affine[:2] *= -1  # DICOM points to the patient's left and back
    return Grid((width, height, places, len(slices) // places), affine, first.spacing is not None)


def _names(slices: Sequence[DicomSlice]) -> str:
    names = [each.name for each in slices]
    return ", ".join(names[:_LISTED]) + f" and {len(names) - _LISTED} more" * (len(names) > _LISTED)
