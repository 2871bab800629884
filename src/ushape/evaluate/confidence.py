"""How sure a network is, held against how right it is: tile after tile, image after image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from ushape.labels import IGNORED, Labels
from ushape.metrics.calibration import Calibration
from ushape.metrics.families import Measures
from ushape.metrics.pixels import ScoreHistogram
from ushape.metrics.table import Row, Table
from ushape.metrics.trust import ExpectedDice
from ushape.predict.predicted import Predicted


@dataclass(frozen=True)
class Confidence:
    """How far probabilities hold over the pixels of all images, and how far at temperature 1."""

    temperature: float
    untempered: Calibration
    calibration: Calibration

    def in_words(self) -> str:
        """One line."""
        found = f"expected calibration error {self.calibration.ece:.4f}"
        if self.temperature == 1:
            return found
        return f"{found} at temperature {self.temperature:.3g}, {self.untempered.ece:.4f} without"

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        """For JSON; what is undefined is None."""
        errors = {"ece": self.calibration.ece, "ece_at_temperature_1": self.untempered.ece}
        defined = {name: None if math.isnan(error) else error for name, error in errors.items()}
        bins = [vars(each) for each in self.calibration.reliability()]
        return {"temperature": self.temperature, **defined, "pixels": self.calibration.pixels, "bins": bins}


class ConfidenceScores:
    """Confidence so far. errors: also how well uncertainty finds wrong pixels, at 2 MB and some time."""

    def __init__(self, labels: Labels, *, errors: bool) -> None:
        self._labels = labels
        self._wrong = ScoreHistogram() if errors else None
        self._untempered = Calibration.none(labels.classes)
        self._temperatures: list[float] = []
        self._images: list[tuple[Calibration, ExpectedDice]] = []

    def begin_image(self, labels: Labels | None = None) -> None:
        """Tiles to come are of the next image; labels: of who answers it, where the temperature is another."""
        self._labels = labels or self._labels
        self._temperatures.append(self._labels.temperature)
        self._images.append((Calibration.none(self._labels.classes), ExpectedDice.none(self._labels.classes)))

    def add(self, wanted: NDArray[np.uint8], tile: Predicted) -> None:
        """A tile with its (h, w) truth."""
        calibration, expected = self._images[-1]
        found = Calibration.of(wanted, tile.probability)
        self._images[-1] = calibration + found, expected + ExpectedDice.of(tile.classes, tile.probability)
        tempered = self._labels.temperature != 1
        self._untempered += Calibration.of(wanted, self._labels.untempered(tile.probability)) if tempered else found
        if self._wrong is not None:
            uncertainty = self._labels.uncertainty(tile.probability)
            self._wrong.add(tile.classes != wanted, uncertainty, wanted != IGNORED)

    def confidence(self) -> Confidence:
        """Of all images; of several temperatures, their geometric mean."""
        pooled = sum((calibration for calibration, _ in self._images), Calibration.none(self._labels.classes))
        different = set(self._temperatures) or {self._labels.temperature}
        temperature = geometric_mean(self._temperatures) if len(different) > 1 else next(iter(different))
        return Confidence(temperature, pooled if different == {1} else self._untempered, pooled)

    def measures(self, rows: Sequence[Row]) -> Measures:
        """The family `calibration`; rows: the same images, with the pixels they really have right."""
        images = tuple({**calibration.scores(), "expected_dice": of.dice} for calibration, of in self._images)
        folder = self.confidence().calibration.scores()
        folder["expected_dice"] = sum((of for _, of in self._images), ExpectedDice.none(self._labels.classes)).dice
        if self._wrong is not None:
            folder["auc_of_wrong_pixels"] = self._wrong.roc_auc()
        true = [scores.mean_dice for scores in Table(rows, self._labels.names).scores]
        folder["rank_correlation_with_dice"] = _rank_correlation([each["expected_dice"] for each in images], true)
        names, groups = (tuple(getattr(row, what) for row in rows) for what in ("name", "group"))
        return Measures("calibration", names, groups, images, folder)


def _rank_correlation(expected: Sequence[float], true: Sequence[float]) -> float:
    """Spearman's, over the images where both are defined; NaN of fewer than three, or where one never differs."""
    pairs = np.array([pair for pair in zip(expected, true, strict=True) if not np.isnan(pair).any()]).reshape(-1, 2)
    if len(pairs) < 3 or (pairs == pairs[0]).all(axis=0).any():
        return math.nan
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
