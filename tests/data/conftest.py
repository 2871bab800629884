"""A folder of small real files, drawn as a test asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ushape.data.folder import Survey, survey

SHAPE = (24, 32)


class Folder:
    """Writes images and masks below root; suffixes decide on formats. Every image is different."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._drawn = 0

    def write(self, name: str, pixels: NDArray[np.generic]) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".tif", ".tiff"):
            colour = pixels.shape[-1] == 3
            tifffile.imwrite(path, pixels, photometric="rgb" if colour else "minisblack")
        elif path.suffix == ".npy":
            np.save(path, pixels)
        else:
            Image.fromarray(pixels).save(path)
        return path

    def image(self, *names: str, shape: tuple[int, ...] = SHAPE, dtype: type = np.uint8) -> None:
        for name in names:
            self._drawn += 1
            noise = np.random.default_rng(self._drawn).integers(0, 255, shape)
            self.write(name, noise.astype(dtype))

    def mask(self, *names: str, shape: tuple[int, ...] = SHAPE, value: int = 255) -> None:
        """A square of one value on 0."""
        for name in names:
            mask = np.zeros(shape, dtype=np.uint8)
            mask[..., 4:14, 4:14] = value
            self.write(name, mask)

    def pair(self, *stems: str) -> None:
        for stem in stems:
            self.image(f"images/{stem}.png")
            self.mask(f"masks/{stem}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture(scope="session")
def real_survey(shared_data: Path) -> Callable[[str], Survey]:
    """Name of a real set → its survey, made once."""
    return cache(lambda name: survey(shared_data / name))
