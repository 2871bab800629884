"""The page of a cross-validation: every fold, every image, and what the numbers carry."""

from __future__ import annotations

import pytest

from ushape.images.simulated import write_folder
from ushape.repetition import cross_validation
from ushape.report.repetition import write_repetition

TABLES = {
    "model": {"name": "unet", "options": {"width": 2, "depth": 1, "padding": "same"}},
    "training": {"steps": 2, "output_size": 16, "batch": 1, "validations": 1, "precision": "float32"},
    "data": {"task": "instances", "group_by": ".*"},
}


@pytest.fixture
def _few_resamples(monkeypatch):
    monkeypatch.setattr("ushape.metrics.table.RESAMPLES", 20)


@pytest.mark.usefixtures("_few_resamples")
def test_the_page_tells_every_fold_and_every_image(read, tmp_path):
    write_folder(tmp_path / "<cells>", "cells", count=4, height_width=(48, 48), seed=2, instances=True)
    repetition = cross_validation(tmp_path / "<cells>", tmp_path / "out", TABLES, number=2, device="cpu")
    list(repetition.events())
    results = write_repetition(repetition, "ushape crossvalidate …")
    page = read((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert page.faults == [] and results.primary == "ap_50_95"
    for words in (
        "unet on <cells>: 2-fold cross-validation",
        "AP of objects",
        "never saw",
        "took no part",
        "Fold by fold",
    ):
        assert words in page.text
    rows = {row[0]: row for row in page.cells}
    assert [rows[name][1] for name in ("fold-1", "fold-2", "all")] == ["2", "2", "4"]
    assert {f"cells_00{number}" for number in range(4)} <= rows.keys()
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"results.json", "results.csv"}
