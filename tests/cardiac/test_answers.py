"""Class maps for the slices of a frame, and what becomes of them as a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cine_files import beating, cine_series
from level_network import level_network
from ushape.cardiac.answers import MaskAnswers, NetworkAnswers, stacked
from ushape.cardiac.frames import Frame
from ushape.data.pair import Pair
from ushape.errors import DataError
from ushape.images.source import pages
from ushape.labels import Labels
from ushape.predict.tiled import Predictor


def frame_of(folder: Path) -> Frame:
    pairs = tuple(Pair(page.name, page, (), None, "p", "values") for page in pages(folder))
    return Frame("p", 1, pairs)


def test_a_network_mends_slices_or_the_volume(tmp_path: Path) -> None:
    classes = beating((10.2,))
    classes[0, 1, 2:6, 30:36] = 3  # apart in its slice, and in the volume
    classes[0, 2, 24, 40:47], classes[0, 1:3, 24, 43:46] = 0, 2  # apart in its slice alone
    classes[0, 1, 24, 40:47] = 2
    frame = frame_of(cine_series(tmp_path / "heart", classes))
    names = ("endocardium", "epicardium")
    volumes = NetworkAnswers(Predictor(level_network(), one_piece=names, pieces_in="volumes"))
    slices = NetworkAnswers(Predictor(level_network(), one_piece=names))
    assert (stacked(frame, volumes.classes) == classes[0]).all()
    whole = volumes.whole(stacked(frame, volumes.classes))
    assert (whole[1, 2:6, 30:36] == 0).all() and (whole[2, 24, 43:46] == 2).all()
    alone = slices.whole(stacked(frame, slices.classes))
    assert (alone[1, 2:6, 30:36] == 0).all() and (alone[2, 24, 43:46] == 0).all()


def test_masks_are_looked_for_when_they_are_asked_for(tmp_path: Path) -> None:
    frame = frame_of(cine_series(tmp_path / "in" / "heart", beating((10.2,))))
    answers = MaskAnswers(tmp_path / "masks", Labels(("background", "cavity"), (0, 1)))
    (tmp_path / "masks").mkdir()
    (tmp_path / "in" / "heart").rename(tmp_path / "masks" / "heart")
    with pytest.raises(DataError, match="has no mask for 1 of 1 images: other"):
        answers.check([Pair("other", frame.pairs[0].image, (), None, "p", "values")])
    assert (answers.whole(np.ones((1, 2, 2), np.uint8)) == 1).all()


def test_slices_of_several_sizes_are_no_stack(tmp_path: Path) -> None:
    frame = frame_of(cine_series(tmp_path / "heart", beating((10.2,))))
    sizes = iter([(4, 5), (4, 5), (4, 6), (4, 5)])
    with pytest.raises(DataError, match="The slices of p differ in size: 4 x 5, 4 x 6 pixels"):
        stacked(frame, lambda _: np.zeros(next(sizes), np.uint8))
