"""Scores as a table of figures with their intervals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ushape.cli.tables import say_evaluation, say_measures, say_proof, say_trust
from ushape.evaluate import Evaluation
from ushape.images.source import Page
from ushape.metrics.families import Measures
from ushape.metrics.table import Row, Table
from ushape.predict.files import MaskWritten
from ushape.predict.proof import Compared


def three_classes() -> Table:
    one = np.array([[8, 0, 0], [0, 4, 0], [0, 0, 0]])
    two = np.array([[6, 2, 0], [0, 4, 0], [0, 0, 2]])
    return Table([Row("a", "a", one), Row("b", "b", two)], ["background", "axon", "myelin"])


def test_each_class_has_its_line_and_how_many_images_it_is_over(capsys):
    say_evaluation(Evaluation(three_classes()))
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["axon"][:3] == ["axon", "2", "0.9000"]
    assert lines["myelin"][:3] == ["myelin", "1", "1.0000"]
    assert lines["foreground"][1] == "mean"
    assert lines["lowest"][:4] == ["lowest", "Dice:", "b", "0.9000,"]


def test_a_class_in_no_image_has_no_figures(capsys):
    table = Table([Row("a", "a", np.array([[8, 0], [0, 0]]))], ["background", "cell"])
    say_evaluation(Evaluation(table))
    assert ["cell", "0", "–", "–", "–", "–"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_what_flatters_is_said(capsys):
    say_evaluation(Evaluation(three_classes(), trained_on=("a",)))
    assert "warning: the network was trained on a; the scores flatter it." in capsys.readouterr().out


def test_a_broken_law_is_called_a_defect(capsys):
    assert say_proof(Compared(96, 4, 1e-7, 0))
    assert not say_proof(Compared(96, 4, 1e-2, 3))
    assert say_proof(Compared(0, 1, 1e-6, 0, ties=2))
    agreed, broken, tied = capsys.readouterr().out.splitlines()
    assert "1 band, row by row" in tied and "2 ties decided otherwise" in tied
    assert "4 tiles of 96 px" in agreed
    assert "a defect of ushape" in broken


def test_a_family_has_a_line_per_score_and_a_dash_for_what_is_undefined(capsys):
    images = ({"seg": 1.0, "det": float("nan")}, {"seg": 0.5, "det": float("nan")})
    say_measures(Measures("objects", ("a", "b"), ("a", "b"), images, {"seg": 0.625, "f1_50": 0.75}))
    printed = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert printed[0] == ["objects", "images", "mean", "(95", "%", "interval)", "folder"]
    assert printed[2:] == [
        ["seg", "2", "0.7500", "(0.5000–1.0000)", "0.6250"],
        ["det", "0", "–", "–"],
        ["f1", "50", "0", "–", "0.7500"],
    ]


def written(**expected: float) -> MaskWritten:
    return MaskWritten(Page(Path("a.tif")), (), expected)


def test_the_images_to_look_at_first_are_those_of_the_lowest_dice(capsys):
    say_trust([written(a=0.9), written(b_000=0.5, b_001=0.7), written(c=math.nan), written(d=0.95)])
    assert capsys.readouterr().out.splitlines() == [
        "  expected Dice 0.7625, lowest: b_000 0.5000, b_001 0.7000, a 0.9000",
        "  nothing but background in c",
    ]
    say_trust([written(a=0.9)])
    assert capsys.readouterr().out == "  expected Dice 0.9000\n"
    say_trust([written(c=math.nan), written(d=math.nan)])
    assert capsys.readouterr().out == "  nothing but background in c, d\n"
    say_trust([])
    assert capsys.readouterr().out == ""
