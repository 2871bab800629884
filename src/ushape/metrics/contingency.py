"""Two label images of one shape → how many pixels each object of one shares with each of the other.

Ids say no more than which pixels are of one object; 0 is the background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
        _check_ids("truth", truth)
        _check_ids("proposal", proposal)
        turned = truth.flags.f_contiguous and proposal.flags.f_contiguous
        rows, columns = (labels.ravel(order="F" if turned else "C") for labels in (truth, proposal))
        if ignored is not None:
            if ignored.dtype != np.bool_:
                raise ImageError(f"The ignored mask is {ignored.dtype}; we take booleans. Give `class_map == IGNORED`.")
            require_same_shape("truth", truth, "ignored mask", ignored)
            counts = ~ignored.ravel(order="F" if turned else "C")
            rows, columns = rows[counts], columns[counts]
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


def _counted(truth: NDArray[np.generic], proposal: NDArray[np.generic]) -> Contingency:
    """Counts runs of equal pairs, ten times fewer than pixels: in a table, or by sorting where ids are too large."""
    starts = _starts_of_runs(truth, proposal)
    lengths = np.diff(starts, append=truth.size)
    rows, columns = truth[starts].astype(np.int64), proposal[starts].astype(np.int64)
    width = int(columns.max(initial=0)) + 1
    if (int(rows.max(initial=0)) + 1) * width <= max(truth.size, 1):
        table = np.bincount(rows * width + columns, lengths)  # in float64, exact to 2^53 pixels
        pairs = np.flatnonzero(table)
        return Contingency(pairs // width, pairs % width, table[pairs].astype(np.int64))
    order = np.lexsort((columns, rows))
    rows, columns = rows[order], columns[order]
    first = _starts_of_runs(rows, columns)
    return Contingency(rows[first], columns[first], np.add.reduceat(lengths[order], first))


def _starts_of_runs(truth: NDArray[np.generic], proposal: NDArray[np.generic]) -> NDArray[np.int64]:
    """Where a pair begins that differs from the one before it."""
    begins = np.ones(truth.size, dtype=np.bool_)
    begins[1:] = (truth[1:] != truth[:-1]) | (proposal[1:] != proposal[:-1])
    return np.flatnonzero(begins)


def _check_ids(name: str, labels: NDArray[np.integer] | NDArray[np.bool_]) -> None:
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ImageError(
            f"The {name} is {labels.dtype}; label images are whole numbers. Give object ids, or a thresholded mask."
        )
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int64).max):
        raise ImageError(
            f"The {name} holds ids from {labels.min()} to {labels.max()}; we take 0 (no object) to 2^63 − 1. "
            "Renumber them."
        )
