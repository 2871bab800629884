"""After a training: whether the mean over flips and quarter turns is worth its time, on the validation images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

PASSES = 8
_LEAST_GAIN = 0.002  # of a score: less, nobody would see
_LEAST_GAIN_OF_ONE = 0.005  # of a single group, which has no spread to tell luck from gain
SHARE_OF_TRAINING = 0.05
_PASSES_OF_A_STEP = 3  # forward, and twice as much backward
_PERCENTILE = 0.975


@dataclass(frozen=True)
class FlipsChosen:
    """Whether predictions average over flips, and why.

    gain: in `measure`, mean over the groups of images; None where they were not tried. interval: of the gain, 95 %;
    None of one group.
    """

    kept: bool
    measure: str
    images: int
    gain: float | None = None
    interval: tuple[float, float] | None = None

    def in_words(self) -> str:
        """One line."""
        if self.gain is None:
            return f"not tried: it would take more than {SHARE_OF_TRAINING:.0%} of the training; --flips does it"
        spread = f" ({self.interval[0]:+.4f} to {self.interval[1]:+.4f})" if self.interval else ""
        verdict = "kept" if self.kept else "left out"
        return f"{verdict}: {self.gain:+.4f} {self.measure}{spread} at {PASSES} × the time"


def affordable(validation_pixels: int, trained_pixels: int) -> bool:
    """Whether to try flips takes at most 5 % of what the training took, in pixels passed through the network.

    trained_pixels: answered in all steps. No clock decides, so that the same seed gives the same network.

    >>> affordable(512 * 512, 100 * 4 * 256**2), affordable(512 * 512, 10 * 4 * 256**2)
    (True, False)
    """
    return PASSES * validation_pixels <= SHARE_OF_TRAINING * _PASSES_OF_A_STEP * trained_pixels


def choose_flips(
    without: Sequence[float], with_flips: Sequence[float], groups: Sequence[str], measure: str
) -> FlipsChosen:
    """Scores of the same images either way, NaN where undefined → kept where they gain more than the noise.

    That is at least .002, with the whole 95 % interval of the mean over groups above 0 (Student's t); of one group, at
    least .005. Images of one group are alike: slices of one stack may all gain what another does not.
    """
    of_images = np.array(with_flips) - np.array(without)
    defined = ~np.isnan(of_images)
    images, names = int(defined.sum()), np.array(groups)[defined]
    gains = np.array([of_images[defined][names == name].mean() for name in np.unique(names)])
    gain = float(gains.mean()) if images else 0.0
    if len(gains) < 2:
        return FlipsChosen(gain >= _LEAST_GAIN_OF_ONE, measure, images, gain)
    half = float(student.ppf(_PERCENTILE, len(gains) - 1)) * float(gains.std(ddof=1)) / math.sqrt(len(gains))
    kept = gain >= _LEAST_GAIN and gain - half > 0
    return FlipsChosen(kept, measure, images, gain, (gain - half, gain + half))
