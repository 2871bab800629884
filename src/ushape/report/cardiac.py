"""Hearts, one after another → a page for each, and one of the whole study with its figures as JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ushape.cardiac.indices import NAMES
from ushape.cardiac.levels import LEVELS, RULE
from ushape.cardiac.phases import by_volume
from ushape.cardiac.results import DISCLAIMER, PatientFigures, Results
from ushape.cardiac.study import Heart
from ushape.data.pair import counted, listed
from ushape.report.chapter import Chapter, Grid
from ushape.report.charts import Dot, level_chart
from ushape.report.heart import CONTOUR_TITLES, contour_cells, figure, write_heart
from ushape.report.heart_folder import INDEX, begun
from ushape.report.markup import escaped
from ushape.report.page import Page, write


class CardiacReport:
    """The folder of a study: `add` each patient's heart, then `finish`.

    patients: their names, all of them. OutputError where the folder holds a report already, unless `overwrite`.
    """

    def __init__(self, out: Path, patients: Iterable[str], command: str, *, overwrite: bool = False) -> None:
        self.out, self.command = out, command
        self._pages = begun(out, patients, overwrite=overwrite)
        self._figures: list[PatientFigures] = []
        self._empty: list[str] = []

    def add(self, patient: str, heart: Heart | None) -> None:
        """Write a patient's page; None for one without a ventricle."""
        if heart is None:
            self._empty.append(patient)
            return
        write_heart(self.out / self._pages[patient], heart, self.command)
        self._figures.append(PatientFigures.of(heart))

    def finish(self, facts: Iterable[tuple[str, str]], notes: Iterable[str] = ()) -> tuple[Results, list[Path]]:
        """Write the tables and the page of the study, the last; the figures and the files."""
        results = Results(tuple(self._figures), tuple(self._empty))
        paths = results.write(self.out)
        write(self.out / INDEX, _index(results, self._pages, list(facts), [*notes, *_notes(results)], self.command))
        return results, [self.out / INDEX, *paths]


def _index(
    results: Results, pages: Mapping[str, str], facts: list[tuple[str, str]], notes: list[str], command: str
) -> Page:
    return Page(
        title="Left ventricle: predicted against manual",
        headline=[("patients", str(len(results.patients))), *_headline(results)],
        sections=[
            ("Patients", _patients(results, pages)),
            _agreement(results).section(),
            _contours(results).section(),
        ],
        facts=facts,
        command=command,
        notes=[DISCLAIMER, *notes],
    )


def _headline(results: Results) -> Iterator[tuple[str, str]]:
    ef = results.agreement("ef")
    if ef.pairs:
        limits = f"limits {_signed(ef.low)} to {_signed(ef.high)} %"
        yield "bias of the ejection fraction", f"{_signed(ef.bias)} % ({limits})"
    for region in results.regions:
        found = results.contours(region)
        yield f"Dice, {region}", f"{found.dice:.3f}"
        good = "" if math.isnan(found.good) else f" ({100 * found.good:.0f} % good contours)"
        yield f"APD, {region}", f"{found.apd:.2f} {'mm' if results.in_mm else 'px'}{good}"


def _agreement(results: Results) -> Chapter:
    charts, rows = [], []
    for name, words in NAMES.items():
        unit, found = results.unit(name), results.agreement(name)
        rows.append(
            [
                f"{words} ({unit})",
                str(found.pairs),
                *(_signed(value) for value in (found.bias, found.low, found.high)),
                *(
                    "–" if math.isnan(v) else f"{v:.{n}f}"
                    for v, n in ((found.mean_absolute_error, 1), (found.correlation, 3))
                ),
            ]
        )
        if found.pairs > 1:
            dots = [Dot(who, (p + m) / 2, p - m) for who, p, m in results.pairs(name)]
            lines = [("bias", found.bias), ("+1.96 SD", found.high), ("−1.96 SD", found.low)]
            axes = {"x_label": f"mean of both, {unit}", "y_label": f"predicted − manual, {unit}"}
            charts.append((words, level_chart(dots, lines, **axes)))
    return Chapter(
        "How far do the figures agree?",
        [],
        "Bland and Altman (1986): each dot is a patient; the bias is the mean of predicted − manual, and 95 % of the "
        "differences are expected between the limits of agreement, bias ± 1.96 standard deviations.",
        charts=charts,
        grids=[Grid(("", "patients", "bias", "lower limit", "upper limit", "mean |difference|", "Pearson r"), rows)],
    )


def _contours(results: Results) -> Chapter:
    rows = []
    for region in results.regions:
        for phase in (None, "ED", "ES"):
            for level in (None, *LEVELS):
                found = results.contours(region, phase, level)
                if found.drawn or found.added:
                    rows.append([f"{region}, {phase or 'both phases'}, {level or 'all'}", *contour_cells(found)])
    unit = "mm" if results.in_mm else "pixels, as the files do not say how large one is; good contours need millimetres"
    return Chapter(
        "How far do the contours agree?",
        [f"Means over slices in which both readers drew a contour; distances in {unit}."],
        "As in the left-ventricle challenge of MICCAI 2009: APD is the average perpendicular distance of the predicted "
        "contour from the manual one; the share of good contours is of all drawn by hand, so that a missed one is not "
        f"good. {RULE}",
        grids=[Grid(("contours", *CONTOUR_TITLES), rows)],
    )


def _patients(results: Results, pages: Mapping[str, str]) -> str:
    """A table whose first column leads to the pages; other modules' tables have no links."""
    titles = [words for name, words in NAMES.items() if any(not math.isnan(v) for _, v, _ in results.pairs(name))]
    names = [name for name, words in NAMES.items() if words in titles]
    head = "".join(f'<th scope="col" colspan="2">{escaped(title)}</th>' for title in titles)
    readers = '<th scope="col" class="new">manual</th><th scope="col">predicted</th>' * len(titles)
    rows = "".join(_patient_row(patient, names, pages[patient.patient]) for patient in results.patients)
    return (
        f'<div class="wide"><table class="scores"><thead><tr><th rowspan="2" scope="col">Patient</th>{head}</tr>'
        f"<tr>{readers}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _patient_row(patient: PatientFigures, names: list[str], page: str) -> str:
    cells = "".join(
        f'<td class="new">{figure(getattr(patient.manual, name), patient.manual.unit(name))}</td>'
        f"<td>{figure(getattr(patient.predicted, name), patient.predicted.unit(name))}</td>"
        for name in names
    )
    return f'<tr><th scope="row"><a href="{escaped(page)}">{escaped(patient.patient)}</a></th>{cells}</tr>'


def _notes(results: Results) -> Iterator[str]:
    guessed = [patient.patient for patient in results.patients if patient.phases.startswith(by_volume("manual"))]
    if guessed:
        yield (
            f"In {counted(len(guessed), 'patient')} the frame with the larger manual cavity is taken for the end of "
            f"diastole, the smaller for that of systole: {listed(guessed)}."
        )
    if results.in_mm and len(results.sized) < len(results.patients):
        left_out = [patient.patient for patient in results.patients if patient not in results.sized]
        only = "only their ejection fractions are in the figures of the study"
        yield f"The size of voxels is not known of {listed(left_out)}; {only}."
    unit_cubes = [patient.patient for patient in results.patients if patient.voxel_mm == (1.0, 1.0, 1.0)]
    if unit_cubes:
        yield (
            f"The files of {counted(len(unit_cubes), 'patient')} say that voxels are cubes of exactly 1 mm, which is "
            f"what headers say that have lost their size: {listed(unit_cubes)}. Check it, or give it with --spacing."
        )
    if results.empty:
        yield f"No ventricle is drawn in the manual masks of {listed(results.empty)}."


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.1f}".replace("-", "−")
