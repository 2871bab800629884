"""Two label images of one shape → how many pixels each object of one shares with each of the other.

Ids say no more than which pixels are of one object; 0 is the background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.metrics.inputs import require_same_shape


@dataclass(frozen=True, eq=False)
class Contingency:
    """(P,) ids of a true and a proposed object and the pixels they share, for each pair that shares any, in order."""

    truth: NDArray[np.int64]
    proposal: NDArray[np.int64]
    pixels: NDArray[np.int64]

    @staticmethod
    def of(
        truth: NDArray[np.integer] | NDArray[np.bool_],
        proposal: NDArray[np.integer] | NDArray[np.bool_],
        ignored: NDArray[np.bool_] | None = None,
    ) -> Contingency:
        """Two label images of any number of axes → their table, without the pixels where `ignored` is True.

        >>> table = Contingency.of(np.array([[1, 1, 1, 0]]), np.array([[0, 9, 9, 9]]))
        >>> list(zip(table.truth.tolist(), table.proposal.tolist(), table.pixels.tolist(), strict=True))
        [(0, 9, 1), (1, 0, 1), (1, 9, 2)]
        """
        require_same_shape("truth", truth, "proposal", proposal)
        rows, columns = _ids("truth", truth).ravel(), _ids("proposal", proposal).ravel()
        if ignored is not None:
            if ignored.dtype != np.bool_:
                raise ImageError(f"The ignored mask is {ignored.dtype}; we take booleans. Give `class_map == IGNORED`.")
            require_same_shape("truth", truth, "ignored mask", ignored)
            rows, columns = rows[~ignored.ravel()], columns[~ignored.ravel()]
        return _counted(rows, columns)

    @property
    def total(self) -> int:
        """All counted pixels."""
        return int(self.pixels.sum())

    def truth_sizes(self) -> NDArray[np.int64]:
        """The counted pixels of each true object, the background first where there is any."""
        return _sums(self.truth, self.pixels)

    def proposal_sizes(self) -> NDArray[np.int64]:
        """The counted pixels of each proposed object, the background first where there is any."""
        return _sums(self.proposal, self.pixels)

    def of_true_objects(self) -> Contingency:
        """The pairs whose true partner is an object: the table restricted to the truth's foreground."""
        return self._where(self.truth != 0)

    def of_objects_in_both(self) -> Contingency:
        """The pairs of two objects: the table without the background of either."""
        return self._where((self.truth != 0) & (self.proposal != 0))

    def _where(self, kept: NDArray[np.bool_]) -> Contingency:
        return Contingency(self.truth[kept], self.proposal[kept], self.pixels[kept])


def _sums(ids: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pixels of each distinct id, ids rising."""
    distinct, place = np.unique(ids, return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, place, pixels)
    return sums


def _counted(truth: NDArray[np.int64], proposal: NDArray[np.int64]) -> Contingency:
    """Sorts runs of equal pairs, not pixels: there are ten times fewer, and ids may be too large to index with."""
    if not truth.size:
        return Contingency(truth, proposal, truth)
    starts = _starts_of_runs(truth, proposal)
    lengths = np.diff(starts, append=truth.size)
    order = np.lexsort((proposal[starts], truth[starts]))
    truth, proposal = truth[starts][order], proposal[starts][order]
    first = _starts_of_runs(truth, proposal)
    return Contingency(truth[first], proposal[first], np.add.reduceat(lengths[order], first))


@njit(cache=True, nogil=True)
def _starts_of_runs(truth: NDArray[np.int64], proposal: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a pair begins that differs from the one before it."""
    starts = np.zeros(truth.size, dtype=np.int64)
    found = 1
    for place in range(1, truth.size):
        if truth[place] != truth[place - 1] or proposal[place] != proposal[place - 1]:
            starts[found] = place
            found += 1
    return starts[:found]


def _ids(name: str, labels: NDArray[np.integer] | NDArray[np.bool_]) -> NDArray[np.int64]:
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ImageError(
            f"The {name} is {labels.dtype}; label images are whole numbers. Give object ids, or a thresholded mask."
        )
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int64).max):
        raise ImageError(
            f"The {name} holds ids from {labels.min()} to {labels.max()}; we take 0 (no object) to 2^63 − 1. "
            "Renumber them."
        )
    return labels.astype(np.int64)
