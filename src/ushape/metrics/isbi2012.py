"""Slices of membranes and cells → the scores of the ISBI 2012 challenge, equal to those of Fiji's own evaluation.

A slice is a truth (True or 1 in a cell, False or 0 on membrane) and the probability of the cell class. Cells are
4-connected within each slice. Two scores rank (Arganda-Carreras 2015): V_Rand and V_Info of regions that were first
grown until only dams one pixel wide part them. The older pixel, Rand and warping errors are kept because the papers of
2012–2015 report them; they reward membranes drawn as wide as the annotator's. Each is the best over thresholds that are
common to all slices.

The ignored rule: an ignored pixel is membrane in both images and left out of every count, so that it is never an error
and joins nothing. What truth and probability hold there does not matter. `Isbi2012.add` takes the mask.

The empty rule: a slice whose truth has no cell that counts has no V_Rand and no V_Info and is left out of their means;
every other score takes it like any slice. A score is NaN where no slice has it. Only in slices of a single value do we
differ from Fiji: it gives an empty truth 0 and NaN, and its warping error takes a truth full of cells for an empty one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat, takewhile
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ushape.errors import DataError, SizeError
from ushape.metrics.contingency import Contingency
from ushape.metrics.partitions import Agreement, foreground_information, foreground_pairs
from ushape.metrics.slices import Slice
from ushape.metrics.topology import Mismatch, components, flooded, mismatches, warp

Truths = Collection[NDArray[np.bool_] | NDArray[np.integer]]
"""(H, W) slices, or an (N, H, W) stack of them; 1 or True in cells."""
Probabilities = Collection[NDArray[np.floating]]
"""(H, W) slices, or an (N, H, W) stack of them, of the cell class, 0 to 1."""
Value = TypeVar("Value")

_NO_SLICE = "No slice to score; give at least one truth with its probability."


def sweep(lowest: float, highest: float, step: float) -> tuple[float, ...]:
    """Thresholds as Fiji's loop makes them, by adding up: rounding errors included, they decide which pixels pass.

    >>> sweep(0.0, 1.0, 0.1)[-3:]
    (0.7999999999999999, 0.8999999999999999, 0.9999999999999999)
    """
    return tuple(takewhile(lambda threshold: threshold <= highest, accumulate(repeat(step), initial=lowest)))


THRESHOLDS = sweep(0.0, 1.0, 0.1)
"""The challenge's eleven; a pixel is cell where its probability is above."""
WARPING_THRESHOLDS = sweep(0.0, 0.9, 0.1)
"""The ten of the warping error, which are the first of the eleven."""


@dataclass(frozen=True)
class Best:
    """A score at its best threshold, the lowest of equals."""

    score: float
    threshold: float


def pixel_error(truths: Truths, probabilities: Probabilities, thresholds: Sequence[float] = THRESHOLDS) -> Best:
    """1 − F of the cell pixels of all slices together; 0 is best."""
    return _lowest(_pooled_error([_pixels(s, thresholds) for s in _slices(truths, probabilities)]), thresholds)


def rand_error(truths: Truths, probabilities: Probabilities, thresholds: Sequence[float] = THRESHOLDS) -> Best:
    """1 − F of the pairs of true cell pixels that lie in one component, of all slices together; 0 is best."""
    tables = [_tables(s, thresholds, _as_found) for s in _slices(truths, probabilities)]
    return _lowest(_pooled_error([[foreground_pairs(table) for (table,) in row] for row in tables]), thresholds)


def warping_error(
    truths: Truths, probabilities: Probabilities, thresholds: Sequence[float] = WARPING_THRESHOLDS
) -> Best:
    """The share of pixels that split or merge the warped truths (the leaderboard's warping error); 0 is best."""
    slices = _slices(truths, probabilities)
    broken = [_splits_and_mergers(s, thresholds) for s in slices]
    return _lowest(_share(broken, [s.pixels for s in slices]), thresholds)


def warping_mismatch(truths: Truths, probabilities: Probabilities, threshold: float = 0.5) -> float:
    """The share of pixels in which warped truths differ at all from the proposals (Jain 2010); 0 is best."""
    slices = _slices(truths, probabilities)
    residual = [[int(np.count_nonzero(kinds))] for s in slices for kinds in _mismatches(s, [threshold])]
    return _share(residual, [s.pixels for s in slices])[0]


def v_rand_thinned(truths: Truths, probabilities: Probabilities, thresholds: Sequence[float] = THRESHOLDS) -> Best:
    """The mean over slices of F of the pairs of true cell pixels, proposals being flooded; 1 is best, and it ranks."""
    tables = [_tables(s, thresholds, flooded) for s in _slices(truths, probabilities)]
    return _highest(_mean([[foreground_pairs(table).f_score for (table,) in row] for row in tables]), thresholds)


def v_info_thinned(truths: Truths, probabilities: Probabilities, thresholds: Sequence[float] = THRESHOLDS) -> Best:
    """The mean over slices of F of what flooded proposals tell of the true cells; 1 is best."""
    tables = [_tables(s, thresholds, flooded) for s in _slices(truths, probabilities)]
    return _highest(_mean([[foreground_information(table).f_score for (table,) in row] for row in tables]), thresholds)


class Isbi2012:
    """All scores of a stack that comes slice by slice; of each a few numbers are kept, not the images.

    >>> scores = Isbi2012()
    >>> scores.add(np.array([[True, False, True]]), np.array([[0.9, 0.55, 0.8]], dtype=np.float32))
    >>> scores.best()["rand_error"]
    Best(score=0.0, threshold=0.6)
    """

    def __init__(self) -> None:
        self._scored: list[_Scored] = []

    def add(
        self,
        truth: NDArray[np.bool_] | NDArray[np.integer],
        probability: NDArray[np.floating],
        ignored: NDArray[np.bool_] | None = None,
    ) -> None:
        """Score one slice at every threshold; `ignored` is True where the truth counts nowhere."""
        slice_ = Slice.of(truth, probability, ignored)
        tables = _tables(slice_, THRESHOLDS, _as_found, flooded)
        self._scored.append(
            _Scored(
                pixels=slice_.pixels,
                pixel=_pixels(slice_, THRESHOLDS),
                pairs=[foreground_pairs(plain) for plain, _ in tables],
                splits_and_mergers=_splits_and_mergers(slice_, WARPING_THRESHOLDS),
                v_rand=[foreground_pairs(thinned).f_score for _, thinned in tables],
                v_info=[foreground_information(thinned).f_score for _, thinned in tables],
            )
        )

    def best(self) -> dict[str, Best]:
        """The challenge's scores of all slices added, each with the threshold that won it.

        pixel_error, rand_error and warping_error pool the counts of all slices (0 is best), v_rand_thinned and
        v_info_thinned are means over slices (1 is best); each is the function of its name.
        """
        if not self._scored:
            raise DataError(_NO_SLICE)
        return {name: winner(curve(self._scored), THRESHOLDS) for name, (curve, winner) in _SCORES.items()}

    def scores(self) -> dict[str, float]:
        """`best` without the thresholds."""
        return {name: best.score for name, best in self.best().items()}

    def per_slice(self) -> list[dict[str, float]]:
        """The scores of each slice alone, in the order added, at the thresholds that are best for the stack."""
        best = self.best()
        return [
            {name: _at(best[name].threshold, curve([scored])) for name, (curve, _) in _SCORES.items()}
            for scored in self._scored
        ]


@dataclass(frozen=True, eq=False)
class _Scored:
    """One slice at each of THRESHOLDS, splits and mergers (in pixels) at each of WARPING_THRESHOLDS."""

    pixels: int
    pixel: list[Agreement]
    pairs: list[Agreement]
    splits_and_mergers: list[int]
    v_rand: list[float]
    v_info: list[float]


def _pixels(slice_: Slice, thresholds: Sequence[float]) -> list[Agreement]:
    true_pixels = int(np.count_nonzero(slice_.cells))

    def agreement(cells: NDArray[np.bool_]) -> Agreement:
        hits = int(np.count_nonzero(cells & slice_.cells))
        return Agreement(both=hits, proposal=int(np.count_nonzero(cells)), truth=true_pixels, total=slice_.pixels)

    return _at_each(thresholds, slice_.probability, agreement)


def _tables(
    slice_: Slice, thresholds: Sequence[float], *kinds: Callable[[NDArray[np.int32]], NDArray[np.int32]]
) -> list[tuple[Contingency, ...]]:
    """At each threshold how the true cells meet what is made of the proposal's components, one table of each kind."""
    truth = components(slice_.cells)

    def tables(cells: NDArray[np.bool_]) -> tuple[Contingency, ...]:
        found = components(cells)
        return tuple(Contingency.of(truth, regions(found)) for regions in kinds)

    return _at_each(thresholds, slice_.probability, tables)


def _as_found(regions: NDArray[np.int32]) -> NDArray[np.int32]:
    return regions


def _splits_and_mergers(slice_: Slice, thresholds: Sequence[float]) -> list[int]:
    return [
        int(np.count_nonzero((kinds == Mismatch.SPLIT) | (kinds == Mismatch.MERGER)))
        for kinds in _mismatches(slice_, thresholds)
    ]


def _mismatches(slice_: Slice, thresholds: Sequence[float]) -> Iterator[NDArray[np.uint8]]:
    """At each threshold what the proposal does to the truth that was warped onto it, the surest mismatches first."""
    truth = components(slice_.cells)
    for threshold in thresholds:
        proposal = slice_.probability > threshold
        surety = np.abs(slice_.probability - threshold).astype(np.float32)
        yield mismatches(warp(truth, proposal, surety), proposal)


def _at_each(
    thresholds: Sequence[float], probability: NDArray[np.float64], measure: Callable[[NDArray[np.bool_]], Value]
) -> list[Value]:
    """What is measured on the cells above each threshold, once where two thresholds have the same cells."""
    measured: dict[int, Value] = {}
    values = []
    for threshold in thresholds:
        cells = probability > threshold
        pixels = int(np.count_nonzero(cells))  # the sets are nested: as many are the same
        if pixels not in measured:
            measured[pixels] = measure(cells)
        values.append(measured[pixels])
    return values


def _pooled_error(rows: Sequence[Sequence[Agreement]]) -> list[float]:
    """(slices, thresholds) agreements → 1 − F at each threshold."""
    return [1 - sum(column[1:], start=column[0]).f_score for column in zip(*rows, strict=True)]


def _share(rows: Sequence[Sequence[int]], pixels: Sequence[int]) -> list[float]:
    """(slices, thresholds) pixels → their share at each threshold; NaN where none counts."""
    total = sum(pixels)
    return [sum(column) / total if total else math.nan for column in zip(*rows, strict=True)]


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """(slices, thresholds) scores → their mean at each threshold over the slices that have any."""
    defined = [row for row in rows if not math.isnan(row[0])] or rows[:1]
    return [sum(column) / len(defined) for column in zip(*defined, strict=True)]


def _lowest(curve: Sequence[float], thresholds: Sequence[float]) -> Best:
    score = min(curve)
    return Best(score, math.nan if math.isnan(score) else thresholds[curve.index(score)])


def _highest(curve: Sequence[float], thresholds: Sequence[float]) -> Best:
    score = max(curve)
    return Best(score, math.nan if math.isnan(score) else thresholds[curve.index(score)])


def _at(threshold: float, curve: Sequence[float]) -> float:
    return math.nan if math.isnan(threshold) else curve[THRESHOLDS.index(threshold)]


_SCORES: dict[
    str, tuple[Callable[[Sequence[_Scored]], list[float]], Callable[[Sequence[float], Sequence[float]], Best]]
] = {
    "pixel_error": (lambda stack: _pooled_error([s.pixel for s in stack]), _lowest),
    "rand_error": (lambda stack: _pooled_error([s.pairs for s in stack]), _lowest),
    "warping_error": (lambda stack: _share([s.splits_and_mergers for s in stack], [s.pixels for s in stack]), _lowest),
    "v_rand_thinned": (lambda stack: _mean([s.v_rand for s in stack]), _highest),
    "v_info_thinned": (lambda stack: _mean([s.v_info for s in stack]), _highest),
}


def _slices(truths: Truths, probabilities: Probabilities) -> list[Slice]:
    if len(truths) != len(probabilities):
        raise SizeError(f"There are {len(truths)} truths and {len(probabilities)} probabilities; give one for each.")
    if not len(truths):
        raise DataError(_NO_SLICE)
    return [Slice.of(truth, probability) for truth, probability in zip(truths, probabilities, strict=True)]
