"""A patient's heart as one HTML page: volumes, walls, contours of both readers over the slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ushape.cardiac.contours import GOOD_MM, ContourFigures, VolumeScores
from ushape.cardiac.frames import Voxel
from ushape.cardiac.indices import NAMES, Indices
from ushape.cardiac.levels import LEVELS, RULE
from ushape.cardiac.results import DISCLAIMER
from ushape.cardiac.study import Heart, Reading
from ushape.report.bullseye import bullseye
from ushape.report.chapter import Chapter, Grid
from ushape.report.contour_picture import LEGEND, contour_picture, window_around
from ushape.report.page import Page, Picture, write

PHASE_WORDS = {"ED": "the end of diastole", "ES": "the end of systole"}
VOLUME_RULE = (
    "Volumes are sums over slices: area times the distance from slice to slice, gap included. Mass: that of the wall "
    "at the end of diastole, 1.05 g/mL."
)
CONTOUR_TITLES = ("by hand", "missed", "added", "Dice", "APD", f"good (APD < {GOOD_MM:g} mm)", "HD", "HD95", "ASSD")


def write_heart(path: Path, heart: Heart, command: str) -> None:
    """The page of one patient, complete or not there."""
    page = Page(
        title=f"{heart.patient}: left ventricle",
        headline=[(f"{NAMES[name]}, predicted", _both(heart, name)) for name in ("ef", "edv", "esv", "mass")],
        sections=[chapter.section() for chapter in _chapters(heart)],
        facts=_facts(heart),
        galleries=[_gallery(reading) for reading in heart.readings],
        legend=LEGEND,
        command=command,
        notes=[DISCLAIMER],
    )
    write(path, page)


def _chapters(heart: Heart) -> list[Chapter]:
    readers = list(zip(("manual", "predicted"), heart.walls, strict=True))
    thickness = walls(readers, "mm" if heart.voxel_mm else "px", heart.septum, heart.from_base)
    return [_volumes(heart), *thickness, _contours(heart), _surfaces(heart), _oddities(heart)]


def figure(value: float, unit: str) -> str:
    """A number with its unit, as tables show it; a dash for what is not defined.

    >>> figure(61.25, "%"), figure(float("nan"), "mL"), figure(10816.0, "voxels")
    ('61.2 %', '–', '10,816 voxels')
    """
    if math.isnan(value):
        return "–"
    return (f"{value:,.0f} {unit}" if unit == "voxels" else f"{value:.1f} {unit}").replace("-", "−")


def contour_cells(figures: ContourFigures) -> list[str]:
    """One for each of CONTOUR_TITLES."""
    lengths = [_decimals(value, 2) for value in (figures.hd, figures.hd95, figures.assd)]
    counts = [str(figures.drawn), str(figures.missed), str(figures.added)]
    good = "–" if math.isnan(figures.good) else f"{100 * figures.good:.0f} %"
    return [*counts, _decimals(figures.dice, 3), _decimals(figures.apd, 2), good, *lengths]


def _both(heart: Heart, name: str) -> str:
    """The predicted figure, the manual one in brackets."""
    predicted, manual = (index_in_words(side, name) for side in (heart.predicted, heart.manual))
    return f"{predicted} (manual {manual})"


def index_in_words(indices: Indices, name: str) -> str:
    """With its unit."""
    return figure(getattr(indices, name), indices.unit(name))


def volume_answers(phases: str, *, in_ml: bool) -> list[str]:
    """What says which frame is which phase, and in what volumes are counted."""
    answers = [f"What says which frame is which phase: {phases}."]
    if not in_ml:
        answers.append(
            "The files do not say how large a voxel is: volumes are counted in voxels, masses are not known, and the "
            "ejection fraction, a ratio, is. Give the size with --spacing."
        )
    return answers


def _volumes(heart: Heart) -> Chapter:
    rows = [
        [
            words,
            index_in_words(heart.manual, name),
            index_in_words(heart.predicted, name),
            figure(getattr(heart.predicted, name) - getattr(heart.manual, name), heart.manual.unit(name)),
        ]
        for name, words in NAMES.items()
    ]
    return Chapter(
        "Volumes and mass",
        volume_answers(heart.phases, in_ml=heart.manual.in_ml),
        VOLUME_RULE,
        grids=[Grid(("", "manual", "predicted", "difference"), rows)],
    )


def walls(
    readers: Sequence[tuple[str, Sequence[float]]], unit: str, septum: float | None, from_base: bool | None
) -> list[Chapter]:
    """A bull's-eye for each reader, called by a name, with the thickness of the 17 segments; none where none is known.

    septum, from_base: as of a `Heart`; the septum is where the first reader has it.
    """
    known = [value for _, wall in readers for value in wall if not math.isnan(value)]
    if not known:
        return []
    span = {"low": math.floor(min(known)), "high": math.ceil(max(known))}
    charts = [(f"{reader}, end of diastole", bullseye(wall, unit, **span)) for reader, wall in readers]
    return [
        Chapter(
            "Thickness of the wall",
            [_where_the_septum_is(readers[0][0], septum, from_base)],
            "Segments of the American Heart Association (2002): rings of 6, 6 and 4. Thickness is the length of wall "
            "along rays from the middle of the cavity. The apex, segment 17, cannot be measured in short-axis slices.",
            charts=charts,
        )
    ]


def _where_the_septum_is(reader: str, septum: float | None, from_base: bool | None) -> str:
    if septum is None:
        return (
            "No right ventricle says where the septum is: segments are numbered from an arbitrary angle, as if it were "
            "at the left of the image."
        )
    found = (
        f"The septum is where the {reader} right ventricle borders on the wall, its middle at "
        f"{septum:.0f}° counter-clockwise from the right of the image. "
    )
    if from_base is None:
        return found + (
            "That the anterior wall follows it clockwise is assumed, as it does where slices are seen from the apex: "
            "neither masks nor files say so."
        )
    seen, way = ("base", "counter-clockwise") if from_base else ("apex", "clockwise")
    return (
        found + f"By the geometry of the file slices are seen from the {seen}, so the anterior wall follows it {way}."
    )


def _contours(heart: Heart) -> Chapter:
    unit = "mm" if heart.voxel_mm else "pixels"
    regions = list(dict.fromkeys(scores.region for _, scores in heart.slices))
    rows = []
    for region in regions:
        for reading in heart.readings:
            mine = [scores for scores in reading.slices if scores.region == region]
            for level in (None, *LEVELS):
                found = ContourFigures.of([s for s in mine if level in (None, s.level)])
                if found.drawn or found.added:
                    rows.append([f"{region}, {reading.phase}, {level or 'all'}", *contour_cells(found)])
    return Chapter(
        "Contours, slice by slice",
        [f"Means over slices; distances in {unit}." + ("" if heart.voxel_mm else " Good contours need millimetres.")],
        f"APD: average perpendicular distance of the predicted contour from the manual one. {RULE}",
        grids=[Grid(("contours", *CONTOUR_TITLES), rows)],
    )


def _surfaces(heart: Heart) -> Chapter:
    rows = [
        [f"{scores.region}, {reading.phase}", *(_decimals(v, n) for v, n in _of_volume(scores))]
        for reading in heart.readings
        for scores in reading.volumes
    ]
    known = "" if heart.voxel_mm else " Distances need the size of a voxel."
    return Chapter(
        "Surfaces, in three dimensions",
        [],
        f"Dice of all voxels, and distances between the surfaces, areas weighed.{known}",
        grids=[Grid(("surfaces", "Dice", "HD in mm", "HD95 in mm", "ASSD in mm"), rows)],
    )


def _of_volume(scores: VolumeScores) -> list[tuple[float, int]]:
    return [(scores.dice, 3), (scores.hd_mm, 2), (scores.hd95_mm, 2), (scores.assd_mm, 2)]


def _oddities(heart: Heart) -> Chapter:
    told = [f"{reading.phase}: {words}" for reading in heart.readings for words in reading.oddities]
    return Chapter(
        "From slice to slice",
        told or ["Nothing is amiss: no gaps, no pieces apart, and both readers see the cavity in the same slices."],
        "Slices are numbered from the base. What does not fit is told here, and left as it is.",
    )


def _gallery(reading: Reading) -> tuple[str, list[Picture]]:
    window = window_around([reading.manual, reading.predicted])
    manual, predicted = reading.manual.regions(), reading.predicted.regions()
    pictures = []
    for number, pixels in enumerate(reading.pixels):
        ours, theirs = ({name: mask[number] for name, mask in side.items()} for side in (manual, predicted))
        scores = [s for s in reading.slices if s.slice == number + 1]
        words = ", ".join(f"{s.region} {_decimals(s.dice, 2)}" for s in scores)
        level = reading.levels[number] or "beyond the manual ventricle"
        caption = f"slice {number + 1}, {level}" + (f": Dice {words}" if words else "")
        pictures.append(Picture(caption, np.ascontiguousarray(contour_picture(pixels, ours, theirs, window))))
    return f"Slices at {PHASE_WORDS[reading.phase]}, base first", pictures


def _facts(heart: Heart) -> list[tuple[str, str]]:
    return [
        *((PHASE_WORDS[reading.phase], f"{reading.frame}, {len(reading.pixels)} slices") for reading in heart.readings),
        ("voxels (slice x y x x)", size_in_words(heart.voxel_mm)),
        ("manual", "the masks of the annotated folder"),
    ]


def size_in_words(voxel_mm: Voxel | None) -> str:
    """
    >>> size_in_words((8.0, 1.5, 1.5)), size_in_words(None)
    ('8 x 1.5 x 1.5 mm', 'not known')
    """
    return "not known" if voxel_mm is None else " x ".join(f"{side:g}" for side in voxel_mm) + " mm"


def _decimals(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
