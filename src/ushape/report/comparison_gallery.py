"""The same difficult places through all networks of a comparison, side by side with the truth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ushape.compare import Comparison, Results
from ushape.compare.results import TITLES
from ushape.compare.standing import Standing
from ushape.data.borders import separated
from ushape.labels import IGNORED, Labels
from ushape.predict.objects import find_objects
from ushape.predict.overlay import displayed, overlay
from ushape.predict.tiled import Predictor, load
from ushape.report.page import Picture
from ushape.train.prepare import truths_of
from ushape.train.validate import Truth

_OF_EACH_KIND = 2  # images in which entrants differ most, and images that are hardest for all
_SIDE_PX = 192
_SHOWN_PX = 512  # small places are enlarged to about this, so that lines are finer than pixels

Classes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Place:
    """An image of the test, and why it is shown."""

    number: int
    reason: str


def difficult_places(comparison: Comparison, results: Results) -> list[tuple[str, list[Picture]]]:
    """Galleries, one for each place: image and truth, then the answer of each entrant trained with the first seed."""
    shown = [s for s in results.standings if results.seeds and results.seeds[0] in s.seeds]
    if not shown:
        return []
    places = _places(results, shown)
    truths = [truths_of([comparison.division.test[place.number]], comparison.annotation)[0] for place in places]
    answers = []
    for standing in shown:
        folder = comparison.cell(standing.entrant, results.seeds[0]).folder
        predictor = load(folder, device=str(comparison.device))
        answers.append([_answer(predictor, truth) for truth in truths])
    galleries = []
    for number, (place, truth) in enumerate(zip(places, truths, strict=True)):
        of_place = {standing.name: of[number] for standing, of in zip(shown, answers, strict=True)}
        captions = {s.name: _caption(s, place, results) for s in shown}
        pictures = _pictures(truth, of_place, captions, comparison.annotation.labels)
        galleries.append((f"{truth.name}: {place.reason}", pictures))
    return galleries


def _places(results: Results, shown: Sequence[Standing]) -> list[_Place]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing, where a score is undefined
        scores = np.array([np.nanmean(standing.values(results.primary), axis=0) for standing in shown])
        means, apart = np.nanmean(scores, axis=0), np.nanmax(scores, axis=0) - np.nanmin(scores, axis=0)
    defined = np.flatnonzero(~np.isnan(means))
    chosen: list[_Place] = []
    for hardest_first, reason in ((-apart, "entrants differ most"), (means, "lowest scores")):
        taken = {place.number for place in chosen}
        order = [int(n) for n in defined[np.argsort(hardest_first[defined], kind="stable")] if n not in taken]
        if reason == "lowest scores" or len(shown) > 1:
            chosen += [_Place(n, reason) for n in order[:_OF_EACH_KIND]]
    return chosen


def _answer(predictor: Predictor, truth: Truth) -> Classes:
    """(H, W) class numbers, objects drawn apart where they are told apart."""
    classes, probability = predictor.whole(truth.source)
    rule = predictor.trained.object_rule
    return classes if rule is None else (separated(find_objects(probability[1], rule)) > 0).astype(np.uint8)


def _caption(standing: Standing, place: _Place, results: Results) -> str:
    score = standing.values(results.primary, results.seeds[:1])[0, place.number]
    return f"{standing.name}: {TITLES[results.primary]} {score:.3f}" if score == score else standing.name


def _pictures(truth: Truth, answers: dict[str, Classes], captions: dict[str, str], labels: Labels) -> list[Picture]:
    wanted = truth.classes
    if truth.objects is not None:
        wanted = np.where(wanted == IGNORED, wanted, (separated(truth.objects) > 0).astype(np.uint8))
    window = _hardest(wanted, list(answers.values()))
    pixels, wanted = truth.source.read()[window], wanted[window]
    enlarge = max(1, _SHOWN_PX // max(wanted.shape))
    image = displayed(pixels).repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    pictures = [Picture("image", image), Picture("truth", overlay(pixels, wanted, labels, enlarge=enlarge))]
    for name, classes in answers.items():
        drawn = overlay(pixels, classes[window], labels, truth=wanted, enlarge=enlarge)
        pictures.append(Picture(captions[name], drawn))
    return pictures


def _hardest(wanted: Classes, answers: Sequence[Classes]) -> tuple[slice, ...]:
    """The window in which most pixels are wrong, those counting twice about which the answers differ."""
    wrong = np.array([(answer != wanted) & (wanted != IGNORED) for answer in answers])
    weight = wrong.mean(axis=0) + (wrong.any(axis=0) & ~wrong.all(axis=0))
    sides = [min(_SIDE_PX, size) for size in wanted.shape]
    inside = tuple(
        slice(side // 2, size - side + side // 2 + 1) for side, size in zip(sides, wanted.shape, strict=True)
    )
    density = ndimage.uniform_filter(weight, sides, mode="constant")[inside]
    starts = np.unravel_index(int(density.argmax()), density.shape)
    return tuple(slice(int(start), int(start) + side) for start, side in zip(starts, sides, strict=True))
