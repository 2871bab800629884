"""The temperature that is found is the one the truth was drawn with, whatever the number of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from ushape.labels import IGNORED, Labels
from ushape.metrics.calibration import Calibration
from ushape.train import temperature
from ushape.train.temperature import RANGE, Calibrated, PixelSample, sample_of


def drawn(warmth: float, classes: int = 2, side: int = 200) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A truth drawn from logits / warmth, and what a network of these logits answers."""
    rng = np.random.default_rng(classes)
    logits = rng.normal(0, 3, (classes, side, side))
    chances = softmax(logits / warmth, axis=0).cumsum(axis=0)
    truth = (rng.random((side, side)) > chances).sum(axis=0).clip(0, classes - 1).astype(np.uint8)
    return truth, softmax(logits, axis=0).astype(np.float32)


def fitted(truth: NDArray[np.uint8], probability: NDArray[np.float32], seed: int = 0) -> Calibrated:
    sample = sample_of([truth], len(probability), np.random.default_rng(seed))
    sample.add(truth, probability)
    found = sample.fitted()
    assert found is not None
    return found


@pytest.mark.parametrize(("warmth", "classes"), [(0.5, 2), (1.0, 2), (2.5, 2), (1.7, 4)])
def test_it_is_that_of_the_truth(warmth: float, classes: int):
    truth, probability = drawn(warmth, classes)
    found = fitted(truth, probability)
    assert found.temperature == pytest.approx(warmth, rel=0.05)
    assert found.after < 0.01
    assert found.pixels == truth.size


def test_no_other_makes_the_truth_more_probable():
    truth, probability = drawn(2.0, 3, side=40)
    found = fitted(truth, probability).temperature

    def surprise(at: float) -> float:
        logs = log_softmax(np.log(probability.astype(float)) / at, axis=0)
        return -float(np.take_along_axis(logs, truth[None].astype(int), axis=0).mean())

    others = [surprise(at) for at in np.geomspace(*RANGE, 200)]
    assert surprise(found) <= min(others) + 1e-9


def test_errors_are_those_before_and_after_and_of_the_labels_own_probabilities():
    truth, probability = drawn(2.0, side=40)
    found = fitted(truth, probability)
    labels = Labels(("a", "b"), (0, 1), temperature=found.temperature)
    tempered = labels.probability(torch.from_numpy(probability)[None].log())[0].numpy()
    assert found.before == pytest.approx(Calibration.of(truth, probability).ece)
    assert found.after == pytest.approx(Calibration.of(truth, tempered).ece, abs=1e-5)
    assert found.after < found.before
    words = f"temperature {found.temperature:.3g}, expected calibration error {found.before:.4f} → {found.after:.4f}"
    assert found.in_words() == f"{words} on 1,600 pixels of the validation images"


def test_ignored_pixels_and_tiles_change_nothing():
    truth, probability = drawn(2.0, side=40)
    truth[::3] = IGNORED
    kept = truth != IGNORED
    alone = fitted(truth[kept][None], probability[:, kept][:, None])
    sample = PixelSample(2, truth.size, np.random.default_rng(0))
    for rows in (slice(0, 13), slice(13, 40)):
        sample.add(truth[rows], probability[:, rows])
    found = sample.fitted()
    assert found is not None and found.pixels == kept.sum()
    assert found.temperature == pytest.approx(alone.temperature, rel=1e-3)


def test_of_many_pixels_evenly_drawn_ones_are_kept(monkeypatch: pytest.MonkeyPatch):
    truth, probability = drawn(2.5)
    monkeypatch.setattr(temperature, "_MOST_NUMBERS", 20_000)
    found = fitted(truth, probability)
    assert found.pixels == pytest.approx(10_000, rel=0.05)
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    assert found == fitted(truth, probability), "the same seed draws the same"
    assert found.pixels != fitted(truth, probability, seed=1).pixels


def test_without_an_annotated_pixel_there_is_none():
    assert sample_of([], 2, np.random.default_rng(0)).fitted() is None
    truth, probability = drawn(1.0, side=10)
    sample = sample_of([truth], 2, np.random.default_rng(0))
    sample.add(np.full_like(truth, IGNORED), probability)
    assert sample.fitted() is None


def test_who_is_always_right_or_always_wrong_stays_in_the_range():
    truth = np.array([[0, 1]], np.uint8)
    right = np.array([[[0.9, 0.2]], [[0.1, 0.8]]], np.float32)
    assert fitted(truth, right).temperature == pytest.approx(RANGE[0], rel=0.01)
    assert fitted(truth, right[::-1].copy()).temperature == pytest.approx(RANGE[1], rel=0.01)


def test_a_certain_mistake_is_no_trouble():
    truth, probability = drawn(2.0, side=40)
    probability[:, 0, 0], truth[0, 0] = (1.0, 0.0), 1
    assert fitted(truth, probability).temperature > 1
