"""Scribbles that a benchmark draws: few, thin and never wrong; and the benchmark from end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sparse_annotation
from scipy import ndimage
from sparse_annotation import BACKGROUND, OBJECT, UNANNOTATED, scribbled

from ushape.images.simulated import write_folder


def discs() -> np.ndarray:
    """Nine objects of 20 px across on 150 x 160."""
    objects = np.zeros((150, 160), dtype=np.int32)
    y, x = np.mgrid[:150, :160]
    for number in range(9):
        middle = 30 + 45 * (number // 3), 30 + 50 * (number % 3)
        objects[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= 100] = number + 1
    return objects


@pytest.mark.parametrize("share", [0.1, 0.02])
def test_scribbles_are_right_thin_and_no_more_than_asked_for(share: float) -> None:
    objects = discs()
    mask = scribbled(objects, share, np.random.default_rng(0))
    assert (objects[mask == OBJECT] > 0).all() and (objects[mask == BACKGROUND] == 0).all()
    assert 0.7 * share / 2 < (mask == BACKGROUND).mean() <= share / 2
    assert 0 < (mask == OBJECT).mean() <= share / 2
    for value in (BACKGROUND, OBJECT):
        assert ndimage.binary_erosion(mask == value, np.ones((3, 3))).sum() < 0.4 * (mask == value).sum()
    assert set(np.unique(mask)) == {UNANNOTATED, BACKGROUND, OBJECT}


def test_every_object_has_a_stroke_where_there_is_room_and_none_has_two() -> None:
    objects = discs()
    mask = scribbled(objects, 0.1, np.random.default_rng(1))
    for number in range(1, 10):
        assert ndimage.label((mask == OBJECT) & (objects == number), np.ones((3, 3)))[1] == 1


@pytest.mark.slow
def test_whole_masks_and_scribbles_are_trained_on_and_compared(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", "cells", count=5, height_width=(64, 64), seed=1, instances=True)
    words = [tmp_path / "data", "--out", tmp_path / "out", "--train", "*_00[0-3]", "--test", "*_004"]
    words += ["--shares", "0.1", "--seeds", "1", "--steps", "3", "--width", "4", "--patch", "32"]
    for _ in range(2):  # the second time all is done
        done = subprocess.run(
            [sys.executable, sparse_annotation.__file__, *map(str, words)], capture_output=True, text=True, check=True
        )
        table = done.stdout.splitlines()[-4:]
        assert table[0].startswith("| training masks | annotated |")
        assert table[2].startswith("| whole masks | 100.0% |") and table[2].endswith("| 100.0% |")
        assert table[3].startswith("| scribbles, 10% at most |")
