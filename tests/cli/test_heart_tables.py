"""What a report on hearts says on the standard output."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.cardiac.cine_results import CineFigures, CineResults
from ushape.cardiac.indices import Indices
from ushape.cli.heart_tables import say_hearts


def test_figures_oddities_and_who_is_missing_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    indices = Indices(120.0, 50.0, 70.0, 58.333, 90.0, True)
    course = ((1, 120.0), (2, 50.0))
    heart = CineFigures("p1", "…", {}, None, indices, course, (("ES", "No cavity in slice 2."),), None, None, [])
    say_hearts(CineResults((heart,), ("p2",)), [Path("out/index.html")])
    said = capsys.readouterr().out
    for words in (
        "p1  end-diastolic volume 120.0 mL",
        "ejection fraction 58.3 %",
        "ES: No cavity in slice 2.",
        "no cavity in  p2",
        "the network's alone",
        "out/index.html, and 1 page of patients",
        "not a medical device",
    ):
        assert words in said
