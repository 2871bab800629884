"""What a DICOM file says of the one slice that it holds: where it lies, when it was taken, how its numbers are meant.

Nothing of who the patient is gets read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.images.dicom_file import damage_told, decoded, drawing_kind, header
from ushape.images.voxel_type import as_voxels, voxel_type

_TAGS = (
    "SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime",
)  # fmt: skip
_TIMES = ("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime", "InstanceNumber")
_INVERTED = "MONOCHROME1"
_GREY = (_INVERTED, "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_MOST_BYTES_FROM_ONE = 4096  # JPEG's: a bit or so for 8 x 8 pixels


@dataclass(frozen=True)
class DicomSlice:
    """A file of one frame. spacing: (y, x) in mm. position, orientation: in mm, to the patient's left, back and head.

    times: by name of the tag, what is stated of when the slice was taken.
    """

    path: Path
    series: str
    series_number: str
    shape: tuple[int, int]
    channels: int
    stored: np.dtype[np.generic]
    bits: int
    inverted: bool
    slope: float
    intercept: float
    spacing: tuple[float, float] | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    times: dict[str, float]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return voxel_type(self.stored, scaled=(self.slope, self.intercept) != (1, 0))

    def read(self) -> NDArray[np.generic]:
        """(H, W, C) values: rescaled, and dark where nothing is (MONOCHROME1 is turned round)."""
        with damage_told(self.path):
            pixels = _pixels(self.path, self.path.stat().st_mtime_ns).reshape(*self.shape, self.channels)
        if self.inverted:
            brightest = (1 << self.bits) - 1 if self.stored.kind == "u" else -1
            pixels = (brightest - pixels.astype(np.int64)).astype(self.stored)
        return as_voxels(pixels, self.slope, self.intercept, self.dtype, self.path)


def dicom_slice(path: Path) -> DicomSlice | None:
    """The slice of a file; None for a file that holds no image (a directory, a report, contours, segments).

    Raises ImageError for what is no DICOM, and for images that we do not take.
    """
    with damage_told(path):
        said = header(path, _TAGS)
        if drawing_kind(path) or "Rows" not in said or "PhotometricInterpretation" not in said:
            return None
        return _slice(said, path)


def _slice(said: Any, path: Path) -> DicomSlice:  # a pydicom Dataset
    kind, frames = str(said.PhotometricInterpretation), int(said.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(
            f"{path} holds {frames} frames in one file; we read DICOM with a file for each slice. Convert it to NIfTI, "
            "for instance with dcm2niix."
        )
    if kind not in (*_GREY, *_COLOURS):
        raise ImageError(f"{path} has pixels of the kind {kind}; we take grey and RGB. Convert it.")
    bits = int(said.BitsAllocated)
    if bits not in (8, 16, 32):
        raise ImageError(f"{path} has {bits} bits a pixel; we take 8, 16 and 32. Convert it to NIfTI.")
    shape, channels = (int(said.Rows), int(said.Columns)), 1 if kind in _GREY else 3
    _check_size(path, shape, channels * bits // 8)
    return DicomSlice(
        path=path,
        series=str(said.get("SeriesInstanceUID", "")),
        series_number=str(said.get("SeriesNumber", "") or "without a number"),
        shape=shape,
        channels=channels,
        stored=np.dtype(f"{'i' if said.get('PixelRepresentation') else 'u'}{bits // 8}"),
        bits=int(said.get("BitsStored") or bits),
        inverted=kind == _INVERTED,
        slope=float(said.get("RescaleSlope") or 1),
        intercept=float(said.get("RescaleIntercept") or 0),
        spacing=_spacing(said),
        position=_numbers(said, "ImagePositionPatient", 3),
        orientation=_numbers(said, "ImageOrientationPatient", 6),
        times={name: float(said.get(name)) for name in _TIMES if said.get(name) not in (None, "")},
    )


def _check_size(path: Path, shape: tuple[int, int], pixel_bytes: int) -> None:
    """Refuses what the file cannot hold before memory is asked for."""
    held = path.stat().st_size
    if min(shape) < 1 or shape[0] * shape[1] * pixel_bytes > held * _MOST_BYTES_FROM_ONE:
        raise ImageError(
            f"{path} claims {shape[0]} x {shape[1]} pixels, which its {held} bytes cannot hold; it was cut short, or "
            "its header is damaged. Copy it again."
        )


def _spacing(said: Any) -> tuple[float, float] | None:  # a pydicom Dataset
    numbers = _numbers(said, "PixelSpacing", 2)
    return (numbers[0], numbers[1]) if numbers and min(numbers) > 0 else None


def _numbers(said: Any, name: str, count: int) -> tuple[float, ...] | None:  # a pydicom Dataset
    """The numbers of a tag; None where it is not there. ValueError for others than `count` finite ones."""
    found = said.get(name)
    if not found:
        return None
    numbers = tuple(float(number) for number in found)
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError("no finite numbers")
    return numbers


@lru_cache(maxsize=4)
def _pixels(path: Path, _changed: int) -> NDArray[np.generic]:
    """The latest few are kept, for their windows."""
    return decoded(path)
