"""A contingency of two label images → how far they agree on which pixels belong together.

The empty rule: a score is NaN where there is nothing to judge: no counted pixel, or, where only the truth's objects are
looked at, no counted pixel of an object. A proposal without objects is judged like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ushape.metrics.contingency import Contingency


@dataclass(frozen=True)
class Agreement:
    """How many of the things counted are in both images, in the proposal, in the truth; and all there are.

    The things are pairs of pixels that lie in one object, or plain pixels. Agreements add: the sum over slices is that
    of the stack. Scores are NaN where nothing was counted.
    """

    both: int
    proposal: int
    truth: int
    total: int

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.both + other.both,
            self.proposal + other.proposal,
            self.truth + other.truth,
            self.total + other.total,
        )

    @property
    def precision(self) -> float:
        """The share of the proposal's that is in the truth; 1 where it has none. Mergers lower that of pairs."""
        return self._ratio(self.both, self.proposal)

    @property
    def recall(self) -> float:
        """The share of the truth's that is in the proposal; 1 where it has none. Splits lower that of pairs."""
        return self._ratio(self.both, self.truth)

    @property
    def f_score(self) -> float:
        """The harmonic mean of precision and recall."""
        return self._ratio(2 * self.both, self.proposal + self.truth)

    @property
    def accuracy(self) -> float:
        """The share on which the images agree, be it in or out; of pairs, the Rand index."""
        return self._ratio(self.total - self.proposal - self.truth + 2 * self.both, self.total)

    def _ratio(self, part: int, whole: int) -> float:
        if not self.total:
            return np.nan
        return part / whole if whole else 1.0


def foreground_pairs(table: Contingency) -> Agreement:
    """Pairs of pixels of true objects as ISBI 2012 counts them: `f_score` is V_Rand, `1 - f_score` its Rand error.

    Pairs are ordered and a pixel pairs with itself. Where the proposal has background inside true objects, each pixel
    is a segment of its own (Arganda-Carreras 2015, and Fiji's Trainable Segmentation).

    >>> foreground_pairs(Contingency.of(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 0]))).precision
    0.6
    """
    table = table.of_true_objects()
    joined = table.of_objects_in_both()
    alone = table.total - joined.total
    return Agreement(
        both=_squares(joined.pixels) + alone,
        proposal=_squares(joined.proposal_sizes()) + alone,
        truth=_squares(table.truth_sizes()),
        total=table.total**2,
    )


def adapted_pairs(table: Contingency) -> Agreement:
    """Pairs of distinct pixels of true objects, the proposal's background one segment like another.

    `1 - f_score` is scikit-image's `adapted_rand_error`, whose precision is the `recall` here and the reverse. It is
    not V_Rand's: that makes singletons of the background, and counts each pixel with itself.
    """
    return _distinct_pairs(table.of_true_objects())


def all_pairs(table: Contingency) -> Agreement:
    """Pairs of distinct pixels, the background one segment like another in both images (Rand 1971)."""
    return _distinct_pairs(table)


def adapted_rand_error(table: Contingency) -> float:
    """1 − F of the `adapted_pairs`, 0 best: equal to scikit-image's, but 0 where it divides 0 by 0 (one-pixel objects).

    >>> adapted_rand_error(Contingency.of(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1])))
    0.5
    """
    return 1 - adapted_pairs(table).f_score


@dataclass(frozen=True)
class Information:
    """What the proposal tells of the truth, over pixels of true objects: shares of their entropies, 0 to 1."""

    precision: float
    recall: float

    @property
    def f_score(self) -> float:
        """The harmonic mean of precision and recall, 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def foreground_information(table: Contingency) -> Information:
    """The information-theoretic twin of `foreground_pairs`, with the same singletons; its `f_score` is V_Info.

    precision = I / H(truth), recall = I / H(proposal) (Arganda-Carreras 2015). By the challenge's rule a truth of one
    object gives (0, 1) and a proposal of one gives (1, 0), so that even equal partitions of one object score 0.

    >>> foreground_information(Contingency.of(np.array([1, 1, 2, 2]), np.array([1, 2, 3, 4]))).recall
    0.5
    """
    table = table.of_true_objects()
    if not table.total:
        return Information(np.nan, np.nan)
    joined = table.of_objects_in_both()
    singletons = np.ones(table.total - joined.total, dtype=np.int64)
    of_truth = _entropy_bits(table.truth_sizes())
    of_proposal = _entropy_bits(np.concatenate([joined.proposal_sizes(), singletons]))
    of_both = _entropy_bits(np.concatenate([joined.pixels, singletons]))
    if not of_proposal:
        return Information(precision=1.0, recall=0.0)
    if not of_truth:
        return Information(precision=0.0, recall=1.0)
    shared = float(np.clip(of_truth + of_proposal - of_both, 0, min(of_truth, of_proposal)))  # rounding
    return Information(precision=shared / of_truth, recall=shared / of_proposal)


@dataclass(frozen=True)
class Variation:
    """Variation of information (Meilă 2007) in its two parts, in bits; 0 is best."""

    split_bits: float
    """H(proposal | truth): what the proposal cuts apart."""
    merge_bits: float
    """H(truth | proposal): what the proposal throws together."""

    @property
    def total_bits(self) -> float:
        return self.split_bits + self.merge_bits


def variation_of_information(table: Contingency) -> Variation:
    """Over all counted pixels, the background one segment like another: equal to scikit-image's, same order.

    For the truth's objects only, give `table.of_true_objects()`.

    >>> variation_of_information(Contingency.of(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1])))
    Variation(split_bits=0.0, merge_bits=1.0)
    """
    if not table.total:
        return Variation(np.nan, np.nan)
    of_both = _entropy_bits(table.pixels)
    return Variation(
        split_bits=max(of_both - _entropy_bits(table.truth_sizes()), 0.0),
        merge_bits=max(of_both - _entropy_bits(table.proposal_sizes()), 0.0),
    )


def _distinct_pairs(table: Contingency) -> Agreement:
    total = table.total
    return Agreement(
        both=(_squares(table.pixels) - total) // 2,
        proposal=(_squares(table.proposal_sizes()) - total) // 2,
        truth=(_squares(table.truth_sizes()) - total) // 2,
        total=(total**2 - total) // 2,
    )


def _squares(counts: NDArray[np.int64]) -> int:
    """Σ n², exact while an image has fewer than 3·10⁹ pixels."""
    return int(counts @ counts)


def _entropy_bits(counts: NDArray[np.int64]) -> float:
    share = counts / counts.sum()
    return float(-(share @ np.log2(share)))
