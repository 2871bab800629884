"""Where the voxels of a volume lie in the patient: what makes a mask open on its image without a shift."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

LARGEST_SHIFT = 0.1
"""Of a voxel: two grids whose corners lie further apart are not the same."""

_MICROMETRES_PER_MILLIMETRE = 1e3


@dataclass(frozen=True, eq=False)
class Grid:
    """A volume of `shape` voxels (x, y, z, t), as the file orders them; a page of it is a slice (y, x) at a z and a t.

    affine: (4, 4), voxel indices (x, y, z, 1) → millimetres to the patient's right, front and head (RAS, as NIfTI has
    it; DICOM, MetaImage and NRRD state the opposite of the first two). measured: whether the file states the size of a
    voxel; if not, distances are in voxels.
    """

    shape: tuple[int, int, int, int]
    affine: NDArray[np.float64]
    measured: bool

    @property
    def pages(self) -> int:
        """Slices of all points in time. Page t · Z + z is slice z at time t."""
        return self.shape[2] * self.shape[3]

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """The size of a voxel along x, y and z, in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def spacing(self) -> tuple[float, float] | None:
        """(y, x) micrometres of a pixel of a slice; None where the file does not say."""
        x, y, _ = self.voxel_mm
        return (y * _MICROMETRES_PER_MILLIMETRE, x * _MICROMETRES_PER_MILLIMETRE) if self.measured else None

    @property
    def slice_spacing(self) -> float | None:
        """Micrometres from the middle of a slice to that of the next; None where the file does not say."""
        return self.voxel_mm[2] * _MICROMETRES_PER_MILLIMETRE if self.measured and self.shape[2] > 1 else None

    def shift_mm(self, other: Grid) -> float:
        """How far the corners of the two lie apart, at most."""
        corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in self.shape[:3]))]).T
        apart = (self.affine - other.affine) @ corners
        return float(np.linalg.norm(apart[:3], axis=0).max())

    def difference(self, other: Grid) -> str | None:
        """What tells the grids apart, in words; None where they are the same."""
        if self.shape != other.shape:
            return f"{_times(self.shape)} voxels against {_times(other.shape)}"
        shift = self.shift_mm(other)
        if shift <= LARGEST_SHIFT * min(self.voxel_mm):
            return None
        return f"as many voxels, but up to {shift:.4g} mm apart in the patient"


def _times(shape: tuple[int, int, int, int]) -> str:
    """
    >>> _times((256, 256, 10, 1))
    '256 x 256 x 10'
    """
    return " x ".join(map(str, shape if shape[3] > 1 else shape[:3]))
