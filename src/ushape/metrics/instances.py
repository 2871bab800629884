"""Two object maps → numbers: which object is which, and every score that follows from how they overlap.

All scores come from one table, how many pixels each true and each predicted object share (overlaps.py, which also holds
the ignored rule). They depend on where objects lie, not on their ids. A pair matches where its IoU is above a
threshold; an IoU equal to it is not enough (Data Science Bowl 2018, panoptic quality), so that from 0.5 on no object
has two partners. StarDist and Cellpose let equals match.

The empty rule: where neither map has an object that counts, a score is NaN and means leave the image out. Where either
has, a ratio of nothing to nothing is 0. SEG is a mean over true objects, and is NaN where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ushape.errors import RecipeError
from ushape.metrics.overlaps import Objects, Pairs, overlaps

IOU_THRESHOLDS = tuple(twentieths / 20 for twentieths in range(10, 20))
"""0.5, 0.55 … 0.95: the thresholds of the mean average precision."""

_SPLIT, _MISSED, _FALSE = 5, 10, 1  # AOGM weights of the Cell Tracking Challenge (Matula 2015)


@dataclass(frozen=True)
class Counts:
    """How many objects are found (tp), false (fp) and missed (fn)."""

    tp: int
    fp: int
    fn: int


@dataclass(frozen=True, eq=False)
class Matching:
    """The objects of a true and a predicted map, the n pairs of them that overlap, and all scores of these.

    >>> Matching.of(np.array([[1, 1, 0, 7]]), np.array([[5, 5, 5, 0]])).counts()
    Counts(tp=1, fp=0, fn=1)
    """

    truth: Objects
    predicted: Objects
    pairs: Pairs

    @staticmethod
    def of(
        truth: NDArray[np.integer], predicted: NDArray[np.integer], *, ignored: NDArray[np.bool_] | None = None
    ) -> Matching:
        """Two (H, W) object maps → all their overlaps; `ignored` is True where the truth counts nowhere.

        0 is no object; any other id is one object, in however many pieces, and ids may have gaps.
        """
        return Matching(*overlaps(truth, predicted, ignored))

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """(n,) IoU of each pair."""
        return self.pairs.shared / self._union

    def matched(self, iou: float = 0.5) -> NDArray[np.bool_]:
        """(n,) the pairs that match: each above the IoU, each object at most once, as many as can be.

        Below 0.5 there can be several such sets; of the largest this is one of highest total IoU.
        """
        if not 0 <= iou < 1:
            raise RecipeError(f"An IoU threshold of {iou} cannot be: pairs must exceed it. Give 0 or more, below 1.")
        above = self.iou > iou
        if iou >= 0.5:
            return above
        bonus = self.iou / (1 + min(len(self.truth), len(self.predicted)))  # all of them together outweigh no match
        return self._assignment(above, 1 + bonus)

    def counts(self, iou: float = 0.5) -> Counts:
        """Found, false and missed objects; where none is excused, tp + fn are the true and tp + fp the predicted."""
        matched = self.matched(iou)
        missed = _without(self.pairs.truth[matched], self.truth)
        false = _without(self.pairs.predicted[matched], self.predicted)
        return Counts(int(matched.sum()), int(false.sum()), int(missed.sum()))

    def precision(self, iou: float = 0.5) -> float:
        """TP / (TP + FP)."""
        n = self.counts(iou)
        return _ratio(n.tp, n.tp + n.fp, n.tp + n.fp + n.fn)

    def recall(self, iou: float = 0.5) -> float:
        """TP / (TP + FN)."""
        n = self.counts(iou)
        return _ratio(n.tp, n.tp + n.fn, n.tp + n.fp + n.fn)

    def f1(self, iou: float = 0.5) -> float:
        """2 TP / (2 TP + FP + FN); the recognition quality (RQ) of panoptic quality."""
        n = self.counts(iou)
        return _ratio(2 * n.tp, 2 * n.tp + n.fp + n.fn, n.tp + n.fp + n.fn)

    def average_precision(self, iou: float = 0.5) -> float:
        """TP / (TP + FP + FN), as in the Data Science Bowl 2018 (Caicedo 2019); StarDist calls it accuracy.

        Nothing is ranked by confidence here, unlike in the average precision of COCO.
        """
        n = self.counts(iou)
        return _ratio(n.tp, n.tp + n.fp + n.fn, n.tp + n.fp + n.fn)

    def mean_average_precision(self) -> float:
        """The mean of average_precision over IOU_THRESHOLDS, the score of the Data Science Bowl 2018."""
        return sum(map(self.average_precision, IOU_THRESHOLDS)) / len(IOU_THRESHOLDS)

    def mean_matched_iou(self, iou: float = 0.5) -> float:
        """Over the pairs that match, 0 where none does; the segmentation quality (SQ) of panoptic quality."""
        matched, n = self.matched(iou), self.counts(iou)
        return _ratio(float(self.iou[matched].sum()), n.tp, n.tp + n.fp + n.fn)

    def panoptic_quality(self, iou: float = 0.5) -> float:
        """SQ × RQ of one class of things (Kirillov 2019, eq. 1): mean_matched_iou times f1."""
        return self.mean_matched_iou(iou) * self.f1(iou)

    def aggregated_jaccard(self) -> float:
        """AJI (Kumar 2017): Σ intersections / Σ unions of each true object with the predicted one of highest IoU.

        That one may serve several true objects, as in the final script of the MoNuSeg challenge; its first one struck
        off what was used, and depended on the order of ids. Predicted objects that serve none, and true objects that
        overlap nothing, add their sizes to the unions.
        """
        order = np.lexsort((-self.pairs.shared, -self.iou, self.pairs.truth))
        _, first = np.unique(self.pairs.truth[order], return_index=True)
        return self._aggregated(order[first])

    def aggregated_jaccard_plus(self) -> float:
        """AJI+ (Graham 2019, HoVer-Net): as AJI, but with partners one to one, of highest total IoU."""
        return self._aggregated(np.flatnonzero(self._assignment(self.iou > 0, self.iou)))

    def seg(self) -> float:
        """SEG of the Cell Tracking Challenge: mean over true objects of the IoU with whatever covers more than half.

        NaN without true objects: SEG says nothing of false ones.
        """
        covered = self._covered
        missed = _without(self.pairs.truth[covered], self.truth)
        objects = int(covered.sum() + missed.sum())
        return _ratio(float(self.iou[covered].sum()), objects, objects)

    def det(self) -> float:
        """DET of the Cell Tracking Challenge (Matula 2015): 1 − min(AOGM-D, AOGM-D₀) / AOGM-D₀.

        A true object is found by the predicted one that covers more than half of it. AOGM-D = 5 splits of a
        prediction that finds several + 10 missed + 1 false; AOGM-D₀, that of an empty map, = 10 true objects.
        """
        covered = self._covered
        missed = int(_without(self.pairs.truth[covered], self.truth).sum())
        false = int(_without(self.pairs.predicted[covered], self.predicted).sum())
        found = int(covered.sum())
        splits = found - len(np.unique(self.pairs.predicted[covered]))
        worst = _MISSED * (found + missed)
        cost = min(_SPLIT * splits + _MISSED * missed + _FALSE * false, worst)
        return _ratio(worst - cost, worst, found + missed + false)

    def merges(self) -> int:
        """Predicted objects that cover more than half of each of several true ones."""
        return int((np.bincount(self.pairs.predicted[self._covered]) > 1).sum())

    def splits(self) -> int:
        """True objects that cover more than half of each of several predicted ones."""
        within = 2 * self.pairs.shared > self.predicted.sizes[self.pairs.predicted]
        return int((np.bincount(self.pairs.truth[within]) > 1).sum())

    @cached_property
    def _union(self) -> NDArray[np.int64]:
        return self.truth.sizes[self.pairs.truth] + self.predicted.sizes[self.pairs.predicted] - self.pairs.shared

    @cached_property
    def _covered(self) -> NDArray[np.bool_]:
        """The pairs whose prediction covers more than half of the true object; at most one of each true object."""
        return 2 * self.pairs.shared > self.truth.sizes[self.pairs.truth]

    def _aggregated(self, partners: NDArray[np.intp]) -> float:
        missed = _without(self.pairs.truth[partners], self.truth)
        false = _without(self.pairs.predicted[partners], self.predicted)
        alone = int(self.truth.sizes[missed].sum() + self.predicted.sizes[false].sum())
        joined = int(self._union[partners].sum()) + alone
        return _ratio(int(self.pairs.shared[partners].sum()), joined, joined)

    def _assignment(self, allowed: NDArray[np.bool_], gain: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of the allowed pairs, those of highest total gain that use each object once; solved cluster by cluster."""
        chosen = np.zeros(len(allowed), dtype=bool)
        for pairs in _clusters(np.flatnonzero(allowed), self.pairs.truth, self.pairs.predicted):
            if len(pairs) == 1:
                chosen[pairs] = True
                continue
            true, row = np.unique(self.pairs.truth[pairs], return_inverse=True)
            predicted, column = np.unique(self.pairs.predicted[pairs], return_inverse=True)
            table, pair_at = np.zeros((len(true), len(predicted))), np.full((len(true), len(predicted)), -1)
            table[row, column], pair_at[row, column] = gain[pairs], pairs
            best = pair_at[linear_sum_assignment(table, maximize=True)]
            chosen[best[best >= 0]] = True
        return chosen


def pooled(matchings: Iterable[Matching]) -> Matching:
    """The matchings of many images → that of them all, so that in its scores every object (not image) weighs the same.

    Ids recur in it: tell objects by their place, which runs through the images in the order given.
    """
    each = list(matchings)
    true_before = np.cumsum([0] + [len(matching.truth) for matching in each])
    predicted_before = np.cumsum([0] + [len(matching.predicted) for matching in each])
    pairs = Pairs(
        _laid_end_to_end([m.pairs.truth + n for m, n in zip(each, true_before, strict=False)]),
        _laid_end_to_end([m.pairs.predicted + n for m, n in zip(each, predicted_before, strict=False)]),
        _laid_end_to_end([m.pairs.shared for m in each]),
    )
    return Matching(_joined([m.truth for m in each]), _joined([m.predicted for m in each]), pairs)


def mean_over_images(matchings: Iterable[Matching], measure: Callable[[Matching], float]) -> float:
    """The mean of a measure, such as Matching.f1, over the images where it is defined; NaN where it is in none."""
    defined = [score for score in map(measure, matchings) if not math.isnan(score)]
    return sum(defined) / len(defined) if defined else math.nan


def _clusters(pairs: NDArray[np.intp], truth: NDArray[np.intp], predicted: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The pairs, apart where no chain of shared objects joins them."""
    if not pairs.size:
        return []
    true, other = truth[pairs], predicted[pairs] + truth.max() + 1
    objects = int(other.max()) + 1
    graph = coo_array((np.ones(len(pairs), dtype=bool), (true, other)), shape=(objects, objects))
    cluster = connected_components(graph, directed=False)[1][true]
    order = np.argsort(cluster, kind="stable")
    return np.split(pairs[order], np.flatnonzero(np.diff(cluster[order])) + 1)


def _without(partners: NDArray[np.intp], objects: Objects) -> NDArray[np.bool_]:
    """(n,) which objects have no partner and are not excused from having one."""
    alone = ~objects.excused
    alone[partners] = False
    return alone


def _joined(each: list[Objects]) -> Objects:
    return Objects(
        _laid_end_to_end([objects.ids for objects in each]),
        _laid_end_to_end([objects.sizes for objects in each]),
        np.concatenate([np.zeros(0, dtype=bool), *(objects.excused for objects in each)]),
    )


def _laid_end_to_end(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])  # also of no parts


def _ratio(part: float, whole: float, counts: float) -> float:
    """The empty rule: NaN where nothing counts, else part / whole, 0 for nothing of nothing."""
    if not counts:
        return math.nan
    return part / whole if whole else 0.0
