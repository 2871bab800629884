"""Drawn hearts that beat: class maps over time, and the scanner's series that shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicom_files import SPACING_MM, STEP_MM, series
from level_network import STEP

RADII_PX = (10.2, 11.0, 10.4, 9.0, 7.5, 6.5, 7.4, 9.0)
"""Of the cavity at the base, frame after frame: frame 2 is the end of diastole, frame 6 that of systole."""
VOXEL_ML = STEP_MM * SPACING_MM[0] * SPACING_MM[1] / 1000


def beating(radii: tuple[float, ...] = RADII_PX, slices: int = 4, side: int = 48) -> NDArray[np.uint8]:
    """(T, Z, H, W) class numbers of level_network.HEART, the base first."""
    y, x = np.ogrid[:side, :side]
    radius, right = np.hypot(y - 24, x - 28), np.hypot(y - 24, x - 8)
    found = np.zeros((len(radii), slices, side, side), np.uint8)
    for t, inner in enumerate(radii):
        for z in range(slices):
            found[t, z][right < 6 - z] = 1
            found[t, z][radius < 14 - z] = 2
            found[t, z][radius < inner - z] = 3
    return found


def cine_series(folder: Path, classes: NDArray[np.uint8], **tags) -> Path:
    """A folder of DICOM slices whose brightness says the class, with noise that changes none."""
    noise = np.random.default_rng(3).integers(-20, 21, classes.shape)
    pixels = np.clip(classes * STEP + noise, 0, None).astype(np.uint16)
    return series(folder, pixels, **tags)
