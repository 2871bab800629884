"""Hearts whose figures are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.cardiac.ventricle import Ventricle

Three = tuple[float, float, float]


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
