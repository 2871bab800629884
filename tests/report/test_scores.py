"""Tables of scores: every figure in its cell, the rules beside them, images the worst first."""

from __future__ import annotations

import math

import numpy as np

from ushape.metrics.families import ABOUT, Measures
from ushape.metrics.table import EMPTY_RULE, INTERVAL_RULE, Row, Table
from ushape.report.scores import MOST_ROWS, measures_table, score_table


def row(name: str, hits_of_ten: int, group: str | None = None) -> Row:
    return Row(name, group or name, np.array([[90, 0], [10 - hits_of_ten, hits_of_ten]]))


def cells(*rows: Row) -> Table:
    return Table(rows, ("background", "cell"))


def test_scores_stand_per_class_and_over_the_foreground_with_interval_pooled_and_number_of_images(read):
    layers = Table(
        [
            Row("a", "a", np.array([[8, 0, 0], [0, 2, 0], [0, 0, 0]])),
            Row("b", "b", np.array([[4, 0, 0], [2, 2, 0], [1, 0, 1]])),
        ],
        ("background", "epidermis", "dermis"),
    )
    seen = read(score_table(layers))
    rows = {cells[0]: cells[1:] for cells in seen.cells[2:6]}
    assert seen.cells[0] == ["Class", "Images", "Dice", "IoU", "Precision", "Recall"]
    assert seen.cells[1] == ["mean", "pooled"] * 4
    assert list(rows) == ["epidermis", "dermis", "foreground mean", "background"]
    assert rows["epidermis"][:3] == ["2", "0.833 (0.667–1.000)", "0.800"]
    assert rows["epidermis"][3:5] == ["0.750 (0.500–1.000)", "0.667"]
    assert rows["dermis"] == ["1", "0.667", "0.667", "0.500", "0.500", "1.000", "1.000", "0.500", "0.500"]
    assert rows["foreground mean"][:2] == ["2", "0.833 (0.667–1.000)"]
    assert "2 images; pixel accuracy 0.850 (0.700–1.000) as a mean over images, 0.850 pooled." in seen.text
    assert EMPTY_RULE in seen.text and INTERVAL_RULE in seen.text


def test_one_foreground_class_is_not_told_twice(read):
    seen = read(score_table(cells(row("x", 5))))
    assert [cells[0] for cells in seen.cells[2:5]] == ["cell", "background", "Image"]
    assert "1 image;" in seen.text


def test_scores_that_are_undefined_are_dashes(read):
    table = Table([Row("a", "a", np.array([[9, 0], [0, 0]]))], ("background", "cell"))
    seen = read(score_table(table))
    assert seen.cells[2] == ["cell", "0"] + ["–"] * 8
    assert seen.cells[-1] == ["a"] + ["–"] * 4
    assert "nan" not in seen.text


def test_images_are_listed_worst_first_those_without_foreground_last(read):
    table = cells(row("mid", 5), Row("empty", "empty", np.array([[9, 0], [0, 0]])), row("good", 9), row("bad", 1))
    seen = read(score_table(table))
    assert seen.cells[4] == ["Image", "Dice", "IoU", "Precision", "Recall"]
    assert [cells[:2] for cells in seen.cells[5:]] == [
        *(["bad", "0.182"], ["mid", "0.667"], ["good", "0.947"]),
        ["empty", "–"],
    ]
    assert "Image by image: all 4, the worst first" in seen.text


def test_groups_and_classes_have_columns_where_there_are_several(read):
    layers = Table([Row("a", "rat1", np.eye(3)), Row("b", "rat1", np.eye(3))], ("background", "axon", "myelin"))
    seen = read(score_table(layers))
    head = ["Image", "Group", "Dice", "IoU", "Precision", "Recall", "Dice axon", "Dice myelin"]
    assert [head, ["a", "rat1"] + ["1.000"] * 6, ["b", "rat1"] + ["1.000"] * 6] == seen.cells[-3:]
    assert "2 images in 1 group;" in seen.text


def test_of_very_many_images_only_the_worst_are_listed(read):
    seen = read(score_table(cells(*(row(f"i{i}", 1 + i % 9) for i in range(MOST_ROWS + 20)))))
    assert f"the {MOST_ROWS} worst of {MOST_ROWS + 20}, the worst first" in seen.text
    assert len(seen.cells) == 5 + MOST_ROWS
    assert seen.cells[5][1] == "0.182" and seen.cells[-1][1] == "0.947"


def test_a_family_has_a_row_per_score_with_interval_folder_and_number_of_images(read):
    images = ({"f1_50": 1.0, "seg": 0.25}, {"f1_50": 0.5, "seg": math.nan})
    seen = read(measures_table(Measures("objects", ("a", "b"), ("a", "b"), images, {"f1_50": 0.625})))
    assert seen.cells == [
        ["Score", "Images", "mean", "folder"],
        ["f1 50", "2", "0.750 (0.500–1.000)", "0.625"],
        ["seg", "1", "0.250", "–"],
    ]
    assert seen.faults == []
    assert ABOUT["objects"][1:] in seen.text and "Objects matched" in seen.text


def test_a_family_without_a_defined_score_is_all_dashes(read):
    nothing = Measures("boundary", ("a",), ("a",), ({"hd95 <b>cell</b>": math.nan},), {})
    assert read(measures_table(nothing)).cells[1:] == [["hd95 <b>cell</b>", "0", "–", "–"]]
    assert "nan" not in measures_table(nothing)
