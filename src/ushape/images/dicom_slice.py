"""What a DICOM file says of the slices that it holds: where they lie, when they were taken, how numbers are meant.

A file holds one slice, or, of the Enhanced kind (PS3.3, C.7.6.16), many: each frame is a slice, of which functional
groups tell, those of the frame before those that all share. Nothing of who the patient is gets read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.images.dicom_file import damage_told, decoded, drawing_kind, header, require_decoder
from ushape.images.voxel_type import as_voxels, voxel_type

_TAGS = (
    "SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_OF_FRAMES = {
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "RescaleSlope": ("PixelValueTransformationSequence", "RescaleSlope"),
    "RescaleIntercept": ("PixelValueTransformationSequence", "RescaleIntercept"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "TriggerTime": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "AcquisitionTime": ("FrameContentSequence", "FrameAcquisitionDateTime"),
    "ContentTime": ("TemporalPositionSequence", "TemporalPositionTimeOffset"),
}
"""What a file of one slice says in a tag of its own → where an Enhanced one says it of a frame."""
_TIMES = ("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime", "InstanceNumber")
_INVERTED = "MONOCHROME1"
_GREY = (_INVERTED, "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_MOST_BYTES_FROM_ONE = 4096  # JPEG's: a bit or so for 8 x 8 pixels


@dataclass(frozen=True)
class DicomSlice:
    """One slice. spacing: (y, x) in mm. position, orientation: in mm, to the patient's left, back and head.

    frame: its number in the file, from 0; None where it is the only one. times: by name of the tag, what is stated of
    when the slice was taken.
    """

    path: Path
    frame: int | None
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
    def name(self) -> str:
        """Of its file, and the frame in it where there are several, from 1."""
        return self.path.name if self.frame is None else f"{self.path.name} (frame {self.frame + 1})"

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return voxel_type(self.stored, scaled=(self.slope, self.intercept) != (1, 0))

    def read(self) -> NDArray[np.generic]:
        """(H, W, C) values: rescaled, and dark where nothing is (MONOCHROME1 is turned round)."""
        with damage_told(self.path):
            pixels = _pixels(self.path, self.path.stat().st_mtime_ns, self.frame).reshape(*self.shape, self.channels)
        if self.inverted:
            brightest = (1 << self.bits) - 1 if self.stored.kind == "u" else -1
            pixels = (brightest - pixels.astype(np.int64)).astype(self.stored)
        return as_voxels(pixels, self.slope, self.intercept, self.dtype, self.path)


def dicom_slice(path: Path) -> DicomSlice | None:
    """The first slice of a file; None for a file that holds no image."""
    return next(iter(dicom_slices(path)), None)


def dicom_slices(path: Path) -> list[DicomSlice]:
    """All slices of a file; none of one that holds no image (a directory, a report, contours, segments).

    Raises ImageError for what is no DICOM, for images that we do not take, and for pixels that nothing here decodes.
    """
    with damage_told(path):
        said = header(path, _TAGS)
        if drawing_kind(path) or "Rows" not in said or "PhotometricInterpretation" not in said:
            return []
        require_decoder(said, path)
        frames = int(said.get("NumberOfFrames") or 1)
        groups = said.get("PerFrameFunctionalGroupsSequence")
        if not groups and frames > 1:
            raise ImageError(
                f"{path} holds {frames} frames in one file and says of none where it lies; we read Enhanced DICOM, "
                "which does, and DICOM with a file for each slice. Convert it to NIfTI, for instance with dcm2niix."
            )
        if not groups:
            return [_slice(said.get, said, path, None)]
        if len(groups) != frames:
            raise ImageError(f"{path} tells of {len(groups)} of its {frames} frames. Export it again.")
        return [_slice(_teller(said, number), said, path, number) for number in range(frames)]


Tell = Callable[..., Any]  # Any: what pydicom makes of a tag's value
"""tell(name of a tag, what it is if nothing is said): as `Dataset.get`."""


def _teller(said: Any, frame: int) -> Tell:  # a pydicom Dataset
    """What a file says of one of its frames, under the names that a file of one slice uses."""
    shared = said.get("SharedFunctionalGroupsSequence")
    groups = [said.PerFrameFunctionalGroupsSequence[frame], *([shared[0]] if shared else [])]

    def tell(name: str, otherwise: Any = None) -> Any:
        if name == "InstanceNumber":
            return frame + 1
        if name in _OF_FRAMES:
            sequence, tag = _OF_FRAMES[name]
            found = next((group[sequence][0].get(tag) for group in groups if group.get(sequence)), None)
            return found if found not in (None, "") else said.get(name, otherwise)
        return said.get(name, otherwise)

    return tell


def _slice(tell: Tell, said: Any, path: Path, frame: int | None) -> DicomSlice:  # a pydicom Dataset
    kind, bits = str(said.PhotometricInterpretation), int(said.BitsAllocated)
    if kind not in (*_GREY, *_COLOURS):
        raise ImageError(f"{path} has pixels of the kind {kind}; we take grey and RGB. Convert it.")
    if bits not in (8, 16, 32):
        raise ImageError(f"{path} has {bits} bits a pixel; we take 8, 16 and 32. Convert it to NIfTI.")
    shape, channels = (int(said.Rows), int(said.Columns)), 1 if kind in _GREY else 3
    _check_size(path, shape, channels * bits // 8 * int(said.get("NumberOfFrames") or 1))
    return DicomSlice(
        path=path,
        frame=frame,
        series=str(said.get("SeriesInstanceUID", "")),
        series_number=str(said.get("SeriesNumber", "") or "without a number"),
        shape=shape,
        channels=channels,
        stored=np.dtype(f"{'i' if said.get('PixelRepresentation') else 'u'}{bits // 8}"),
        bits=int(said.get("BitsStored") or bits),
        inverted=kind == _INVERTED,
        slope=float(tell("RescaleSlope") or 1),
        intercept=float(tell("RescaleIntercept") or 0),
        spacing=_spacing(tell("PixelSpacing")),
        position=_numbers(tell("ImagePositionPatient"), 3),
        orientation=_numbers(tell("ImageOrientationPatient"), 6),
        times={name: float(tell(name)) for name in _TIMES if tell(name) not in (None, "")},
    )


def _check_size(path: Path, shape: tuple[int, int], pixel_bytes: int) -> None:
    """Refuses what the file cannot hold before memory is asked for."""
    held = path.stat().st_size
    if min(shape) < 1 or shape[0] * shape[1] * pixel_bytes > held * _MOST_BYTES_FROM_ONE:
        raise ImageError(
            f"{path} claims {shape[0]} x {shape[1]} pixels, which its {held} bytes cannot hold; it was cut short, or "
            "its header is damaged. Copy it again."
        )


def _spacing(found: Any) -> tuple[float, float] | None:  # pydicom's MultiValue
    numbers = _numbers(found, 2)
    return (numbers[0], numbers[1]) if numbers and min(numbers) > 0 else None


def _numbers(found: Any, count: int) -> tuple[float, ...] | None:  # pydicom's MultiValue
    """The numbers of a tag; None where it is not there. ValueError for others than `count` finite ones."""
    if not found:
        return None
    numbers = tuple(float(number) for number in found)
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError("no finite numbers")
    return numbers


@lru_cache(maxsize=4)
def _pixels(path: Path, _changed: int, frame: int | None) -> NDArray[np.generic]:
    """The latest few are kept, for their windows."""
    return decoded(path, frame)
