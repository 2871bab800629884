"""Pages of hearts and of a study: what stands on them, and what they say that they do not know."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ushape.cardiac.contours import slice_scores, volume_scores
from ushape.cardiac.indices import Indices
from ushape.cardiac.levels import inconsistencies, levels
from ushape.cardiac.study import Heart, Reading
from ushape.cardiac.ventricle import Ventricle
from ushape.cardiac.wall import thickness
from ushape.errors import OutputError
from ushape.report.cardiac import CardiacReport
from ushape.report.heart import figure, write_heart

VOXEL = (8.0, 1.5, 1.5)


def ring(inner: float, outer: float, voxel: tuple[float, float, float] | None = VOXEL) -> Ventricle:
    """A ventricle of 3 slices that grows narrower to the apex."""
    y, x = np.ogrid[:64, :64]
    radius = np.hypot(y - 32, x - 32)
    endo, epi = (np.stack([radius < r - number for number in range(3)]) for r in (inner, outer))
    return Ventricle(endo, epi, None, voxel)


def reading(phase: str, manual: Ventricle, predicted: Ventricle) -> Reading:
    at = levels(manual)
    pixels = tuple(np.full((64, 64, 1), 100.0) for _ in at)
    scores, whole = slice_scores(manual, predicted, at), volume_scores(manual, predicted)
    told = tuple(f"predicted: {words}" for words in inconsistencies(predicted))
    return Reading(phase, f"frame of {phase}", pixels, manual, predicted, tuple(at), tuple(scores), tuple(whole), told)  # type: ignore[arg-type]


def heart(name: str = "patient001", inner: float = 14, voxel: tuple[float, float, float] | None = VOXEL) -> Heart:
    diastole, systole = (ring(inner, 20, voxel), ring(inner - 1, 20, voxel)), (ring(9, 20, voxel), ring(8.5, 20, voxel))
    by_hand, by_machine = (Indices.of(diastole[side], systole[side]) for side in (0, 1))
    at = levels(diastole[0])
    ours, theirs = (thickness(v, at, 180.0) for v in diastole)
    readings = reading("ED", *diastole), reading("ES", *systole)
    return Heart(name, "the names of the frames", readings, by_hand, by_machine, 180.0, None, (ours, theirs))


def page_of(tmp_path: Path, read, one: Heart):
    write_heart(tmp_path / "p.html", one, "ushape report …")
    return read((tmp_path / "p.html").read_text(encoding="utf-8"))


def test_a_patients_page_has_figures_slices_and_walls(tmp_path: Path, read) -> None:
    one = heart()
    page = page_of(tmp_path, read, one)
    assert page.faults == []
    rows = {cells[0]: cells[1:] for cells in page.cells}
    assert rows["end-diastolic volume"][:2] == [f"{one.manual.edv:.1f} mL", f"{one.predicted.edv:.1f} mL"]
    assert rows["ejection fraction"][1] == f"{one.predicted.ef:.1f} %"
    assert rows["endocardium, ED, all"][0] == "3" and rows["endocardium, ED, apex"][0] == "1"
    assert rows["epicardium, ES, all"][3:6] == ["1.000", "0.00", "100 %"]
    assert len(page.images()) == 6
    assert page.text.count("basal anterior") == 2
    assert "not a medical device" in page.text
    assert "That the anterior wall follows it clockwise is assumed" in page.text
    assert not re.search(r"(?:src|href)=\"(?!data:)", (tmp_path / "p.html").read_text(encoding="utf-8"))


def test_what_files_say_of_the_view_is_told(tmp_path: Path, read) -> None:
    page = page_of(tmp_path, read, replace(heart(), from_base=True))
    assert "slices are seen from the base, so the anterior wall follows it counter-clockwise" in page.text
    page = page_of(tmp_path, read, replace(heart(), septum=None))
    assert "segments are numbered from an arbitrary angle" in page.text


def test_without_sizes_it_counts_voxels_and_says_so(tmp_path: Path, read) -> None:
    page = page_of(tmp_path, read, heart(voxel=None))
    assert "volumes are counted in voxels" in page.text and "Good contours need millimetres" in page.text
    rows = {cells[0]: cells[1:] for cells in page.cells}
    assert rows["end-diastolic volume"][0].endswith(" voxels")
    assert rows["myocardial mass"] == ["–", "–", "–"]
    assert rows["ejection fraction"][0] == f"{heart().manual.ef:.1f} %"


def test_walls_that_nobody_drew_are_left_out(tmp_path: Path, read) -> None:
    blank = [math.nan] * 17
    assert "Thickness of the wall" not in page_of(tmp_path, read, replace(heart(), walls=(blank, blank))).text


def test_oddities_are_told(tmp_path: Path, read) -> None:
    spoilt = ring(9, 20)
    spoilt.endocardium[1] = False
    one = heart()
    page = page_of(tmp_path, read, replace(one, readings=(one.readings[0], reading("ES", ring(9, 20), spoilt))))
    assert "ES: predicted: No cavity in slice 2, between slices that have it." in page.text
    assert "Nothing is amiss" in page_of(tmp_path, read, one).text


def test_figures_are_short() -> None:
    assert figure(-3.25, "mL") == "−3.2 mL"
    assert figure(math.nan, "g") == "–"


def test_a_studys_page_leads_to_its_patients(tmp_path: Path, read) -> None:
    out = tmp_path / "new" / "report"
    report = CardiacReport(out, ["patient001", "<b>2", "none"], "ushape report …")
    hearts = [heart("patient001"), heart("<b>2", inner=15)]
    for one in hearts:
        report.add(one.patient, one)
    report.add("none", None)
    results, paths = report.finish([("predicted", "MASKS")], ["a note"])
    page = read((out / "index.html").read_text(encoding="utf-8"))
    assert page.faults == []
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert links == ["patient-patient001.html", "patient-_b_2.html"]
    assert all((out / link).is_file() for link in links)
    rows = {cells[0]: cells[1:] for cells in page.cells}
    bias = np.mean([one.predicted.ef - one.manual.ef for one in hearts])
    assert rows["ejection fraction (%)"][1] == f"{bias:+.1f}".replace("-", "−")
    assert rows["patient001"][0] == f"{hearts[0].manual.edv:.1f} mL"
    assert page.tags.count("svg") == 5
    for words in ("a note", "No ventricle is drawn in the manual masks of none.", "not a medical device"):
        assert words in page.text
    assert {path.name for path in paths} == {"index.html", "patients.csv", "contours.csv", "results.json"}
    about = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert about["agreement"]["ef"]["bias"] == pytest.approx(bias) == results.agreement("ef").bias


def test_what_the_figures_rest_on_is_noted(tmp_path: Path, read) -> None:
    report = CardiacReport(tmp_path, ["a", "b", "c"], "")
    by_volume = "the larger and the smaller manual cavity"
    for one in (heart("a"), heart("b", voxel=None), heart("c", voxel=(1.0, 1.0, 1.0))):
        report.add(one.patient, replace(one, phases=by_volume))
    report.finish([])
    text = read((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert "In 3 patients the frame with the larger manual cavity is taken for the end of diastole" in text
    assert "The size of voxels is not known of b; only their ejection fractions" in text
    assert "The files of 1 patient say that voxels are cubes of exactly 1 mm" in text


def test_pages_never_share_a_name_and_a_report_is_not_overwritten(tmp_path: Path) -> None:
    report = CardiacReport(tmp_path, ["a/1", "a 1", "A.1"], "")
    for name in ("a/1", "a 1", "A.1"):
        report.add(name, heart(name))
    report.finish([])
    assert len(list(tmp_path.glob("patient-*.html"))) == 3
    with pytest.raises(OutputError, match=r"index.html exists already. Replace it with --overwrite"):
        CardiacReport(tmp_path, ["a/1"], "")
    CardiacReport(tmp_path, ["a/1"], "", overwrite=True)
