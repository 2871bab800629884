"""`ushape evaluate`: a network against a folder, masks against masks."""

from __future__ import annotations

import csv
import json

import pytest


def test_a_network_is_scored_on_a_folder(ushape, run, cells, tmp_path):
    files = ("--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv", "--report", tmp_path / "s.html")
    result = ushape("evaluate", run, cells, "--include", "cells_00[0-2]", *files)
    assert result.exit_code == 0
    for words in ("Dice (95 % interval)", "3 images; pixel accuracy", "ROC AUC", "best F1", "chosen on these images"):
        assert words in result.stdout
    assert "warning: the network was trained on" in result.stdout
    about = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert about["summary"]["images"] == 3
    with (tmp_path / "s.csv").open(encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["cells_000", "cells_001", "cells_002"]
    assert "<html" in (tmp_path / "s.html").read_text(encoding="utf-8")


def test_masks_are_scored_against_the_truth(ushape, cells):
    result = ushape("evaluate", "--masks", cells / "masks", "--truth", cells / "masks")
    assert result.exit_code == 0
    assert "1.0000" in result.stdout
    assert "6 images" in result.stdout
    assert "ROC AUC" not in result.stdout


def test_files_are_replaced_only_when_told(ushape, cells, tmp_path):
    (tmp_path / "scores.json").write_text("mine", encoding="utf-8")
    words = ("evaluate", "--masks", cells / "masks", "--truth", cells / "masks", "--json", tmp_path / "scores.json")
    refused = ushape(*words)
    assert refused.exit_code == 2
    assert "scores.json exists already. Replace it with --overwrite" in refused.stderr
    assert (tmp_path / "scores.json").read_text(encoding="utf-8") == "mine"
    assert ushape(*words, "--overwrite").exit_code == 0


def test_a_file_without_a_folder_is_refused_before_anything_is_computed(ushape, cells, tmp_path):
    words = ("--masks", cells / "masks", "--truth", cells / "masks", "--csv", tmp_path / "none" / "scores.csv")
    result = ushape("evaluate", *words)
    assert result.exit_code == 2
    assert "scores.csv cannot be written: there is no such folder" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("words", [(), ("run",), ("run", "data", "--masks", "m"), ("--masks", "m"), ("--truth", "t")])
def test_half_a_question_is_answered_with_the_whole_one(ushape, words):
    result = ushape("evaluate", *words)
    assert result.exit_code == 2
    assert "Give a run and a folder, `ushape evaluate RUN DATA`, or two folders of masks" in result.stderr


def test_flags_of_a_network_mean_nothing_for_masks(ushape, cells):
    result = ushape("evaluate", "--masks", cells / "masks", "--truth", cells / "masks", "--flips")
    assert result.exit_code == 2
    assert "--masks compares files that are there already; leave out --flips" in result.stderr


def test_masks_that_do_not_fit_together(ushape, cells, tmp_path):
    result = ushape("evaluate", "--masks", tmp_path, "--truth", cells / "masks")
    assert result.exit_code == 2
    assert "do not fit together" in result.stderr
