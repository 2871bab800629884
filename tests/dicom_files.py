"""DICOM slices for tests, with made-up identifiers that tell where they leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)
from scipy.spatial.transform import Rotation

IDENTIFIERS = ("SECRETNAME^LEAKY", "ID-31415926", "19010203", "LEAKYHOSPITAL", "SECRETDESCRIPTION")
TURN = Rotation.from_euler("xyz", (10, 20, 35), degrees=True).as_matrix()
SPACING_MM, STEP_MM, ORIGIN = (0.8, 0.7), 5.0, np.array([-90.0, 26.0, 72.5])


def dicom(path: Path, pixels: NDArray[np.generic], position: NDArray[np.float64] = ORIGIN, **tags) -> FileDataset:
    """A file of one slice, whose rows and columns run as TURN has it; `tags` by keyword, None to leave one out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(path, Dataset(), file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID, data.PatientBirthDate = IDENTIFIERS[:3]
    data.InstitutionName, data.SeriesDescription = IDENTIFIERS[3:]
    data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber, data.Modality = "1.2.3", 7, 1, "MR"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.PixelSpacing, data.ImagePositionPatient = list(SPACING_MM), [round(float(x), 6) for x in position]
    data.ImageOrientationPatient = [round(float(x), 8) for x in (*TURN[:, 0], *TURN[:, 1])]
    data.PixelData = pixels.tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return data


def series(folder: Path, pixels: NDArray[np.generic], *, without: tuple[int, ...] = (), **tags) -> Path:
    """(T, Z, H, W) or (Z, H, W) slices → a folder of files in no order of names, less those with these numbers."""
    folder.mkdir(parents=True)
    times = pixels if pixels.ndim == 4 else pixels[np.newaxis]
    names = np.random.default_rng(0).permutation(times.shape[0] * times.shape[1])
    for number, name in enumerate(names.tolist()):
        t, z = divmod(number, times.shape[1])
        if number not in without:
            place = ORIGIN + TURN[:, 2] * STEP_MM * z
            dicom(
                folder / f"IM-{name:04d}.dcm", times[t, z], place, InstanceNumber=name + 1, TriggerTime=30 * t, **tags
            )
    return folder


def enhanced(path: Path, pixels: NDArray[np.generic], *, shared: bool = True, **tags) -> Path:
    """(T, Z, H, W) slices → one Enhanced MR file on the grid of `series`, its frames in a random order.

    shared: whether what all frames have in common is said once. Times are trigger delays; `tags` are as in `dicom`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    times, slices = pixels.shape[:2]
    order = np.random.default_rng(1).permutation(times * slices).tolist()
    data = dicom(path, pixels[0, 0])
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    common = {
        "PixelMeasuresSequence": [_item(PixelSpacing=data.PixelSpacing, SliceThickness=4)],
        "PlaneOrientationSequence": [_item(ImageOrientationPatient=data.ImageOrientationPatient)],
        "PixelValueTransformationSequence": [_item(RescaleSlope="2", RescaleIntercept="-5", RescaleType="US")],
    }
    data.SharedFunctionalGroupsSequence = [_item(**common if shared else {})]
    data.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=_rounded(ORIGIN + TURN[:, 2] * STEP_MM * (n % slices)))],
            CardiacSynchronizationSequence=[_item(NominalCardiacTriggerDelayTime=30.5 * (n // slices))],
            FrameContentSequence=[_item(StackID="1", FrameComments=IDENTIFIERS[0])],
            **{} if shared else common,
        )
        for n in order
    ]
    data.NumberOfFrames = len(order)
    del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing
    data.PixelData = pixels.reshape(-1, *pixels.shape[2:])[order].tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def segmentation(path: Path, masks: dict[str, NDArray[np.bool_]], **tags) -> Path:
    """(Z, H, W) masks by name → a DICOM-SEG on the series that `series` writes, with a frame for each slice in use."""
    frames = [(number, z) for number, mask in enumerate(masks.values(), 1) for z in np.flatnonzero(mask.any((1, 2)))]
    volumes = list(masks.values())
    data = dicom(path, np.zeros(volumes[0].shape[1:], np.uint8))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    data.SeriesInstanceUID, data.Modality, data.SegmentationType = "1.2.9", "SEG", "BINARY"
    data.ReferencedSeriesSequence = [_item(SeriesInstanceUID="1.2.3")]
    data.SegmentSequence = [_item(SegmentNumber=n, SegmentLabel=name) for n, name in enumerate(masks, 1)]
    data.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=_rounded(ORIGIN + TURN[:, 2] * STEP_MM * z))],
            SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
        )
        for number, z in frames
    ]
    data.NumberOfFrames, data.BitsAllocated, data.BitsStored, data.HighBit = len(frames), 1, 1, 0
    del data.ImagePositionPatient
    data.PixelData = pack_bits(np.stack([volumes[number - 1][z] for number, z in frames]).astype(np.uint8))
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def structures(path: Path, polygons: dict[str, list[tuple[int, NDArray[np.float64]]]], **tags) -> Path:
    """By name, polygons (slice, (n, 2) x and y in pixels) → an RTSTRUCT on the series that `series` writes."""
    data = dicom(path, np.zeros((2, 2), np.uint8), Rows=None, Columns=None, PixelData=None)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    data.SeriesInstanceUID, data.Modality = "1.2.8", "RTSTRUCT"
    of_series = _item(RTReferencedSeriesSequence=[_item(SeriesInstanceUID="1.2.3")])
    data.ReferencedFrameOfReferenceSequence = [_item(RTReferencedStudySequence=[of_series])]
    data.StructureSetROISequence = [_item(ROINumber=9 - n, ROIName=name) for n, name in enumerate(polygons)]
    data.ROIContourSequence = [
        _item(
            ReferencedROINumber=9 - n,
            ContourSequence=[
                _item(ContourGeometricType="CLOSED_PLANAR", ContourData=_rounded(_places(z, points).ravel()))
                for z, points in drawn
            ],
        )
        for n, drawn in enumerate(polygons.values())
    ]
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def _places(z: float, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) millimetres of pixels of a slice."""
    return ORIGIN + np.column_stack([points * SPACING_MM[::-1], np.full(len(points), z * STEP_MM)]) @ TURN.T


def _rounded(numbers: NDArray[np.float64]) -> list[float]:
    return [round(float(number), 5) for number in numbers]


def _item(**tags) -> Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item
