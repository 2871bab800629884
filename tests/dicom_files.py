"""DICOM slices for tests, with made-up identifiers that tell where they leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
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
