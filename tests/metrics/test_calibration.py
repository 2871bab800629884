"""Calibration: worked by hand, equal to a plain reference and to scikit-learn, pooled as sums, blind to the ignored."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError
from ushape.labels import IGNORED
from ushape.metrics.calibration import BINS, Calibration


def two(*foreground: float) -> NDArray[np.float64]:
    """(2, 1, W) probabilities of two classes."""
    p = np.array([foreground])
    return np.stack([1 - p, p])


def drawn(seed: int, classes: int, pixels: int = 400) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A truth with some of it ignored, and probabilities as surely right as they are wrong elsewhere."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (classes, 20, pixels // 20))
    powers = np.exp(logits)
    truth = rng.integers(0, classes, logits.shape[1:]).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = IGNORED
    return truth, (powers / powers.sum(axis=0)).astype(np.float32)


def plainly(truth: NDArray[np.uint8], probability: NDArray[np.floating]) -> dict[str, float]:
    """Pixel by pixel, as the definitions read."""
    kept = [(int(t), p) for t, p in zip(truth.ravel(), probability.reshape(len(probability), -1).T, strict=True)]
    kept = [(t, p.astype(float)) for t, p in kept if t != IGNORED]

    def error(pairs: list[tuple[float, bool]]) -> float:
        total = 0.0
        for n in range(BINS):
            inside = [(p, right) for p, right in pairs if n / BINS < p <= (n + 1) / BINS or (n == 0 and p == 0)]
            if inside:
                share, mean = np.mean([right for _, right in inside]), np.mean([p for p, _ in inside])
                total += len(inside) / len(pairs) * abs(share - mean)
        return float(total)

    classes = range(len(probability))
    return {
        "ece": error([(p.max(), int(p.argmax()) == t) for t, p in kept]),
        "classwise_ece": float(np.mean([error([(p[k], t == k) for t, p in kept]) for k in classes])),
        "brier": float(np.mean([sum((p[k] - (t == k)) ** 2 for k in classes) for t, p in kept])),
        "nll": float(np.mean([-math.log(p[t]) for t, p in kept])),
    }


def test_by_hand():
    """Four pixels, called background .9, .9, cell .7, cell .6, of which the second and the last are wrong.

    Bins of 1/15: .9 and .9 share (.867, .933], where one of two is right: |1/2 − .9| = .4; .7 has |1 − .7| = .3;
    .6 has |0 − .6| = .6. Half the pixels are in the first bin, a quarter in each other: ECE = .2 + .075 + .15 = .425.
    """
    found = Calibration.of(np.array([[0, 1, 1, 0]]), two(0.1, 0.1, 0.7, 0.6))
    scores = found.scores()
    assert scores["ece"] == pytest.approx(0.425)
    assert scores["brier"] == pytest.approx(2 * (0.1**2 + 0.9**2 + 0.3**2 + 0.6**2) / 4)
    assert scores["nll"] == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.7) + math.log(0.4)) / 4)
    cell = (2 * abs(0.1 - 1 / 2) + abs(0.7 - 1) + abs(0.6 - 0)) / 4
    background = (2 * abs(0.9 - 1 / 2) + abs(0.3 - 0) + abs(0.4 - 1)) / 4
    assert scores["classwise_ece"] == pytest.approx((cell + background) / 2)
    bins = [(each.confidence, each.right, each.share) for each in found.reliability()]
    assert np.allclose(bins, [(0.6, 0, 0.25), (0.7, 1, 0.25), (0.9, 0.5, 0.5)])
    assert (found.pixels, found.ece) == (4, scores["ece"])


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_equals_a_plain_reference(classes: int):
    for seed in range(3):
        truth, probability = drawn(seed, classes)
        assert Calibration.of(truth, probability).scores() == pytest.approx(plainly(truth, probability), rel=1e-9)


def test_brier_and_likelihood_are_those_of_scikit_learn():
    truth, probability = drawn(1, 2)
    counted = truth != IGNORED
    wanted, foreground = truth[counted], probability[1][counted].astype(float)
    scores = Calibration.of(truth, probability).scores()
    assert scores["brier"] == pytest.approx(2 * sklearn.metrics.brier_score_loss(wanted, foreground), rel=1e-5)
    assert scores["nll"] == pytest.approx(sklearn.metrics.log_loss(wanted, foreground), rel=1e-5)


def test_windows_and_images_add():
    truth, probability = drawn(2, 3)
    halves = (np.s_[:, :7], np.s_[:, 7:])
    parts = [Calibration.of(truth[half], probability[(slice(None), *half)]) for half in halves]
    assert sum(parts, Calibration.none(3)).scores() == pytest.approx(Calibration.of(truth, probability).scores())


def test_ignored_pixels_count_nowhere():
    truth, probability = drawn(3, 2)
    changed = np.where(truth == IGNORED, 0.5, probability)
    assert Calibration.of(truth, changed).scores() == Calibration.of(truth, probability).scores()
    nothing = Calibration.of(np.full_like(truth, IGNORED), probability)
    assert nothing.pixels == 0 and nothing.reliability() == []
    assert all(map(math.isnan, nothing.scores().values()))


def test_who_is_always_right_and_certain_has_no_error_and_who_is_always_wrong_all_of_it():
    truth = np.array([[0, 1, 1]])
    assert Calibration.of(truth, two(0, 1, 1)).scores() == {"ece": 0, "classwise_ece": 0, "brier": 0, "nll": 0}
    wrong = Calibration.of(truth, two(1, 0, 0)).scores()
    assert wrong["ece"] == wrong["classwise_ece"] == 1 and wrong["brier"] == 2
    assert wrong["nll"] == pytest.approx(87.34, abs=0.01), "of 0 the logarithm would be infinite"


def test_probabilities_that_hold_have_next_to_no_error():
    rng = np.random.default_rng(0)
    foreground = rng.random((200, 500))
    truth = (rng.random(foreground.shape) < foreground).astype(np.uint8)
    assert Calibration.of(truth, np.stack([1 - foreground, foreground])).ece < 0.01
    sure = foreground**4 / (foreground**4 + (1 - foreground) ** 4)
    assert Calibration.of(truth, np.stack([1 - sure, sure])).ece > 0.1


def test_what_is_no_probability_is_refused():
    with pytest.raises(ImageError, match=r"2 of 4 probabilities are not within 0 to 1, such as 3\.0.*not the logits"):
        Calibration.of(np.array([[0, 1]]), np.array([[[0.5, 3.0]], [[0.5, math.nan]]]))
    with pytest.raises(ImageError, match=r"class 2, but there are probabilities of the 2 classes from 0 to 1\. Map"):
        Calibration.of(np.array([[0, 2]]), two(0.5, 0.5))
    with pytest.raises(SizeError, match="truth"):
        Calibration.of(np.array([[0, 1, 1]]), two(0.5, 0.5))
