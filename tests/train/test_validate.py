"""Scores of a network in training are those that its predictions have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ushape.checkpoint import Trained
from ushape.errors import DataError
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import IGNORED, Labels
from ushape.metrics.pixels import confusion
from ushape.models import build
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe
from ushape.train.validate import Truth, scored, table

NAMES = ("background", "cell", "rim")


def predictor(keep_px: int | None = None) -> Predictor:
    torch.manual_seed(0)
    model = build("unet", in_channels=1, classes=3, width=4, depth=1).placed(torch.device("cpu")).eval()
    return Predictor(
        Trained(model, Labels(NAMES, (0, 1, 2)), Intensity((128.0,), (64.0,), "uint8"), Recipe()), keep_px=keep_px
    )


def image(seed: int, shape: tuple[int, int] = (30, 41)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 1)).astype(np.uint8)


def truths(*seeds: int, ignored: bool = False) -> list[Truth]:
    every = []
    for seed in seeds:
        classes = np.random.default_rng(seed + 100).integers(0, 3, (30, 41)).astype(np.uint8)
        if ignored:
            classes[:, 20:] = IGNORED
        every.append(Truth(f"image {seed}", f"group {seed % 2}", from_array(image(seed), f"image {seed}"), classes))
    return every


def test_the_confusion_is_that_of_the_whole_image_however_it_is_tiled():
    network = predictor()
    for keep_px in (None, 8, 16):
        for row, truth in zip(scored(predictor(keep_px), truths(0, 1)), truths(0, 1), strict=True):
            classes, _ = network.whole(truth.source)
            assert (row.confusion == confusion(truth.classes, classes, 3)).all()
            assert row.confusion.sum() == 30 * 41


def test_rows_come_one_by_one_with_name_and_group():
    rows = scored(predictor(), truths(4, 5))
    assert (next(rows).name, next(rows).group) == ("image 4", "group 1")


def test_ignored_pixels_count_nowhere():
    (row,) = scored(predictor(), truths(3, ignored=True))
    assert row.confusion.sum() == 30 * 20


def test_a_perfect_truth_scores_1():
    network = predictor()
    source = from_array(image(7), "image")
    classes, _ = network.whole(source)
    found = table(network, [Truth("a", "a", source, classes)])
    assert found.summary().pixel_accuracy.mean == 1
    assert found.summary().foreground.dice.mean == 1


def test_the_table_has_a_row_per_image_and_the_names_of_the_classes():
    found = table(predictor(), truths(1, 2, 3))
    assert [row.name for row in found.rows] == ["image 1", "image 2", "image 3"]
    assert found.class_names == NAMES


def test_no_image_to_score_is_told():
    with pytest.raises(DataError, match="No image to score"):
        table(predictor(), [])
