"""Lines, discs and touching objects of known thickness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushape.data.annotation import annotate
from ushape.data.folder import survey
from ushape.data.thickness import Thickness, thinnest

ROWS, COLUMNS = np.mgrid[:200, :200]


def found(root: Path, mask: np.ndarray, **options: object) -> Thickness | None:
    for kind, pixels in (("images", np.zeros(mask.shape)), ("masks", mask)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(root / kind / "a.png")
    folder = survey(root)
    return thinnest(folder.pairs, annotate(folder, **options))


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90])
@pytest.mark.parametrize("width", [6, 15])
def test_a_line_is_as_thick_as_it_is_wide_in_any_direction(tmp_path: Path, width: int, angle: int):
    along = np.radians(angle)
    across = (ROWS - 100) * np.cos(along) - (COLUMNS - 100) * np.sin(along)
    thickness = found(tmp_path, 255 * (np.abs(across) < width / 2))
    assert thickness is not None and thickness.name == "foreground"
    assert thickness.pixels == pytest.approx(width, rel=0.3)


@pytest.mark.parametrize("radius", [8, 30])
def test_a_disc_is_half_as_thick_as_it_is_wide(tmp_path: Path, radius: int):
    thickness = found(tmp_path, 255 * (np.hypot(ROWS - 100, COLUMNS - 100) < radius))
    assert thickness is not None and thickness.pixels == pytest.approx(radius, rel=0.1)


def test_where_objects_touch_there_is_a_border(tmp_path: Path):
    squares = 1 + ROWS // 20 * 10 + COLUMNS // 20
    squares[:40] = 0
    apart = found(tmp_path / "apart", squares, task="instances")
    assert apart is not None and apart.pixels == pytest.approx(10 * 4 / np.pi, rel=0.1)
    as_one = found(tmp_path / "one", squares, task="semantic")
    assert as_one is not None and as_one.pixels > 50


def test_thin_background_counts(tmp_path: Path):
    thickness = found(tmp_path, 255 * (ROWS % 40 > 4))
    assert thickness is not None and thickness.name == "background"


def test_where_nothing_meets_nothing_is_known(tmp_path: Path):
    strokes = np.zeros((50, 50))
    strokes[10], strokes[30] = 1, 2
    assert found(tmp_path, strokes, ignored_values=(0,)) is None
