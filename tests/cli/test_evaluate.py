"""`ushape evaluate`: a network against a folder, masks against masks."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile


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


# Scores that come in families


def rows(text, family):
    """The lines of one family's table, by score."""
    lines = text.split(f"  {family} ", 1)[1].splitlines()
    cells = (line.split("  ") for line in lines[2:] if line.strip())
    found = {}
    for line in cells:
        name, *figures = [cell.strip() for cell in line if cell.strip()]
        if len(figures) != 3:
            break
        found[name] = figures
    return found


def test_a_network_that_tells_objects_apart_is_scored_by_them(ushape, run_of_objects, numbered, tmp_path):
    files = ("--json", tmp_path / "s.json", "--csv", tmp_path / "s.csv")
    result = ushape("evaluate", run_of_objects, numbered, "--include", "cells_00[0-2]", *files)
    assert result.exit_code == 0, result.stderr
    found = rows(result.stdout, "objects")
    assert list(found) == [
        *("f1 50", "ap 50", "ap 50 95", "panoptic quality", "aggregated jaccard", "seg", "det"),
    ]
    about = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    (measures,) = about["measures"]
    for name, (images, mean, folder) in found.items():
        figure = measures["figures"][name.replace(" ", "_")]
        assert images == "3"
        assert mean.startswith(f"{figure['mean']:.4f}") and folder == f"{figure['pooled']:.4f}"
    with (tmp_path / "s.csv").open(encoding="utf-8") as file:
        scores = [row["objects seg"] for row in csv.DictReader(file)]
    assert list(map(float, scores)) == pytest.approx([image["seg"] for image in measures["images"]])


def test_families_are_asked_for_by_name(ushape, run, cells):
    words = ("evaluate", run, cells, "--include", "cells_00[01]")
    assert "objects" not in ushape(*words).stdout
    result = ushape(*words, "--metrics", "boundary, objects,partitions,saliency")
    assert result.exit_code == 0, result.stderr
    for family, score in [
        ("objects", "det"),
        ("partitions", "vi merge bits"),
        ("boundary", "nsd 2px"),
        ("saliency", "s measure"),
    ]:
        assert rows(result.stdout, family)[score][0] == "2"
    assert rows(result.stdout, "boundary")["hd95 px"][2] == "–", "no field pools it"
    places = [result.stdout.index(f"  {family} ") for family in ("objects", "partitions", "boundary", "saliency")]
    assert places == sorted(places)


@pytest.mark.parametrize("names", ["voi", "objects,voi", ""])
def test_unknown_scores_are_refused_before_anything_is_read(ushape, tmp_path, names):
    result = ushape("evaluate", tmp_path / "no run", tmp_path / "no data", "--metrics", names)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "There is no family of scores" in result.stderr
    assert "saliency (maximum F, MAE, S-measure, weighted F of a foreground probability)" in result.stderr


def test_masks_are_scored_by_any_family(ushape, cells):
    words = ("evaluate", "--masks", cells / "masks", "--truth", cells / "masks")
    result = ushape(*words, "--metrics", "objects,boundary,isbi2012")
    assert result.exit_code == 0
    assert rows(result.stdout, "objects")["ap 50 95"] == ["6", "1.0000 (1.0000–1.0000)", "1.0000"]
    assert rows(result.stdout, "boundary")["hd95 px"][:2] == ["6", "0.0000 (0.0000–0.0000)"]
    assert rows(result.stdout, "isbi2012")["v rand thinned"][2] == "1.0000"


def few_objects(folder, *, shift):
    """Three numbered objects, which could be three classes, in two masks."""
    folder.mkdir()
    for name in "ab":
        mask = np.zeros((20, 40), dtype=np.uint8)
        for k in range(3):
            mask[4:14, 2 + shift + 12 * k : 12 + shift + 12 * k] = k + 1
        tifffile.imwrite(folder / f"{name}.tif", mask)
    return folder


def test_the_task_says_what_a_few_numbers_mean(ushape, tmp_path):
    mine, truth = few_objects(tmp_path / "mine", shift=1), few_objects(tmp_path / "truth", shift=0)
    words = ("evaluate", "--masks", mine, "--truth", truth)
    classes = ushape(*words)
    assert "value 2" in classes.stdout and "f1 50" not in classes.stdout
    objects = ushape(*words, "--task", "instances")
    assert objects.exit_code == 0
    assert rows(objects.stdout, "objects")["seg"][:2] == ["2", "0.8182 (0.8182–0.8182)"]  # 9 of 11 columns
    refused = ushape(*words, "--metrics", "isbi2012")
    assert refused.exit_code == 2
    assert "here are 4: background, value 1, value 2, value 3. Leave isbi2012 out" in refused.stderr


def test_the_task_is_not_for_a_network(ushape, run, cells):
    result = ushape("evaluate", run, cells, "--task", "instances")
    assert result.exit_code == 2
    assert "RUN knows what it was trained for; leave out --task" in result.stderr


def test_what_predict_wrote_beside_its_masks_is_left_out(ushape, run_of_objects, numbered, tmp_path):
    words = ("--probability", "--uncertainty", "--overlay", "--format", "geojson,rois,coco,ctc,isbi2012")
    assert ushape("predict", run_of_objects, numbered / "images", "--out", tmp_path, *words).exit_code == 0
    result = ushape("evaluate", "--masks", tmp_path, "--truth", numbered / "masks")
    assert result.exit_code == 0, result.stderr
    of_run = ushape("evaluate", run_of_objects, numbered)
    assert rows(result.stdout, "objects") == rows(of_run.stdout, "objects")


def test_results_that_would_be_one_file_are_refused(ushape, run, cells, tmp_path):
    file = tmp_path / "scores"
    result = ushape("evaluate", run, cells, "--json", file, "--csv", file)
    assert (
        result.exit_code == 2 and f"{file} is named for several results; give each a file of its own." in result.output
    )
    assert not file.exists()
