"""Hearts that the network alone has drawn → a page for each patient, one of all, and the figures as JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ushape.cardiac.cine import CineHeart, Moment
from ushape.cardiac.cine_results import ALONE, CineFigures, CineResults
from ushape.cardiac.indices import NAMES
from ushape.cardiac.phases import by_volume
from ushape.cardiac.results import DISCLAIMER
from ushape.data.pair import counted, listed
from ushape.report.chapter import Chapter, Grid
from ushape.report.charts import Series, line_chart
from ushape.report.contour_picture import PREDICTED_COLOUR, contour_picture, window_around
from ushape.report.heart import (
    PHASE_WORDS,
    VOLUME_RULE,
    index_in_words,
    size_in_words,
    volume_answers,
    walls,
)
from ushape.report.heart_folder import INDEX, begun
from ushape.report.markup import escaped
from ushape.report.page import Page, Picture, write

_MOST_IN_A_CHART = 6
_MENDED_SAID = 4


class CineReport:
    """The folder of a study: `add` each patient's heart, then `finish`.

    patients: their names, all of them. OutputError where the folder holds a report already, unless `overwrite`.
    """

    def __init__(self, out: Path, patients: Iterable[str], command: str, *, overwrite: bool = False) -> None:
        self.out, self.command = out, command
        self._pages = begun(out, patients, overwrite=overwrite)
        self._figures: list[CineFigures] = []
        self._empty: list[str] = []

    def add(self, patient: str, heart: CineHeart | None) -> None:
        """Write a patient's page; None for one without a cavity."""
        if heart is None:
            self._empty.append(patient)
            return
        write_cine_heart(self.out / self._pages[patient], heart, self.command)
        self._figures.append(CineFigures.of(heart))

    def finish(
        self, facts: Iterable[tuple[str, str]], notes: Iterable[str] = (), mended: Iterable[str] = ()
    ) -> tuple[CineResults, list[Path]]:
        """Write the tables and the page of the study, the last; the figures and the files. mended: what of the masks
        was, a sentence each.
        """
        results = CineResults(tuple(self._figures), tuple(self._empty), tuple(mended))
        paths = results.write(self.out)
        page = Page(
            title="Left ventricle, by the network alone",
            headline=[("patients", str(len(results.patients)))],
            sections=[("Patients", _patients(results, self._pages)), *_courses(results)],
            facts=list(facts),
            command=self.command,
            notes=[DISCLAIMER, ALONE, *notes, *_notes(results)],
        )
        write(self.out / INDEX, page)
        return results, [self.out / INDEX, *paths]


def write_cine_heart(path: Path, heart: CineHeart, command: str) -> None:
    """The page of one patient, complete or not there."""
    unit = "mm" if heart.voxel_mm else "px"
    chapters = [
        _volumes(heart),
        *walls([("predicted", heart.wall)], unit, heart.septum, heart.from_base),
        _oddities(heart),
    ]
    page = Page(
        title=f"{heart.patient}: left ventricle, by the network alone",
        headline=[(NAMES[name], index_in_words(heart.indices, name)) for name in ("ef", "edv", "esv", "mass")],
        sections=[chapter.section() for chapter in chapters],
        facts=_facts(heart),
        galleries=[_gallery(moment) for moment in heart.moments],
        legend=[("predicted", PREDICTED_COLOUR)],
        command=command,
        notes=[DISCLAIMER, ALONE],
    )
    write(path, page)


def _volumes(heart: CineHeart) -> Chapter:
    frames = {moment.phase: moment.frame for moment in heart.moments}
    chosen = " ".join(f"{PHASE_WORDS[phase].capitalize()} is {frame}." for phase, frame in frames.items())
    charts = []
    if len(heart.course) > 1:
        numbers, volumes = zip(*heart.course, strict=True)
        curve = Series("cavity", numbers, volumes)
        unit = heart.indices.unit("edv")
        charts = [("The cavity over time", line_chart([curve], x_label="frame", y_label=f"cavity, {unit}"))]
    return Chapter(
        "Volumes and mass",
        [ALONE, *volume_answers(heart.phases, in_ml=heart.indices.in_ml), chosen],
        VOLUME_RULE,
        charts=charts,
        grids=[Grid(("", "predicted"), [[words, index_in_words(heart.indices, n)] for n, words in NAMES.items()])],
    )


def _oddities(heart: CineHeart) -> Chapter:
    told = [f"{moment.phase}: {words}" for moment in heart.moments for words in moment.oddities]
    return Chapter(
        "What does not fit",
        [*heart.oddities, *told] or ["Nothing is amiss: no gaps, no pieces apart, no frame that stands apart in time."],
        "Slices are numbered from the base. What does not fit is told here, and left as it is.",
    )


def _gallery(moment: Moment) -> tuple[str, list[Picture]]:
    window, regions = window_around([moment.ventricle]), moment.ventricle.regions()
    pictures = []
    for number, pixels in enumerate(moment.pixels):
        masks = {name: mask[number] for name, mask in regions.items()}
        level = moment.levels[number] or "beyond the ventricle"
        drawn = contour_picture(pixels, {}, masks, window)
        pictures.append(Picture(f"slice {number + 1}, {level}", np.ascontiguousarray(drawn)))
    return f"Slices at {PHASE_WORDS[moment.phase]}, base first", pictures


def _facts(heart: CineHeart) -> list[tuple[str, str]]:
    return [
        *((PHASE_WORDS[m.phase], f"{m.frame}, {counted(len(m.pixels), 'slice')}") for m in heart.moments),
        ("frames", str(len(heart.course))),
        ("voxels (slice x y x x)", size_in_words(heart.voxel_mm)),
        ("contours", "the network's alone; nobody drew any by hand"),
    ]


def _patients(results: CineResults, pages: Mapping[str, str]) -> str:
    """A table whose first column leads to the pages."""
    head = "".join(f'<th scope="col">{escaped(words)}</th>' for words in NAMES.values())
    rows = "".join(
        f'<tr><th scope="row"><a href="{escaped(pages[patient.patient])}">{escaped(patient.patient)}</a></th>'
        + "".join(f"<td>{index_in_words(patient.indices, name)}</td>" for name in NAMES)
        + f"<td>{len(patient.course)}</td></tr>"
        for patient in results.patients
    )
    return (
        f'<div class="wide"><table class="scores"><thead><tr><th scope="col">Patient</th>{head}'
        f'<th scope="col">frames</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _courses(results: CineResults) -> Iterator[tuple[str, str]]:
    """The cavities over time in one chart, of a few patients and of those in the same unit."""
    moving = [patient for patient in results.patients if len(patient.course) > 2]
    if not moving or len(moving) > _MOST_IN_A_CHART or len({p.indices.unit("edv") for p in moving}) > 1:
        return
    lines = [Series(p.patient, *map(list, zip(*p.course, strict=True))) for p in moving]
    unit = moving[0].indices.unit("edv")
    chart = line_chart(lines, x_label="frame", y_label=f"cavity, {unit}")
    yield Chapter("The cavity over time", [], charts=[("cavity", chart)]).section()


def _notes(results: CineResults) -> Iterator[str]:
    guessed = [patient.patient for patient in results.patients if patient.phases.startswith(by_volume("predicted"))]
    if guessed:
        yield (
            f"In {counted(len(guessed), 'patient')} nothing names the phases: the frame with the largest predicted "
            f"cavity is taken for the end of diastole, that with the smallest for that of systole: {listed(guessed)}."
        )
    odd = [patient.patient for patient in results.patients if patient.oddities]
    if odd:
        yield f"Something does not fit, and is told on their pages, in {listed(odd)}."
    unit_cubes = [patient.patient for patient in results.patients if patient.voxel_mm == (1.0, 1.0, 1.0)]
    if unit_cubes:
        yield (
            f"The files of {counted(len(unit_cubes), 'patient')} say that voxels are cubes of exactly 1 mm, which is "
            f"what headers say that have lost their size: {listed(unit_cubes)}. Check it, or give it with --spacing."
        )
    if results.mended:
        some = "; ".join(results.mended[:_MENDED_SAID])
        more = f"; and {len(results.mended) - _MENDED_SAID} more" if len(results.mended) > _MENDED_SAID else ""
        yield f"Regions were put in one piece through each volume, which changed masks (results.json): {some}{more}."
    if results.empty:
        yield f"The network finds no cavity in {listed(results.empty)}."
