"""How sure a network is against how right it is, over the tiles of images."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from ushape.checkpoint import Trained
from ushape.evaluate import Evaluation, Scoring
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import IGNORED, Labels
from ushape.metrics.calibration import Calibration
from ushape.metrics.pixels import PixelScores, confusion, roc_auc
from ushape.metrics.trust import ExpectedDice
from ushape.models.segmenter import Segmenter
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe
from ushape.train.validate import Truth

TWO = Labels(("background", "cell"), (0, 255))
WARM = replace(TWO, temperature=2.0)


class Grey(Segmenter):
    """The foreground's one logit is the grey value: 0 on 128, ±8 on white and black."""

    in_channels, classes = 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, 1, 1)
        self.head.weight.data[:] = torch.tensor(1 / 16)
        self.head.bias.data[:] = torch.tensor(-8.0)

    def along_axis(self, x: Axis) -> Axis:
        return x

    @property
    def footprint(self) -> Footprint:
        return Footprint(margin=0, multiple=1, smallest_input=1)

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.head(x)]


def predictor(labels: Labels = WARM) -> Predictor:
    return Predictor(Trained(Grey().eval(), labels, Intensity((0.0,), (1.0,), "uint8"), Recipe()), keep_px=7)


def truth(seed: int, noise: float = 40) -> Truth:
    rng = np.random.default_rng(seed)
    classes = np.zeros((20, 24), np.uint8)
    classes[4:14, 3:15] = 1
    grey = rng.normal(np.where(classes, 170, 90), noise).clip(0, 255).astype(np.uint8)
    classes[:, 20:] = IGNORED
    return Truth(f"image {seed}", f"image {seed}", from_array(grey, f"image {seed}"), classes)


TRUTHS = [truth(seed, noise) for seed, noise in enumerate((20, 40, 60, 90))]


def evaluated(labels: Labels = WARM, *families: str, truths: list[Truth] = TRUTHS) -> Evaluation:
    scoring = Scoring(predictor(labels), families)  # type: ignore[arg-type]
    for each in truths:
        scoring.add(each)
    return scoring.result()


def whole(labels: Labels, each: Truth) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return predictor(labels).whole(each.source)


def test_it_is_always_known_with_the_temperature_and_without():
    confidence = evaluated().confidence
    assert confidence is not None
    for labels, found in ((WARM, confidence.calibration), (TWO, confidence.untempered)):
        parts = [Calibration.of(each.classes, whole(labels, each)[1]) for each in TRUTHS]
        assert found.scores() == pytest.approx(sum(parts, Calibration.none(2)).scores(), abs=1e-6)
    words = f"expected calibration error {confidence.calibration.ece:.4f} at temperature 2, "
    assert confidence.in_words() == f"{words}{confidence.untempered.ece:.4f} without"


def test_of_a_network_without_a_temperature_there_is_one_error():
    confidence = evaluated(TWO).confidence
    assert confidence is not None and confidence.untempered is confidence.calibration
    assert confidence.in_words() == f"expected calibration error {confidence.calibration.ece:.4f}"


def test_the_family_has_each_image_and_all_pixels_at_once():
    (measures,) = evaluated(WARM, "calibration").measures
    assert (measures.family, measures.names) == ("calibration", tuple(each.name for each in TRUTHS))
    answers = [whole(WARM, each) for each in TRUTHS]
    expected = [ExpectedDice.of(*answer).dice for answer in answers]
    true = [PixelScores.of(confusion(t.classes, c, 2)).mean_dice for t, (c, _) in zip(TRUTHS, answers, strict=True)]
    for each, (_, probability), dice, image in zip(TRUTHS, answers, expected, measures.images, strict=True):
        wanted = {**Calibration.of(each.classes, probability).scores(), "expected_dice": dice}
        assert image == pytest.approx(wanted, abs=1e-6)
    assert measures.folder["rank_correlation_with_dice"] == pytest.approx(spearmanr(expected, true).statistic)
    counted = np.stack([each.classes for each in TRUTHS]) != IGNORED
    wrong = np.stack([c != t.classes for t, (c, _) in zip(TRUTHS, answers, strict=True)])[counted]
    uncertainty = np.stack([WARM.uncertainty(p) for _, p in answers])[counted]
    assert measures.folder["auc_of_wrong_pixels"] == pytest.approx(roc_auc(wrong, uncertainty), abs=2e-3)
    assert measures.folder["ece"] == pytest.approx(evaluated().confidence.calibration.ece)  # type: ignore[union-attr]
    columns = {"ece", "classwise_ece", "brier", "nll", "expected_dice"}
    assert set(measures.figures()) == {*columns, "auc_of_wrong_pixels", "rank_correlation_with_dice"}


def test_it_stands_beside_families_of_class_maps_in_json():
    objects = [replace(each, objects=np.where(each.classes == 1, 1, 0)) for each in TRUTHS[:2]]
    evaluation = evaluated(WARM, "calibration", "partitions", truths=objects)
    about = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert [each["family"] for each in about["measures"]] == ["partitions", "calibration"]
    assert about["measures"][1]["figures"]["rank_correlation_with_dice"]["pooled"] is None, (
        "of two images there is none"
    )
    assert about["confidence"]["temperature"] == 2
    assert about["confidence"]["pixels"] == 2 * 20 * 20
    assert sum(each["share"] for each in about["confidence"]["bins"]) == pytest.approx(1)


def test_images_that_count_nowhere_are_no_trouble():
    void = replace(TRUTHS[0], classes=np.full_like(TRUTHS[0].classes, IGNORED))
    about = evaluated(WARM, "calibration", truths=[void] * 3).to_dict()
    assert about["confidence"] == {
        "temperature": 2.0, "ece": None, "ece_at_temperature_1": None, "pixels": 0, "bins": [],
    }  # fmt: skip
    (measures,) = evaluated(WARM, "calibration", truths=[void, *TRUTHS]).measures
    assert math.isnan(measures.images[0]["ece"])
    assert measures.folder["ece"] == pytest.approx(evaluated(WARM, "calibration").measures[0].folder["ece"])
