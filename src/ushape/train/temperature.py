"""After a training: how sure the network may be. One temperature, fitted to the truth of validation images.

It minimises the mean negative logarithm of the true class's probability, which has one minimum (Guo et al. 2017). What
it divides is the logarithms of the probabilities that the network answers with: of one pass these are its logits but
for a constant in each pixel; of a mean over flips they stand for the mean. No probability is below 1.2e-38.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from ushape.labels import IGNORED
from ushape.metrics.calibration import Calibration

RANGE = (0.1, 10.0)
"""Of a temperature; a network that is right everywhere would have 0."""

_MOST_NUMBERS = 2**20  # of all pixels' probabilities together: 4 MiB, half a million pixels of two classes
_LEAST = float(np.finfo(np.float32).tiny)
_ENOUGH = 1e-4  # of the logarithm of the temperature


@dataclass(frozen=True)
class Calibrated:
    """The temperature, and the expected calibration error of the pixels it was fitted to, before and after."""

    temperature: float
    before: float
    after: float
    pixels: int

    def in_words(self) -> str:
        """One line."""
        errors = f"expected calibration error {self.before:.4f} → {self.after:.4f}"
        return f"temperature {self.temperature:.3g}, {errors} on {self.pixels:,} pixels of the validation images"


class PixelSample:
    """Annotated pixels with their probabilities: all, or of many evenly drawn ones, in bounded memory."""

    def __init__(self, classes: int, annotated_pixels: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._share = _MOST_NUMBERS / max(1, classes * annotated_pixels)
        self._probability: list[NDArray[np.float32]] = []
        self._truth: list[NDArray[np.uint8]] = []

    def add(self, truth: NDArray[np.uint8], probability: NDArray[np.float32]) -> None:
        """(h, w) class numbers, and (K, h, w) probabilities at temperature 1."""
        drawn = truth != IGNORED
        if self._share < 1:
            drawn &= self._rng.random(truth.shape) < self._share
        self._truth.append(truth[drawn])
        self._probability.append(probability[:, drawn])

    def fitted(self) -> Calibrated | None:
        """The temperature at which the truth is the most probable; None where no pixel is annotated."""
        truth = np.concatenate(self._truth) if self._truth else np.zeros(0, np.uint8)
        if not truth.size:
            return None
        probability = np.concatenate(self._probability, axis=1)
        temperature = _most_probable(torch.from_numpy(probability).clamp(min=_LEAST).log(), truth)
        before, after = (_error(probability, truth, at) for at in (1.0, temperature))
        return Calibrated(temperature, before, after, truth.size)


def sample_of(truths: Sequence[NDArray[np.uint8]], classes: int, rng: np.random.Generator) -> PixelSample:
    """An empty sample for images of these (H, W) class numbers."""
    return PixelSample(classes, sum(int((truth != IGNORED).sum()) for truth in truths), rng)


def _most_probable(logits: Tensor, truth: NDArray[np.uint8]) -> float:
    wanted = torch.from_numpy(truth.astype(np.int64))[None]
    of_true = logits.gather(0, wanted)[0]

    def surprise(logarithm: float) -> float:
        inverse = math.exp(-logarithm)
        return float((torch.logsumexp(logits * inverse, dim=0) - of_true * inverse).mean(dtype=torch.float64))

    bounds = (math.log(RANGE[0]), math.log(RANGE[1]))
    return math.exp(minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": _ENOUGH}).x)


def _error(probability: NDArray[np.float32], truth: NDArray[np.uint8], temperature: float) -> float:
    powers = (probability / probability.max(axis=0)) ** (1 / temperature)
    return Calibration.of(truth[None], (powers / powers.sum(axis=0))[:, None]).ece
