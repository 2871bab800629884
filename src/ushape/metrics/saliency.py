"""Probability of one object class against its mask → the scores of salient object detection, per image and per folder.

`ImageSaliency` is what one image scores, `Saliency` sums those of a folder. The figures are those of PySODMetrics:

- F = 1.3 PR / (0.3 P + R) at 256 thresholds. Its maximum over a folder is taken twice: of the mean of the images' F
  curves, and of the F of their mean precision and mean recall, which papers of U²-Net's time report.
- E-measure at the same thresholds (Fan et al., IJCAI 2018): how aligned two masks are once their means are taken off.
- Adaptive F and E: at one threshold, twice the mean probability and at most 1.
- S-measure and weighted F: see s_measure.py and weighted_f.py.
- Relaxed boundary F (Qin et al. 2020): of the boundary pixels of two masks within 3 px of each other, Euclidean; the
  predicted mask is p >= 0.5. It was written from the paper and held against nobody's code.

The rules of the field: each map is stretched to 0…1 before it is scored, and an image without a true pixel has F = 0
whatever is predicted, so that it lowers the mean of its folder. Where pixels are ignored, the image has ended, and no
boundary is seen there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import DataError
from ushape.metrics.boundary import SurfaceDistances
from ushape.metrics.foreground import ForegroundMap
from ushape.metrics.s_measure import s_measure
from ushape.metrics.weighted_f import weighted_f

THRESHOLDS = 256

_PRECISION_WEIGHT = 0.3  # β² of Achanta et al. 2009
_SLACK_PX = 3.0
_ROUNDING = 1e-4  # of a step between thresholds: 8-bit maps keep their levels through float32, which errs by 3e-5
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Curves:
    """(256,) precision, recall, F and E-measure of the masks p >= t / 255, from t = 0 upward."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f: NDArray[np.float64]
    e_measure: NDArray[np.float64]

    @staticmethod
    def of(foreground: ForegroundMap) -> Curves:
        """The curves of one image.

        >>> Curves.of(ForegroundMap.of(np.array([[True, False]]), np.array([[1.0, 0.5]]))).precision[[127, 128]]
        array([0.5, 1. ])
        """
        truth, probability = foreground.pixels()
        levels = np.floor(probability * (THRESHOLDS - 1) + _ROUNDING).astype(np.int64)
        histogram = np.bincount(levels + THRESHOLDS * truth, minlength=2 * THRESHOLDS).reshape(2, THRESHOLDS)
        false_alarms, hits = np.cumsum(histogram[:, ::-1], axis=1)[:, ::-1]
        return Curves(*_of_masks(hits, hits + false_alarms, int(truth.sum()), truth.size))


@dataclass(frozen=True, eq=False)
class ImageSaliency:
    """What one image scores; all but the error are better when higher."""

    mean_absolute_error: float
    curves: Curves
    adaptive_f: float
    adaptive_e_measure: float
    s_measure: float
    weighted_f: float
    boundary_f: float

    @staticmethod
    def of(foreground: ForegroundMap) -> ImageSaliency:
        """The scores of a map as it is; give `foreground.stretched()` for those of the field."""
        truth, probability = foreground.pixels()
        chosen = probability >= min(2 * float(probability.mean()), 1.0)
        hits, predicted = np.array([np.count_nonzero(chosen & truth)]), np.array([np.count_nonzero(chosen)])
        _, _, adaptive_f, adaptive_e_measure = _of_masks(hits, predicted, int(truth.sum()), truth.size)
        return ImageSaliency(
            mean_absolute_error=float(np.abs(probability - truth).mean()),
            curves=Curves.of(foreground),
            adaptive_f=float(adaptive_f[0]),
            adaptive_e_measure=float(adaptive_e_measure[0]),
            s_measure=s_measure(foreground),
            weighted_f=weighted_f(foreground),
            boundary_f=boundary_f(foreground),
        )

    @property
    def max_f(self) -> float:
        return float(self.curves.f.max())

    @property
    def mean_f(self) -> float:
        """Over the thresholds."""
        return float(self.curves.f.mean())

    @property
    def max_e_measure(self) -> float:
        return float(self.curves.e_measure.max())


def boundary_f(foreground: ForegroundMap) -> float:
    """Relaxed F of the boundaries, 0 to 1; 0 where a mask has none.

    >>> truth = np.zeros((9, 9), dtype=bool)
    >>> truth[2:6, 2:6] = True
    >>> boundary_f(ForegroundMap.of(truth, np.roll(truth, 3, axis=1).astype(float)))
    1.0
    """
    predicted = foreground.probability >= 0.5
    distances = SurfaceDistances.of(foreground.truth, predicted, (1, 1), "monai", ignored=foreground.ignored)
    recall, precision = distances.overlap(_SLACK_PX)
    return float(_f(np.array(precision), np.array(recall))) if precision * recall > 0 else 0.0


@dataclass(frozen=True)
class SaliencyScores:
    """The scores of a folder: means over its images, and maxima over the thresholds of mean curves."""

    images: int
    mean_absolute_error: float
    max_f_of_mean_curve: float
    max_f_of_mean_precision_recall: float
    mean_f: float
    adaptive_f: float
    weighted_f: float
    s_measure: float
    max_e_measure: float
    adaptive_e_measure: float
    boundary_f: float


class Saliency:
    """Sums the scores of images; memory does not grow with their number. `stretch` as the field does."""

    def __init__(self, stretch: bool = True) -> None:
        self._stretch = stretch
        self._images = 0
        self._numbers = np.zeros(6)
        self._curves = np.zeros((4, THRESHOLDS))

    def add(
        self,
        truth: NDArray[np.bool_],
        probability: NDArray[np.floating],
        ignored: NDArray[np.bool_] | None = None,
    ) -> ImageSaliency:
        """Count one (H, W) image, `ignored` True where the truth counts nowhere; returns what it scores alone."""
        foreground = ForegroundMap.of(truth, probability, ignored)
        image = ImageSaliency.of(foreground.stretched() if self._stretch else foreground)
        curves = image.curves
        self._images += 1
        self._curves += [curves.precision, curves.recall, curves.f, curves.e_measure]
        self._numbers += [
            image.mean_absolute_error,
            image.adaptive_f,
            image.weighted_f,
            image.s_measure,
            image.adaptive_e_measure,
            image.boundary_f,
        ]
        return image

    def scores(self) -> SaliencyScores:
        """The scores of the images so far."""
        if not self._images:
            raise DataError("No image was scored; add at least one image that has a mask.")
        precision, recall, f, e_measure = self._curves / self._images
        error, adaptive_f, weighted, structure, adaptive_e_measure, boundary = self._numbers.tolist()
        return SaliencyScores(
            images=self._images,
            mean_absolute_error=error / self._images,
            max_f_of_mean_curve=float(f.max()),
            max_f_of_mean_precision_recall=float(_f(precision, recall).max()),
            mean_f=float(f.mean()),
            adaptive_f=adaptive_f / self._images,
            weighted_f=weighted / self._images,
            s_measure=structure / self._images,
            max_e_measure=float(e_measure.max()),
            adaptive_e_measure=adaptive_e_measure / self._images,
            boundary_f=boundary / self._images,
        )


def _of_masks(
    hits: NDArray[np.int64], predicted: NDArray[np.int64], true_pixels: int, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(T,) true and all pixels of T masks, and those of the truth and the image → precision, recall, F, E-measure."""
    precision, recall = hits / np.maximum(predicted, 1), hits / max(true_pixels, 1)
    return precision, recall, _f(precision, recall), _e_measure(hits, predicted, true_pixels, pixels)


def _f(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = (1 + _PRECISION_WEIGHT) * precision * recall, _PRECISION_WEIGHT * precision + recall
    ratio: NDArray[np.float64] = np.divide(above, below, out=np.zeros_like(above), where=above > 0)
    return ratio


def _e_measure(
    hits: NDArray[np.int64], predicted: NDArray[np.int64], true_pixels: int, pixels: int
) -> NDArray[np.float64]:
    """As the authors' code, the sum over pixels is divided by one less than their number, so 1 can be exceeded."""
    if true_pixels == 0:
        aligned = (pixels - predicted).astype(np.float64)
    elif true_pixels == pixels:
        aligned = predicted.astype(np.float64)
    else:
        truth_mean, mean = true_pixels / pixels, predicted / pixels
        outcomes = [
            (hits, 1 - mean, 1 - truth_mean),
            (predicted - hits, 1 - mean, -truth_mean),
            (true_pixels - hits, -mean, 1 - truth_mean),
            (pixels - predicted - true_pixels + hits, -mean, -truth_mean),
        ]
        alignments = [2 * ours * theirs / (ours**2 + theirs**2 + _EPSILON) for _, ours, theirs in outcomes]
        aligned = sum(
            (count * (alignment + 1) ** 2 / 4 for (count, _, _), alignment in zip(outcomes, alignments, strict=True)),
            start=np.zeros(hits.shape),
        )
    return aligned / max(pixels - 1, 1)
