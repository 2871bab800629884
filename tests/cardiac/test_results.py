"""Figures of a study: sums over its patients, and their files."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ushape.cardiac.indices import Indices
from ushape.cardiac.results import PatientFigures, Results
from ushape.cardiac.study import Heart


def test_a_study_adds_up_its_patients(read: list[Heart], tmp_path: Path) -> None:
    results = Results(tuple(PatientFigures.of(heart) for heart in read))
    bias = np.mean([heart.predicted.edv - heart.manual.edv for heart in read])
    assert results.agreement("edv").bias == pytest.approx(bias)
    whole, parts = results.contours("endocardium"), [results.contours("endocardium", phase) for phase in ("ED", "ES")]
    assert whole.drawn == sum(part.drawn for part in parts)
    apd = [s.apd for heart in read for _, s in heart.slices if s.region == "endocardium" and s.drawn == "both"]
    assert whole.apd == pytest.approx(np.mean(apd))
    results.write(tmp_path)
    about = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert about["agreement"]["ef"]["pairs"] == 2
    assert about["patients"][0]["manual"]["edv"] == pytest.approx(read[0].manual.edv)
    assert about["patients"][0]["walls"]["manual"][16] is None
    assert "not a medical device" in about["disclaimer"]
    with (tmp_path / "patients.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["predicted ef"]) == pytest.approx(read[1].predicted.ef)
    with (tmp_path / "contours.csv").open(encoding="utf-8") as file:
        contours = list(csv.DictReader(file))
    assert len(contours) == sum(len(heart.slices) for heart in read)
    assert {row["unit"] for row in contours} == {"mm"}


def test_patients_whose_size_is_not_known_stay_out_of_millilitres(read: list[Heart]) -> None:
    known, unknown = (PatientFigures.of(heart) for heart in read)
    unknown = replace(
        unknown,
        voxel_mm=None,
        manual=Indices(9000, 4000, 5000, 55.6, math.nan, False),
        predicted=Indices(8000, 4000, 4000, 50.0, math.nan, False),
    )
    results = Results((known, unknown))
    assert results.agreement("edv").pairs == 1 and results.agreement("ef").pairs == 2
    assert results.unit("edv") == "mL"
    assert results.contours("endocardium").drawn == len([s for _, s in known.slices if s.region == "endocardium"])
    assert Results((unknown,)).unit("edv") == "voxels"
