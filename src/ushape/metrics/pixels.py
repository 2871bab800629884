"""Two arrays of pixels → numbers: class maps through a confusion matrix, probabilities through every threshold.

The empty rule: a class counts in an image where it is in the truth or in the prediction. Where it is in neither, all
its scores are NaN and means leave it out. Where it counts, a ratio of nothing to nothing is 0: a class that the truth
has and the prediction never names has precision 0, not a blank that a mean would pass over (scikit-learn's
`zero_division=0`). So Dice is the harmonic mean of precision and recall wherever a class counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError
from ushape.labels import IGNORED
from ushape.metrics.inputs import require_same_shape

_ROUNDING = 1e-5  # probabilities blended in float32 may leave 0…1 by a few 1e-7; further out they are something else

_DROPPED_BITS = 14  # of float32's 32, which leaves 9 of the 23 that tell numbers between 2^-n and 2^(1-n) apart
_BIN_OF_HALF = int(np.float32(0.5).view(np.uint32)) >> _DROPPED_BITS
_BINS = 2 * _BIN_OF_HALF + 1


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Two class maps of one shape → (K, K) pixel counts, rows the truth, columns the prediction.

    Pixels whose truth is IGNORED are left out, whatever is predicted there. Confusions add: the sum over windows is
    that of the image, the sum over images that of the folder.

    >>> confusion(np.array([[0, 1, 1, 255]]), np.array([[0, 0, 1, 1]]), classes=2).tolist()
    [[1, 0], [1, 1]]
    """
    assert 1 <= classes <= IGNORED, classes
    require_same_shape("truth", truth, "prediction", predicted)
    pairs = _bytes("truth", truth).astype(np.uint16) << 8 | _bytes("prediction", predicted)
    counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)[:IGNORED]
    _only_classes("truth", counts.sum(axis=1), classes)
    _only_classes("prediction", counts.sum(axis=0), classes)
    return counts[:classes, :classes].astype(np.int64)


@dataclass(frozen=True)
class PixelScores:
    """What a confusion matrix says of each class, background first, and of all pixels; see the empty rule above.

    pixel_accuracy and pixel_error add up to 1; both are NaN where no pixel counts.
    """

    dice: tuple[float, ...]
    iou: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    pixel_accuracy: float
    pixel_error: float

    @staticmethod
    def of(confusion: NDArray[np.int64]) -> PixelScores:
        """The scores of a (K, K) confusion, rows the truth.

        >>> PixelScores.of(np.array([[5, 1], [1, 2]])).dice[1]
        0.6666666666666666
        """
        if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
            raise SizeError(
                f"A confusion of shape {confusion.shape} is not square; give (classes, classes), rows the truth."
            )
        hits, truth, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        counts = truth + predicted > 0
        pixels = int(confusion.sum())
        return PixelScores(
            dice=_ratios(2 * hits, truth + predicted, counts),
            iou=_ratios(hits, truth + predicted - hits, counts),
            precision=_ratios(hits, predicted, counts),
            recall=_ratios(hits, truth, counts),
            pixel_accuracy=int(hits.sum()) / pixels if pixels else np.nan,
            pixel_error=(pixels - int(hits.sum())) / pixels if pixels else np.nan,
        )

    @property
    def mean_dice(self) -> float:
        """Over the foreground classes (all but the first) that count; NaN where none does. So for the three below."""
        return _mean(self.dice[1:])

    @property
    def mean_iou(self) -> float:
        return _mean(self.iou[1:])

    @property
    def mean_precision(self) -> float:
        return _mean(self.precision[1:])

    @property
    def mean_recall(self) -> float:
        return _mean(self.recall[1:])


def roc_auc(truth: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """How often a true pixel outscores a false one, ties counting half; NaN where the truth is all one.

    >>> roc_auc(np.array([False, True, True]), np.array([0.2, 0.2, 0.9]))
    0.75
    """
    return _area(*_counts_from_the_top(truth, score))


def average_precision(truth: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Precision at each distinct score, weighted by the recall gained there; NaN without a true pixel.

    >>> average_precision(np.array([False, True]), np.array([0.9, 0.2]))
    0.5
    """
    return _precision_over_recall(*_counts_from_the_top(truth, score))


class ScoreHistogram:
    """ROC and precision–recall figures of any number of pixels in constant memory (2 MB).

    The bins follow float32 itself: 512 for each halving of p below one half, and of 1 − p above. Equally wide ones
    would throw together what a confident network tells apart: with 2^16 of them, logits of σ = 12 have an average
    precision that is off by 2e-2, with these by 4e-6.
    """

    def __init__(self) -> None:
        self._positives = np.zeros(_BINS, dtype=np.int64)
        self._negatives = np.zeros(_BINS, dtype=np.int64)

    def add(
        self,
        truth: NDArray[np.bool_],
        probability: NDArray[np.floating],
        counted: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count one image or window; `counted` is False where the truth is ignored."""
        _boolean("truth", truth)
        require_same_shape("truth", truth, "probability", probability)
        if counted is not None:
            _boolean("mask of counted pixels", counted)
            require_same_shape("truth", truth, "mask of counted pixels", counted)
            truth, probability = truth[counted], probability[counted]
        bins = _bins(_within_unit_interval(probability))
        self._positives += np.bincount(bins[truth], minlength=_BINS)
        self._negatives += np.bincount(bins[~truth], minlength=_BINS)

    def roc_auc(self) -> float:
        """As the function of this name, pixels of one bin being ties."""
        return _area(self._positives[::-1], self._negatives[::-1])

    def average_precision(self) -> float:
        """As the function of this name, pixels of one bin being ties."""
        return _precision_over_recall(self._positives[::-1], self._negatives[::-1])

    def best_f1(self) -> tuple[float, float]:
        """(F1, threshold) of the best mask `probability >= threshold`; the highest threshold of equals.

        For float32 probabilities that mask has exactly this F1. Both are NaN without a true pixel.
        """
        hits, predicted, true_pixels = _cuts(self._positives[::-1], self._negatives[::-1])
        if not true_pixels:
            return np.nan, np.nan
        f1 = 2 * hits / (predicted + true_pixels)
        best = int(np.argmax(f1))
        return float(f1[best]), _lowest_probability(_BINS - 1 - best)


def _ratios(part: NDArray[np.int64], whole: NDArray[np.int64], counts: NDArray[np.bool_]) -> tuple[float, ...]:
    ratio = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return tuple(np.where(counts, ratio, np.nan).tolist())


def _mean(scores: tuple[float, ...]) -> float:
    defined = [score for score in scores if not np.isnan(score)]
    return sum(defined) / len(defined) if defined else np.nan


def _counts_from_the_top(
    truth: NDArray[np.bool_], score: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and false pixels at each distinct score, the highest score first."""
    _boolean("truth", truth)
    require_same_shape("truth", truth, "score", score)
    undefined = int(np.isnan(score).sum())
    if undefined:
        raise ImageError(f"{undefined} of {score.size} scores are NaN and cannot be ranked; leave those pixels out.")
    values, rank = np.unique(score.ravel(), return_inverse=True)
    positives = np.bincount(rank[truth.ravel()], minlength=len(values))
    negatives = np.bincount(rank[~truth.ravel()], minlength=len(values))
    return positives[::-1], negatives[::-1]


def _cuts(
    positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """At each threshold from the top, the true and all pixels that reach it; and how many true pixels there are."""
    return np.cumsum(positives), np.cumsum(positives + negatives), int(positives.sum())


def _area(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> float:
    pairs = float(positives.sum()) * float(negatives.sum())
    if not pairs:
        return np.nan
    outscored = np.cumsum(positives) - positives / 2  # by all true pixels above, and half of those level with it
    return float(outscored @ negatives.astype(float)) / pairs


def _precision_over_recall(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> float:
    hits, predicted, true_pixels = _cuts(positives, negatives)
    if not true_pixels:
        return np.nan
    precision = hits / np.maximum(predicted, 1)
    return float(precision @ positives.astype(float)) / true_pixels


def _bins(probability: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bin of each probability, rising with it; the upper half mirrors the lower (1 − p is exact there)."""
    from_end = np.minimum(probability, 1 - probability)
    step = (from_end.view(np.uint32) >> _DROPPED_BITS).astype(np.int64)
    return np.where(probability <= 0.5, step, 2 * _BIN_OF_HALF - step)


def _lowest_probability(number: int) -> float:
    """The smallest float32 of a bin; bins above one half are open below, being mirrored."""
    if number <= _BIN_OF_HALF:
        return float(np.uint32(number << _DROPPED_BITS).view(np.float32))
    below = 1 - float(np.uint32((2 * _BIN_OF_HALF - number + 1) << _DROPPED_BITS).view(np.float32))
    nearest = np.float32(below)
    return float(nearest if float(nearest) > below else np.nextafter(nearest, np.float32(1)))


def _within_unit_interval(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    outside = ~((probability >= -_ROUNDING) & (probability <= 1 + _ROUNDING))  # so that NaN is outside
    if outside.any():
        raise ImageError(
            f"{int(outside.sum())} of {probability.size} probabilities are not within 0 to 1, such as "
            f"{probability[outside][0]}; give labels.probability(logits), not the logits."
        )
    clipped: NDArray[np.float32] = np.clip(probability, 0, 1).astype(np.float32)
    return np.abs(clipped)  # the bits of -0.0 are not those of 0.0


def _boolean(name: str, array: NDArray[np.generic]) -> None:
    if array.dtype != np.bool_:
        raise ImageError(
            f"The {name} is {array.dtype}; we take booleans, so that no ignored value passes for true. "
            "Give `class_map == number`, or `class_map != IGNORED` for what counts."
        )


def _bytes(name: str, class_map: NDArray[np.integer]) -> NDArray[np.uint8]:
    if class_map.dtype != np.bool_ and not np.issubdtype(class_map.dtype, np.integer):
        raise ImageError(f"The {name} is {class_map.dtype}; class maps are whole numbers. Labels.encode makes them.")
    if class_map.dtype not in (np.uint8, np.bool_):
        outside = (class_map < 0) | (class_map > IGNORED)
        if outside.any():
            raise ImageError(
                f"The {name} holds {class_map[outside][0]} ({int(outside.sum())} pixels outside 0 to {IGNORED}); "
                "class maps hold class numbers, not mask values. Labels.encode makes them."
            )
    return class_map.astype(np.uint8, copy=False)


def _only_classes(name: str, histogram: NDArray[np.int64], classes: int) -> None:
    """`histogram`: how many counted pixels hold each value."""
    foreign = np.flatnonzero(histogram[classes:]) + classes
    if not foreign.size:
        return
    found = ", ".join(f"{value} ({histogram[value]} pixels)" for value in foreign[:5])
    hint = (
        "a prediction must name a class wherever the truth does"
        if name == "prediction" and IGNORED in foreign
        else "map mask values to class numbers with Labels.encode"
    )
    raise ImageError(f"The {name} holds {found}; the classes are 0 to {classes - 1}. Please {hint}.")
