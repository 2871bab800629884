"""Pictures of one thing that stand alike in every group; turned ones, uneven light and chance do not count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushape.data.folder import survey
from ushape.data.upright import uprightness

Draw = Callable[[np.random.Generator], np.ndarray]


def noise(random: np.random.Generator) -> np.ndarray:
    return random.normal(100, 20, (64, 48))


def chest(random: np.random.Generator) -> np.ndarray:
    """Two dark lungs beside one another, and a heart that is brighter on one side."""
    picture = noise(random)
    picture[10:50, 8:18] -= 60
    picture[10:50, 30:40] -= 60
    picture[34:52, 24:36] += 70
    return picture


def turned(random: np.random.Generator) -> np.ndarray:
    return np.rot90(chest(random), random.integers(4))


def unevenly_lit(random: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[-1:1:64j, -1:1:48j]
    return noise(random) + 40 * x - 30 * y + 20 * x * y - 30 * x * x


def measured(folder: Path, draw: Draw, patients: int, slices: int = 3) -> float:
    random = np.random.default_rng(0)
    for name in [f"patient{p}_slice{s}" for p in range(patients) for s in range(slices)]:
        picture = draw(random)
        for kind, pixels in (("images", picture), ("masks", picture > 100)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / kind / f"{name}.png")
    pairs = survey(folder).pairs
    assert len({pair.group for pair in pairs}) == patients
    return uprightness(pairs)


def test_patients_resemble_one_another_upright(tmp_path: Path) -> None:
    assert measured(tmp_path, chest, 8) > 0.1


@pytest.mark.parametrize("draw", [turned, unevenly_lit, noise])
def test_what_has_no_upright_is_not_found_to_have_one(draw: Draw, tmp_path: Path) -> None:
    assert measured(tmp_path, draw, 12) == 0.0


@pytest.mark.parametrize("patients", [1, 4])
def test_a_few_groups_may_agree_by_chance(patients: int, tmp_path: Path) -> None:
    assert measured(tmp_path, chest, patients, slices=10) == 0.0


def test_images_of_one_value_say_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path, lambda random: np.full((32, 32), 7), 6) == 0.0
