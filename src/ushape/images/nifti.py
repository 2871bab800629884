"""NIfTI-1 and -2 (.nii, .nii.gz) of 2 to 4 axes, their headers through nibabel; a slice at a point in time is a page.

Slices are those of the file's third axis, as they are stored: rows along its second axis, columns along its first,
which is how ITK orders an array too. Values are scaled by the header's slope and intercept (voxel_type.py).
"""

from __future__ import annotations

import io
import math
import os
import zlib
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, MissingExtra
from ushape.geometry.tiles import Window
from ushape.images.grid import LARGEST_SHIFT, Grid
from ushape.images.gzipped import MOST_BYTES_FROM_ONE, GzipReader
from ushape.images.voxel_type import as_voxels, voxel_type

LARGEST_SLICE_BYTES = 2 << 30
"""The most memory that a slice of a compressed file may take, since no part of it can be read alone."""

_MILLIMETRES = {"meter": 1e3, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}  # files without a unit are in mm by custom
_GEOMETRY = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
    "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, OverflowError, MemoryError)


class NiftiImage:
    """One slice of a file, at one point in time; no file stays open between reads."""

    channels = 1

    def __init__(self, path: Path, index: int) -> None:
        self._volume = _volume(path)
        grid = self._volume.grid
        self._z, self._t = index % grid.shape[2], index // grid.shape[2]
        self.shape: tuple[int, int] = (grid.shape[1], grid.shape[0])
        self.dtype, self.spacing = self._volume.dtype, grid.spacing

    def read(self, window: Window) -> NDArray[np.generic]:
        return self._volume.read(self._z, self._t, window)


def nifti_pages(path: Path) -> int:
    """Slices times points in time."""
    return _volume(path).grid.pages


def nifti_grid(path: Path) -> Grid:
    return _volume(path).grid


def header_like(path: Path) -> Any:  # nibabel's Nifti1Header or Nifti2Header
    """A header with the axes and the geometry of a NIfTI file, and nothing else of it."""
    model = _volume(path).header
    header = type(model)()
    header.set_data_shape(model.get_data_shape())
    for field in _GEOMETRY:
        header[field] = model[field]
    return header


def header_of(grid: Grid, path: Path) -> Any:  # nibabel's Nifti1Header
    """The header of a file, to be written at `path`, on this grid."""
    nibabel = _nibabel(path)
    header = nibabel.Nifti1Header()
    header.set_data_shape(grid.shape if grid.shape[3] > 1 else grid.shape[:3])
    header["pixdim"][1:4] = grid.voxel_mm
    header.set_sform(grid.affine, code="scanner")
    header.set_qform(grid.affine, code="scanner", strip_shears=True)
    header.set_xyzt_units("mm" if grid.measured else "unknown")
    return header


def nifti_head(header: Any, dtype: np.dtype[np.generic]) -> bytes:  # nibabel's Nifti1Header or Nifti2Header
    """What stands before the voxels of a file with the axes and the geometry of a header."""
    head = header.copy()
    head.set_data_dtype(dtype)
    head.set_slope_inter(1, 0)
    head["magic"] = head.single_magic
    head.set_data_offset(head.single_vox_offset)
    written = io.BytesIO()
    head.write_to(written)
    return written.getvalue().ljust(int(head.single_vox_offset), b"\0")


class _Volume:
    """A file whose header has been read."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._zipped = path, path.suffix.lower() == ".gz"
        nibabel = _nibabel(path)
        try:
            opened = nibabel.load(path, mmap=False)
            self.header, self._first_byte = opened.header, int(opened.dataobj.offset)
            affine = self.header.get_best_affine()
            self._slope, self._intercept = float(opened.dataobj.slope), float(opened.dataobj.inter)
            unit, _ = self.header.get_xyzt_units()
        except (*_DAMAGE, nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, KeyError) as e:
            raise _damaged(path, e) from e
        self._stored = self._checked_type()
        self.dtype = voxel_type(self._stored, scaled=(self._slope, self._intercept) != (1, 0))
        self.grid = self._grid(np.asarray(affine, dtype=np.float64), unit)
        self._check_size(size)
        self._reader = GzipReader(path) if self._zipped else None

    def read(self, z: int, t: int, window: Window) -> NDArray[np.generic]:
        """(h, w, 1) values of a window of a slice."""
        width, height, slices, _ = self.grid.shape
        count = width * height
        first = self._first_byte + (t * slices + z) * count * self._stored.itemsize
        try:
            if self._reader is None:
                part = np.array(np.memmap(self._path, self._stored, "r", first, (height, width))[window.slices])
            else:
                coded = self._reader.read_at(first, count * self._stored.itemsize)
                part = np.array(np.frombuffer(coded, self._stored).reshape(height, width)[window.slices])
        except _DAMAGE as error:
            raise _damaged(self._path, error) from error
        part = part[..., np.newaxis]
        return as_voxels(part, self._slope, self._intercept, self.dtype, self._path)

    def _checked_type(self) -> np.dtype[np.generic]:
        stored: np.dtype[np.generic] = self.header.get_data_dtype()
        if stored.kind not in "iuf" or stored.itemsize > 8:
            raise ImageError(
                f"{self._path} has voxels of type {self.header['datatype']} of NIfTI ({stored}); we take integers and "
                "floats of at most 64 bits. Save one number per voxel."
            )
        return stored

    def _grid(self, affine: NDArray[np.float64], unit: str) -> Grid:
        """The grid; ImageError for more than 4 axes, and for an orientation that cannot be."""
        axes = tuple(int(size) for size in self.header.get_data_shape())
        if not len(axes) >= 2 or min(axes) < 1 or math.prod(axes[4:]) > 1:
            raise ImageError(
                f"{self._path} has the axes {' x '.join(map(str, axes)) or 'none'}; we take 2 to 4 (x, y, slices, "
                "points in time), with at least one voxel. Save one channel of it as a volume of its own."
            )
        shape = (*axes[:4], 1, 1)[:4]
        mm = _MILLIMETRES[unit]
        affine[:3] *= mm
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise ImageError(
                f"{self._path} has an affine that places all voxels on a plane, or nowhere: "
                f"{np.round(affine[:3], 6).tolist()}. Convert the file again from the scanner's, or set its sform."
            )
        sizes = [float(size) for size in self.header["pixdim"][1:4]]
        grid = Grid((shape[0], shape[1], shape[2], shape[3]), affine, not (unit == "unknown" and sizes == [1, 1, 1]))
        self._check_forms(grid, mm)
        return grid

    def _check_forms(self, grid: Grid, mm: float) -> None:
        """ImageError where sform and qform say that they mean the same space, but place the voxels elsewhere."""
        (sform, scode), (qform, qcode) = (form(coded=True) for form in (self.header.get_sform, self.header.get_qform))
        if not scode or scode != qcode:
            return
        scale = np.diag([mm, mm, mm, 1.0])
        shift = Grid(grid.shape, scale @ sform, True).shift_mm(Grid(grid.shape, scale @ qform, True))
        if shift > max(LARGEST_SHIFT, 1e-3) * max(grid.voxel_mm):
            raise ImageError(
                f"{self._path} contradicts itself: its sform and its qform both have the code {int(scode)}, but place "
                f"voxels up to {shift:.4g} mm apart, so that programs show it in different places. Convert it again "
                "from the scanner's files, or set both to the one that is right."
            )

    def _check_size(self, file_bytes: int) -> None:
        """Refuses what the file cannot hold before memory is asked for."""
        shape = self.grid.shape
        wanted = self._first_byte + math.prod(shape) * self._stored.itemsize
        if wanted > file_bytes * (MOST_BYTES_FROM_ONE if self._zipped else 1):
            raise ImageError(
                f"{self._path} claims {' x '.join(map(str, shape))} voxels, which its {file_bytes} bytes cannot hold; "
                "it was cut short, or its header is damaged. Copy it again."
            )
        slice_bytes = shape[0] * shape[1] * self._stored.itemsize
        if self._zipped and slice_bytes > LARGEST_SLICE_BYTES:
            raise ImageError(
                f"{self._path} is compressed in slices of {slice_bytes / 2**30:.1f} GiB, which can only be read whole; "
                f"we stop at {LARGEST_SLICE_BYTES >> 30} GiB. Save it uncompressed, as .nii."
            )


def _volume(path: Path) -> _Volume:
    status = os.stat(path)
    return _cached(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _cached(path: Path, size: int, _changed: int) -> _Volume:
    return _Volume(path, size)


def _nibabel(path: Path) -> ModuleType:
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtra(f"{path} is NIfTI, which nibabel reads: pip install 'ushape[medical]'.") from error
    return nibabel


def _damaged(path: Path, error: Exception) -> ImageError:
    words = (str(error) or type(error).__name__).rstrip(".")
    return ImageError(
        f"{path} cannot be read as NIfTI: {words}. It may be damaged or cut short; copy it again, or convert it again "
        "from the scanner's files."
    )
