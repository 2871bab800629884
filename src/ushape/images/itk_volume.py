"""MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr) of 2 to 4 axes through SimpleITK; each slice is a page.

Of an uncompressed MetaImage only the windows asked for are read. The others cannot be read in part: they are read whole
once, and the latest two stay in memory.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images.grid import Grid
from ushape.images.gzipped import MOST_BYTES_FROM_ONE
from ushape.images.itk_header import ItkGeometry
from ushape.images.voxel_type import as_voxels, voxel_type

LARGEST_WHOLE_BYTES = 4 << 30
"""The most memory that a volume may take which can only be read whole."""

_HEADER_BYTES = 1 << 16
_DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_STATES_SPACING = re.compile(rb"^(?:ElementSpacing|ElementSize|spacings|space directions)\s*[=:]", re.I | re.MULTILINE)
_COMPRESSED = re.compile(rb"^CompressedData\s*=\s*True", re.IGNORECASE | re.MULTILINE)


class ItkImage:
    """One slice of a file, at one point in time; no file stays open between reads."""

    channels = 1

    def __init__(self, path: Path, index: int) -> None:
        self._volume, self._index = _volume(path), index
        width, height, *_ = self._volume.grid.shape
        self.shape: tuple[int, int] = (height, width)
        self.dtype, self.spacing = self._volume.dtype, self._volume.grid.spacing

    def read(self, window: Window) -> NDArray[np.generic]:
        return self._volume.read(self._index, window)


def itk_pages(path: Path) -> int:
    """Slices times points in time."""
    return _volume(path).grid.pages


def itk_grid(path: Path) -> Grid:
    return _volume(path).grid


def itk_geometry(path: Path) -> ItkGeometry:
    """Where the voxels of a file lie, as SimpleITK has it."""
    volume = _volume(path)
    return ItkGeometry(volume.size, volume.steps, volume.origin, volume.direction)


class _Volume:
    """A file whose header has been read: size, steps, origin and direction are SimpleITK's, x first."""

    def __init__(self, path: Path) -> None:
        self._path, self._sitk = path, _simpleitk(path)
        reader = _reader(path)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise _damaged(path, error) from error
        self.size, self.steps = reader.GetSize(), reader.GetSpacing()
        self.origin, self.direction = reader.GetOrigin(), reader.GetDirection()
        if not 2 <= len(self.size) <= 4 or reader.GetNumberOfComponents() > 1 or min(self.size) < 1:
            raise ImageError(
                f"{path} has {len(self.size)} axes and {reader.GetNumberOfComponents()} numbers a voxel; we take 2 "
                "to 4 axes (x, y, slices, points in time) and one number. Save one channel as a volume of its own."
            )
        stored = self._sitk.GetArrayViewFromImage(self._sitk.Image([1, 1], reader.GetPixelID())).dtype
        self.dtype = voxel_type(stored, scaled=False)
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        self.grid = self._grid(bool(_STATES_SPACING.search(header)))
        wanted = math.prod(self.size) * stored.itemsize
        held = self._data_bytes(header)
        self._in_parts = path.suffix.lower() in (".mha", ".mhd") and not _COMPRESSED.search(header)
        self._check_size(wanted, held)

    def read(self, index: int, window: Window) -> NDArray[np.generic]:
        """(h, w, 1) values of a window of a page."""
        part = self._part(index, window) if self._in_parts else _whole(self._path, _changed(self._path))[index]
        part = part if self._in_parts else np.array(part[window.slices])
        return as_voxels(part[..., np.newaxis], 1, 0, self.dtype, self._path)

    def _part(self, index: int, window: Window) -> NDArray[np.generic]:
        place = [index % self.grid.shape[2], index // self.grid.shape[2]][: len(self.size) - 2]
        reader = _reader(self._path)
        reader.SetExtractIndex([window.start[1], window.start[0], *place])
        reader.SetExtractSize([window.shape[1], window.shape[0], *(0 for _ in place)])
        try:
            part: NDArray[np.generic] = self._sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise _damaged(self._path, error) from error
        return part

    def _grid(self, measured: bool) -> Grid:
        axes, shape = len(self.size), (*self.size, 1, 1)[:4]
        affine = np.eye(4)
        space = min(axes, 3)
        directions = np.array(self.direction).reshape(axes, axes)[:space, :space]
        affine[:space, :space] = directions * np.array(self.steps[:space])
        affine[:space, 3] = self.origin[:space]
        affine[:2] *= -1  # ITK points to the patient's left and back
        return Grid((shape[0], shape[1], shape[2], shape[3]), affine, measured)

    def _data_bytes(self, header: bytes) -> int:
        """The size of the file that holds the voxels."""
        found = _DATA_FILE.search(header)
        name = found[1].decode("utf-8", "replace") if found else "LOCAL"
        if name.lower() == "local":
            return self._path.stat().st_size
        if name.split()[0].lower() == "list" or "%" in name:
            raise ImageError(f"{self._path} spreads its voxels over several files ({name}). Save it as one file.")
        data = self._path.parent / name
        if not data.is_file():
            raise ImageError(f"{self._path} says that its voxels are in {name}, which is not beside it. Copy both.")
        return data.stat().st_size

    def _check_size(self, wanted: int, held: int) -> None:
        """Refuses what the file cannot hold before memory is asked for."""
        if wanted > held * (1 if self._in_parts else MOST_BYTES_FROM_ONE):
            raise ImageError(
                f"{self._path} claims {' x '.join(map(str, self.size))} voxels, which {held} bytes cannot hold; it was "
                "cut short, or its header is damaged. Copy it again."
            )
        if not self._in_parts and wanted > LARGEST_WHOLE_BYTES:
            raise ImageError(
                f"{self._path} takes {wanted / 2**30:.1f} GiB, as it can only be read whole; we stop "
                f"at {LARGEST_WHOLE_BYTES >> 30} GiB. Save it as .nii.gz, or as an uncompressed .mha."
            )


def _volume(path: Path) -> _Volume:
    return _opened(path, _changed(path))


def _changed(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _opened(path: Path, _changed: tuple[int, int]) -> _Volume:
    return _Volume(path)


@lru_cache(maxsize=2)
def _whole(path: Path, _changed: tuple[int, int]) -> NDArray[np.generic]:
    """(pages, H, W) stored values."""
    sitk = _simpleitk(path)
    try:
        array: NDArray[np.generic] = sitk.GetArrayFromImage(_reader(path).Execute())
    except RuntimeError as error:
        raise _damaged(path, error) from error
    return array.reshape(-1, *array.shape[-2:])


def _reader(path: Path) -> Any:  # SimpleITK's ImageFileReader
    reader = _simpleitk(path).ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("MetaImageIO" if path.suffix.lower() in (".mha", ".mhd") else "NrrdImageIO")  # else case matters
    return reader


def _simpleitk(path: Path) -> ModuleType:
    try:
        import SimpleITK
    except ImportError as error:
        raise MissingExtra(f"{path} is a volume that SimpleITK reads: pip install 'ushape[medical]'.") from error
    return SimpleITK


def _damaged(path: Path, error: Exception) -> ImageError:
    words = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ImageError(
        f"{path} cannot be read as a volume: {words[-1].rstrip('.')}. It may be damaged or cut short; copy it "
        "again, or convert it again from the scanner's files."
    )
