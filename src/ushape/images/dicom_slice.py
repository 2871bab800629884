"""What a DICOM file says of the one slice that it holds: where it lies, when it was taken, how its numbers are meant.

Nothing of who the patient is gets read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, MissingExtra
from ushape.images.voxel_type import as_voxels, voxel_type

_TAGS = [
    "SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime",
]  # fmt: skip
_TIMES = ("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "ContentTime", "InstanceNumber")
_INVERTED = "MONOCHROME1"
_GREY = (_INVERTED, "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_MOST_BYTES_FROM_ONE = 4096  # JPEG's: a bit or so for 8 x 8 pixels
_DRAWINGS = {"1.2.840.10008.5.1.4.1.1.66.4": "SEG", "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT"}
_PREAMBLE_BYTES = 128


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
        pixels = _pixels(self.path, self.path.stat().st_mtime_ns).reshape(*self.shape, self.channels)
        if self.inverted:
            brightest = (1 << self.bits) - 1 if self.stored.kind == "u" else -1
            pixels = (brightest - pixels.astype(np.int64)).astype(self.stored)
        return as_voxels(pixels, self.slope, self.intercept, self.dtype, self.path)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its suffix, or, where it has none, by the four letters that say so."""
    if path.suffix.lower() == ".dcm":
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        with path.open("rb") as file:
            file.seek(_PREAMBLE_BYTES)
            return file.read(4) == b"DICM"
    except OSError:
        return False


def dicom_slice(path: Path) -> DicomSlice | None:
    """The slice of a file; None for a file that holds no image (a directory, a report, contours, segments).

    Raises ImageError for what is no DICOM, and for images that we do not take.
    """
    header = _header(path)
    if (
        str(header.get("SOPClassUID", "")) in _DRAWINGS
        or "Rows" not in header
        or "PhotometricInterpretation" not in header
    ):
        return None
    kind, frames = str(header.PhotometricInterpretation), int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(
            f"{path} holds {frames} frames in one file; we read DICOM with a file for each slice. Convert it to NIfTI, "
            "for instance with dcm2niix."
        )
    if kind not in (*_GREY, *_COLOURS):
        raise ImageError(f"{path} has pixels of the kind {kind}; we take grey and RGB. Convert it.")
    bits = int(header.BitsAllocated)
    if bits not in (8, 16, 32):
        raise ImageError(f"{path} has {bits} bits a pixel; we take 8, 16 and 32. Convert it to NIfTI.")
    shape, channels = (int(header.Rows), int(header.Columns)), 1 if kind in _GREY else 3
    _check_size(path, shape, channels * bits // 8)
    return DicomSlice(
        path=path,
        series=str(header.get("SeriesInstanceUID", "")),
        series_number=str(header.get("SeriesNumber", "") or "without a number"),
        shape=shape,
        channels=channels,
        stored=np.dtype(f"{'i' if header.get('PixelRepresentation') else 'u'}{bits // 8}"),
        bits=int(header.get("BitsStored") or bits),
        inverted=kind == _INVERTED,
        slope=float(header.get("RescaleSlope") or 1),
        intercept=float(header.get("RescaleIntercept") or 0),
        spacing=_numbers(header, "PixelSpacing", 2),  # type: ignore[arg-type]
        position=_numbers(header, "ImagePositionPatient", 3),
        orientation=_numbers(header, "ImageOrientationPatient", 6),
        times={name: float(header.get(name)) for name in _TIMES if header.get(name) not in (None, "")},
    )


def is_drawing(path: Path) -> bool:
    """Whether a file that opens as DICOM is a DICOM-SEG or an RTSTRUCT."""
    return is_dicom(path) and _kind_of(path, path.stat().st_mtime_ns) in _DRAWINGS


@lru_cache(maxsize=4096)
def _kind_of(path: Path, _changed: int) -> str:
    try:
        return str(_header(path).get("SOPClassUID", ""))
    except ImageError:
        return ""  # told of when it is opened


def dicom_drawing(path: Path) -> tuple[str, str, Any]:  # a pydicom Dataset
    """ "SEG" or "RTSTRUCT", the series that it was drawn on, and all that the file says but the pixels."""
    data = _header(path, None)
    kind = _DRAWINGS[str(data.SOPClassUID)]
    try:
        if kind == "SEG":
            return kind, str(data.ReferencedSeriesSequence[0].SeriesInstanceUID), data
        study = data.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
        return kind, str(study.RTReferencedSeriesSequence[0].SeriesInstanceUID), data
    except (AttributeError, IndexError, TypeError) as error:
        raise ImageError(
            f"{path} does not say which series it was drawn on. Export it again, with the series."
        ) from error


@lru_cache(maxsize=2)
def stored_frames(path: Path, _changed: int) -> NDArray[np.generic]:
    """(frames, H, W) stored values of a file, or (H, W) of a single frame."""
    return _decoded(path)


def _check_size(path: Path, shape: tuple[int, int], pixel_bytes: int) -> None:
    """Refuses what the file cannot hold before memory is asked for."""
    held = path.stat().st_size
    if min(shape) < 1 or shape[0] * shape[1] * pixel_bytes > held * _MOST_BYTES_FROM_ONE:
        raise ImageError(
            f"{path} claims {shape[0]} x {shape[1]} pixels, which its {held} bytes cannot hold; it was cut short, or "
            "its header is damaged. Copy it again."
        )


def _numbers(header: Any, name: str, count: int) -> tuple[float, ...] | None:  # a pydicom Dataset
    found = header.get(name)
    if not found or len(found) != count:
        return None
    return tuple(float(number) for number in found)


def _header(path: Path, tags: list[str] | None = _TAGS) -> Any:  # a pydicom FileDataset
    pydicom = _pydicom(path)
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except pydicom.errors.InvalidDicomError as error:
        raise ImageError(
            f"{path} is no DICOM file that we can open: it lacks the mark that they begin with. It may be encrypted or "
            "damaged; export it again, without a password."
        ) from error
    except (OSError, ValueError, KeyError, AttributeError, EOFError, NotImplementedError) as error:
        raise ImageError(
            f"{path} cannot be read as DICOM ({type(error).__name__}). It may be damaged or cut short; copy it again."
        ) from error


@lru_cache(maxsize=4)
def _pixels(path: Path, _changed: int) -> NDArray[np.generic]:
    """The latest few are kept, for their windows."""
    return _decoded(path)


def _decoded(path: Path) -> NDArray[np.generic]:
    """Stored values, decompressed, colours as RGB."""
    pydicom = _pydicom(path)
    name = "unknown"
    try:
        data = pydicom.dcmread(path)
        name = data.file_meta.TransferSyntaxUID.name
        pixels: NDArray[np.generic] = pydicom.pixels.pixel_array(data)
    except (RuntimeError, NotImplementedError, AttributeError, ImportError) as error:
        raise ImageError(
            f"{path} has pixels in the transfer syntax {name}, which the installed decoders cannot read. Install "
            "more of them (pip install python-gdcm), or export it uncompressed."
        ) from error
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ImageError(
            f"{path} has pixels that cannot be read ({type(error).__name__}); it may be damaged or cut short. Copy it "
            "again."
        ) from error
    return pixels


def _pydicom(path: Path) -> ModuleType:
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtra(f"{path} is DICOM, which pydicom reads: pip install 'ushape[medical]'.") from error
    return pydicom
