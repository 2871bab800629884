"""Annotated folders of a few tiny images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHAPE = (28, 36)


@pytest.fixture
def annotated(tmp_path: Path) -> Callable[..., Path]:
    """A function from names to a folder with images and masks of these names: bright squares on noise, drawn in 255.

    numbered: drawn in 1, 2, 3 instead. contrast: by how much squares are brighter.
    """

    def write(*names: str, seed: int = 0, numbered: bool = False, contrast: int = 50) -> Path:
        rng = np.random.default_rng(seed)
        for name in names:
            image, mask = rng.integers(0, 80, SHAPE), np.zeros(SHAPE)
            places = zip(rng.integers(0, 20, 3), rng.integers(0, 28, 3), strict=True)
            for number, (y, x) in enumerate(places, start=1):
                image[y : y + 8, x : x + 8] += contrast
                mask[y : y + 8, x : x + 8] = number if numbered else 255
            for kind, pixels in (("images", image), ("masks", mask)):
                path = tmp_path / "data" / kind / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        return tmp_path / "data"

    return write
