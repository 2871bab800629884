"""What an evaluation gives: a table of pixels, and the figures over all thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ushape.evaluate.confidence import Confidence
from ushape.metrics.families import Measures
from ushape.metrics.table import Row, Table


@dataclass(frozen=True)
class Scored:
    """One image of an evaluation done."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Evaluation:
    """The table of a folder. Of two classes also the threshold-free figures, pooled over all counted pixels.

    roc_auc, average_precision: of the foreground's probability. best_f1, best_threshold: of the best single threshold,
    which is chosen on these very images and so flatters. trained_on: evaluated images whose pixels the
    network was trained on, under whatever name. measures: the further families of scores. confidence: how far the
    network's probabilities hold; None of masks alone.
    """

    table: Table
    roc_auc: float | None = None
    average_precision: float | None = None
    best_f1: float | None = None
    best_threshold: float | None = None
    trained_on: tuple[str, ...] = ()
    measures: tuple[Measures, ...] = ()
    confidence: Confidence | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; figures that nothing defines (of a truth that is all one class) are None."""
        figures = {n: getattr(self, n) for n in ("roc_auc", "average_precision", "best_f1", "best_threshold")}
        defined = {name: None if value is None or math.isnan(value) else value for name, value in figures.items()}
        return {
            **self.table.to_dict(),
            **defined,
            "trained_on": list(self.trained_on),
            "measures": [each.to_dict() for each in self.measures],
            "confidence": self.confidence.to_dict() if self.confidence else None,
        }

    def ranked(self) -> list[Row]:
        """The images, the worst first: by the average precision of their objects where these are scored, else by Dice.

        Where objects are scored, an image without any in truth and answer is left out; so is, else, one without Dice.
        """
        for measures in self.measures:
            if measures.family == "objects":
                scored = [(image["ap_50_95"], number) for number, image in enumerate(measures.images)]
                return [self.table.rows[number] for score, number in sorted(scored) if not math.isnan(score)]
        return self.table.worst(len(self.table.rows))

    def write_csv(self, path: Path) -> None:
        """One line per image, complete or not there: the scores of pixels, then those of each family."""
        columns = {
            f"{each.family} {name}": [image.get(name, math.nan) for image in each.images]
            for each in self.measures
            for name in each.figures()
        }
        self.table.write_csv(path, columns)
