"""One piece through a volume: what is connected to nothing goes, what holds together across slices stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cine_files import beating, cine_series
from level_network import level_network
from ushape.errors import ImageError, RecipeError
from ushape.images.source import pages, read_mask
from ushape.predict.files import Job, MaskWritten
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor
from ushape.predict.volume_pieces import require_memory

ONE_PIECE = ("endocardium", "epicardium")


def spoilt() -> np.ndarray:
    """Two moments of four slices: a stray heart in one slice, a hole, and a piece that its neighbours hold together."""
    classes = beating((10.2, 7.0))
    classes[0, 1, 2:6, 30:36] = 3
    classes[0, 0, 24, 28] = 0
    classes[1, 2, 24, 40:47] = 0
    classes[1, 1:3, 24, 43:46] = 2  # in slice 2 apart from the rest, but not in slice 1
    classes[1, 1, 24, 40:47] = 2
    return classes


def predicted(folder: Path, out: Path, **options) -> tuple[np.ndarray, MaskWritten]:
    predictor = Predictor(level_network(), one_piece=ONE_PIECE, **options)
    job = Job(predictor, find_images([str(folder)]), out, formats=("contours",), probability=True)
    (written,) = [event for event in job.events() if isinstance(event, MaskWritten)]
    mask = written.paths[0]
    return np.stack([read_mask(page.path, page.index) for page in pages(mask)]), written


def test_strays_go_and_what_holds_together_stays(tmp_path: Path) -> None:
    classes = spoilt()
    folder = cine_series(tmp_path / "in" / "heart", classes)
    mask, written = predicted(folder, tmp_path / "out", pieces_in="volumes")
    expected = classes.copy()
    expected[0, 1, 2:6, 30:36] = 0
    expected[0, 0, 24, 28] = 3
    assert (mask == expected.reshape(mask.shape)).all()
    assert written.mended == (
        "endocardium: 1 piece apart taken away, 24 pixels less, 1 more, in heart_000, heart_001",
        "epicardium: 1 piece apart taken away, 24 pixels less, 1 more, in heart_000, heart_001",
    )
    assert written.to_dict()["mended"] == list(written.mended)
    contours = json.loads((tmp_path / "out" / "heart_contours.json").read_text(encoding="utf-8"))["pages"]
    assert [len(page["contours"]) for page in contours] == [3] * 6 + [4, 3]  # they are those of the mended masks


def test_slice_by_slice_takes_what_is_apart_in_one(tmp_path: Path) -> None:
    folder = cine_series(tmp_path / "in" / "heart", spoilt())
    mask, written = predicted(folder, tmp_path / "out")
    assert written.mended == ()
    assert (mask[6, 24, 43:46] == 0).all() and (mask[1, 2:6, 30:36] == 0).all()


def test_pages_without_a_grid_are_mended_each_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "in" / "stack.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, (spoilt()[1] * 100.0).astype(np.float32), photometric="minisblack")
    volumes, written = predicted(path, tmp_path / "a", pieces_in="volumes")
    slices, _ = predicted(path, tmp_path / "b")
    assert (volumes == slices).all() and written.mended[0].endswith("in stack_002")


def test_the_dice_to_be_expected_is_that_of_the_mended_masks(tmp_path: Path) -> None:
    folder = cine_series(tmp_path / "in" / "heart", spoilt())
    _, volumes = predicted(folder, tmp_path / "a", pieces_in="volumes")
    _, slices = predicted(folder, tmp_path / "b")
    same = [name for name, dice in volumes.expected_dice.items() if dice == slices.expected_dice[name]]
    assert len(volumes.expected_dice) == 8 and set(volumes.expected_dice) - set(same) == {"heart_006"}


def test_a_volume_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    folder = cine_series(tmp_path / "in" / "heart", beating((9.0,)))
    file = pages(folder)
    require_memory(file, 4, None)
    require_memory(file, 4, 4 * 48 * 48 * 22)
    with pytest.raises(ImageError, match=r"takes 0\.0 GiB to be mended as a whole, and 0\.0 GiB are free"):
        require_memory(file, 4, 4 * 48 * 48 * 22 - 1)


def test_a_volume_in_one_piece_needs_regions() -> None:
    with pytest.raises(RecipeError, match="one piece in volumes, and none is named"):
        Predictor(level_network(), pieces_in="volumes")
