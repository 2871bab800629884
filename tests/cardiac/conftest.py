"""Hearts whose figures are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.cardiac.study import CardiacStudy, Heart
from ushape.cardiac.ventricle import Ventricle

Three = tuple[float, float, float]

VOXEL = (8.0, 1.5, 1.5)
REGIONS = {"endocardium": [3], "epicardium": [2, 3]}


def _ellipsoid(radii_mm: Three, voxel_mm: Three, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Voxels whose centres lie within."""
    along = [(np.arange(n) - (n - 1) / 2) * size for n, size in zip(shape, voxel_mm, strict=True)]
    places = np.meshgrid(*along, indexing="ij")
    inside: NDArray[np.bool_] = sum((p / radius) ** 2 for p, radius in zip(places, radii_mm, strict=True)) <= 1
    return inside


@pytest.fixture(scope="session")
def heart() -> Callable[..., Ventricle]:
    """heart(radii of the cavity, thickness of the wall): a whole ellipsoid of cavity in one of wall."""

    def made(
        cavity_mm: Three = (40, 24, 24),
        wall_mm: float = 10,
        voxel_mm: Three = (2, 1, 1),
        shape: tuple[int, int, int] = (52, 72, 72),
    ) -> Ventricle:
        slices, height, width = (radius + wall_mm for radius in cavity_mm)
        outer = _ellipsoid((slices, height, width), voxel_mm, shape)
        return Ventricle(_ellipsoid(cavity_mm, voxel_mm, shape), outer, None, voxel_mm)

    return made


@pytest.fixture(scope="session")
def tube() -> Callable[..., Ventricle]:
    """tube(inner radius, outer radius): the same ring in every slice, in the middle of 81 x 81 pixels."""

    def made(
        inner_px: float, outer_px: float, slices: int = 6, side: int = 81, voxel_mm: Three | None = None
    ) -> Ventricle:
        y, x = np.ogrid[:side, :side]
        radius = np.hypot(y - side // 2, x - side // 2)
        endo, epi = (np.repeat((radius < r)[None], slices, axis=0) for r in (inner_px, outer_px))
        return Ventricle(endo, epi, None, voxel_mm)

    return made


def _save(path: Path, slices: np.ndarray, *, measured: bool = True) -> None:
    """(S, H, W) as NIfTI, with VOXEL or with the header of a file that has lost it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([VOXEL[2], VOXEL[1], VOXEL[0], 1]) if measured else np.eye(4)
    image = nibabel.Nifti1Image(slices.T, affine)
    image.header.set_xyzt_units("mm" if measured else "unknown")
    nibabel.save(image, path)


def _classes(ventricle: Ventricle) -> np.ndarray:
    assert ventricle.epicardium is not None
    return ventricle.epicardium * np.uint8(2) + ventricle.endocardium * np.uint8(1)


@pytest.fixture(scope="session")
def save() -> Callable[..., None]:
    """save(path, slices): (S, H, W) as NIfTI."""
    return _save


@pytest.fixture(scope="session")
def hearts(tmp_path_factory: pytest.TempPathFactory, heart: Callable[..., Ventricle]) -> Path:
    """Two patients at two moments, their bases cut off, and masks by a second reader who draws smaller cavities."""
    root = tmp_path_factory.mktemp("hearts")
    shape = {"voxel_mm": VOXEL, "shape": (14, 48, 48)}
    for number, radii in enumerate(((40, 24, 24), (44, 26, 25)), start=1):
        for frame, share in ((1, 1.0), (9, 0.7)):
            cavity = (radii[0], share * radii[1], share * radii[2])
            whole = _classes(heart(cavity, 8, **shape))[5:]
            other = _classes(heart((cavity[0], cavity[1] - 2, cavity[2] - 2), 10, **shape))[5:]
            name = f"patient{number:03d}_frame{frame:02d}.nii.gz"
            rng = np.random.default_rng(number)
            _save(root / "data" / "images" / name, (60 * whole + rng.integers(0, 9, whole.shape)).astype(np.float32))
            _save(root / "data" / "masks" / name, whole)
            _save(root / "second" / name, other)
            _save(root / "upside down" / "images" / name, 60 * whole[::-1].astype(np.float32), measured=False)
            _save(root / "upside down" / "masks" / name, whole[::-1], measured=False)
            _save(root / "second upside down" / name, other[::-1], measured=False)
    return root


@pytest.fixture(scope="session")
def read(hearts: Path) -> list[Heart]:
    found = list(CardiacStudy(hearts / "data", hearts / "second", regions=REGIONS).hearts())
    assert all(found)
    return [heart for heart in found if heart]
