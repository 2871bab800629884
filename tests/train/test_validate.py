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
from ushape.object_rule import ObjectRule
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe
from ushape.train.validate import Truth, Validation, validated

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
        rows = validated(predictor(keep_px), truths(0, 1)).table.rows
        for row, truth in zip(rows, truths(0, 1), strict=True):
            classes, _ = network.whole(truth.source)
            assert (row.confusion == confusion(truth.classes, classes, 3)).all()
            assert row.confusion.sum() == 30 * 41


def test_rows_have_name_and_group():
    rows = validated(predictor(), truths(4, 5)).table.rows
    assert (rows[0].name, rows[1].group) == ("image 4", "group 1")


def test_ignored_pixels_count_nowhere():
    (row,) = validated(predictor(), truths(3, ignored=True)).table.rows
    assert row.confusion.sum() == 30 * 20


def test_a_perfect_truth_scores_1():
    network = predictor()
    source = from_array(image(7), "image")
    classes, _ = network.whole(source)
    found = validated(network, [Truth("a", "a", source, classes)])
    assert found.table.summary().pixel_accuracy.mean == 1
    assert found.table.summary().foreground.dice.mean == 1


def test_the_table_has_a_row_per_image_and_the_names_of_the_classes():
    found = validated(predictor(), truths(1, 2, 3))
    assert [row.name for row in found.table.rows] == ["image 1", "image 2", "image 3"]
    assert found.table.class_names == NAMES


def test_no_image_to_score_is_told():
    with pytest.raises(DataError, match="No image to score"):
        validated(predictor(), [])


def cells(threshold: float) -> Predictor:
    """Its foreground is where the image is bright, with the probability of its grey level."""
    model = build("unet", in_channels=1, classes=2, width=2, depth=1, padding="same").placed(torch.device("cpu")).eval()
    labels, intensity = Labels(("background", "object"), (0, 255)), Intensity((0.0,), (1.0,), "uint8")

    def logits(x: torch.Tensor) -> torch.Tensor:
        p = (x / 255).clamp(1e-4, 1 - 1e-4)
        return torch.cat([(1 - p).log(), p.log()], dim=1)

    rule = ObjectRule(threshold=threshold)
    cells = Predictor(Trained(model, labels, intensity, Recipe(), object_rule=rule), keep_px=64)
    model.forward = logits  # type: ignore[method-assign]
    return cells


def test_where_objects_are_the_answer_they_decide_which_network_is_better():
    objects = np.zeros((16, 24), dtype=np.int32)
    objects[4:12, 2:12], objects[4:12, 12:22] = 1, 2
    bright = np.where(objects > 0, 230, 10).astype(np.uint8)
    bright[4:12, 11:13] = 140  # where they touch
    truth = Truth("a", "a", from_array(bright[..., None], "a"), (objects > 0).astype(np.uint8), objects)
    merged, parted = validated(cells(0.5), [truth]), validated(cells(0.8), [truth])
    assert merged.dice == 1 > parted.dice == pytest.approx(2 * 144 / (144 + 160))  # the gap costs pixels
    assert merged.objects == merged.score == 0
    assert parted.objects == parted.score == pytest.approx(8 / 9)  # IoU .9: not above the last threshold


def test_without_any_object_to_judge_by_the_dice_decides():
    dark = from_array(np.zeros((16, 24, 1), np.uint8), "a")
    empty = Truth("a", "a", dark, np.zeros((16, 24), np.uint8), np.zeros((16, 24), np.int32))
    found = validated(cells(0.5), [empty])
    assert found.objects is not None and np.isnan(found.objects)
    assert found.score == found.dice == Validation(found.table).score == 0
