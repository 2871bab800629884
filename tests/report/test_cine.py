"""Pages of hearts that the network alone has drawn: what stands on them, and what they say that they do not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cine_files import beating
from ushape.cardiac.cine import CineHeart, Moment
from ushape.cardiac.indices import Indices
from ushape.cardiac.levels import inconsistencies, levels
from ushape.cardiac.ventricle import Ventricle
from ushape.cardiac.wall import thickness
from ushape.report.cine import CineReport, write_cine_heart

VOXEL = (8.0, 1.5, 1.5)


def heart(name: str = "p1", voxel: tuple[float, float, float] | None = VOXEL) -> CineHeart:
    drawn = [Ventricle(one == 3, one >= 2, one == 1, voxel) for one in beating((10.2, 7.0))]
    moments = []
    for phase, ventricle in zip(("ED", "ES"), drawn, strict=True):
        at, pixels = tuple(levels(ventricle)), tuple(np.full((48, 48, 1), 100.0) for _ in range(4))
        moments.append(Moment(phase, f"frame of {phase}", pixels, ventricle, at, tuple(inconsistencies(ventricle))))  # type: ignore[arg-type]
    wall = thickness(drawn[0], moments[0].levels, 180.0)
    course = tuple((n, v.cavity) for n, v in enumerate(drawn, 1))
    rule = "the larger and the smaller predicted cavity"
    return CineHeart(name, rule, course, (), tuple(moments), Indices.of(*drawn), 180.0, False, wall)


def test_a_patients_page_has_figures_a_curve_and_every_slice(tmp_path: Path, read) -> None:
    one = heart()
    write_cine_heart(tmp_path / "p.html", one, "ushape report …")
    page = read((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert page.faults == [] and len(page.images()) == 8 and page.tags.count("svg") == 2
    rows = {cells[0]: cells[1:] for cells in page.cells}
    assert rows["end-diastolic volume"] == [f"{one.indices.edv:.1f} mL"]
    for words in ("nobody drew any by hand", "No manual masks were given", "Nothing is amiss", "seen from the apex"):
        assert words in page.text
    assert "by hand" not in page.text.replace("drew any by hand", "") and "manual right" not in page.text


def test_what_does_not_fit_and_what_is_not_known_is_told(tmp_path: Path, read) -> None:
    spoilt = heart(voxel=None)
    moment = replace(spoilt.moments[1], oddities=("No cavity in slice 2, between slices that have it.",))
    odd = replace(spoilt, oddities=("Frame 3: the cavity has …",), moments=(spoilt.moments[0], moment), septum=None)
    write_cine_heart(tmp_path / "p.html", odd, "")
    text = read((tmp_path / "p.html").read_text(encoding="utf-8")).text
    for words in (
        "Frame 3: the cavity has …",
        "ES: No cavity in slice 2",
        "volumes are counted in voxels",
        "from an arbitrary angle",
    ):
        assert words in text


def test_the_page_of_the_study_leads_to_all_and_notes_what_it_rests_on(tmp_path: Path, read) -> None:
    report = CineReport(tmp_path / "out", ["a", "b", "c"], "ushape report …")
    report.add("a", replace(heart("a"), oddities=("Frame 3: …",), course=((1, 90.0), (2, 80.0), (3, 30.0))))
    report.add("b", heart("b", (1.0, 1.0, 1.0)))
    report.add("c", None)
    mended = [f"change {n}" for n in range(6)]
    results, paths = report.finish([("predicted", "RUN")], ["a note"], mended)
    assert len(results.patients) == 2 and results.empty == ("c",) and len(results.mended) == 6
    assert [path.name for path in paths] == ["index.html", "patients.csv", "volumes.csv", "results.json"]
    page = read((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    assert page.faults == [] and page.tags.count("svg") == 1
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert links == ["patient-a.html", "patient-b.html"] and all((tmp_path / "out" / link).is_file() for link in links)
    for words in (
        "a note",
        "In 2 patients nothing names the phases",
        "Something does not fit, and is told on their pages, in a.",
        "cubes of exactly 1 mm",
        "The network finds no cavity in c.",
        "change 0; change 1; change 2; change 3; and 2 more",
    ):
        assert words in page.text
