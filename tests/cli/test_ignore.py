"""`--ignore`: masks of which little is annotated, from the first look to the score of whole masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from ushape.images.simulated import write_folder

SIDE = 64


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory):
    """Six simulated micrographs whose masks are 1 and 2."""
    root = tmp_path_factory.mktemp("data") / "whole"
    write_folder(root, "cells", count=6, height_width=(SIDE, SIDE), seed=1)
    for file in (root / "masks").iterdir():
        mask = np.asarray(Image.open(file))
        file.unlink()
        tifffile.imwrite(root / "masks" / f"{file.stem}.tif", np.where(mask > 0, 2, 1).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def scribbled(whole, tmp_path_factory: pytest.TempPathFactory):
    """The same with two lines annotated, of which nothing is on the last mask."""
    root = tmp_path_factory.mktemp("data") / "scribbled"
    (root / "masks").mkdir(parents=True)
    (root / "images").symlink_to(whole / "images")
    for file in sorted((whole / "masks").iterdir()):
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        if not file.stem.endswith("5"):
            mask[20:22], mask[:, 40] = tifffile.imread(file)[20:22], tifffile.imread(file)[:, 40]
        tifffile.imwrite(root / "masks" / file.name, mask)
    return root


@pytest.fixture(scope="module")
def run_of_scribbles(ushape, scribbled, quick, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = ushape("train", scribbled, "--out", folder, "--ignore", "0", *quick)
    assert result.exit_code == 0, result.stderr
    for words in ("only 3.9% of the pixels are annotated", "4 images to train on, 1 to validate on"):
        assert words in " ".join(result.stderr.split())
    assert "Not one pixel is annotated in cells_005; left out." in result.stderr
    assert "scored on 4.6% of the pixels, those that are annotated" in result.stdout
    assert "scored on 4.6%" in (folder / "report.html").read_text(encoding="utf-8").lower()
    assert "ignored_values = [\n    0,\n]" in (folder / "recipe.toml").read_text(encoding="utf-8")
    return folder


def test_scribbles_are_advised_on_and_the_advice_is_taken(ushape, scribbled, tmp_path):
    steps = tmp_path / "steps.toml"
    steps.write_text("[training]\nsteps = 3\n", encoding="utf-8")  # nothing to be measured
    advised = ushape("check", scribbled, "--recipe", steps)
    assert "are thin strokes. If these are scribbles, and 0 is what nobody annotated, say so with --ignore 0" in (
        " ".join(advised.stdout.split())
    )
    taken = ushape("check", scribbled, "--ignore", "0", "--recipe", steps)
    assert taken.exit_code == 0
    assert "thin strokes" not in taken.stdout
    assert f"Train on it with: ushape train {scribbled} --recipe {steps} --ignore 0 --out RUN" in taken.stdout


def test_whole_masks_are_scored_on_all_their_pixels(ushape, run_of_scribbles, whole, tmp_path):
    result = ushape("evaluate", run_of_scribbles, whole, "--json", tmp_path / "scores.json")
    assert result.exit_code == 0, result.stderr
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["scope"] == "" and "scored on" not in result.stdout
    assert [(row["pixels"], row["ignored"]) for row in scores["rows"]] == [(SIDE * SIDE, 0)] * 6


def test_scribbles_are_scored_where_they_are_and_the_rest_is_said(ushape, run_of_scribbles, scribbled, tmp_path):
    files = ("--json", tmp_path / "scores.json", "--metrics", "objects,partitions,boundary,saliency")
    result = ushape("evaluate", run_of_scribbles, scribbled, *files)
    assert result.exit_code == 0, result.stderr
    assert "scored on 3.9% of the pixels, those that are annotated; scribbles keep off borders" in result.stdout
    assert "nothing is annotated in cells_005" in result.stdout
    rows = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["pixels"], row["ignored"]) for row in rows] == [(190, SIDE * SIDE - 190)] * 5 + [(0, SIDE * SIDE)]
    assert rows[5]["mean_dice"] is None


def test_what_the_training_ignored_can_be_told_otherwise(ushape, run_of_scribbles, scribbled):
    result = ushape("evaluate", run_of_scribbles, scribbled, "--ignore", "none")
    assert result.exit_code == 2
    assert "hold classes that the network was not trained on: background (0)" in " ".join(result.stderr.split())


def test_masks_are_scored_where_the_truth_is_annotated(ushape, whole, scribbled):
    words = ("evaluate", "--masks", whole / "masks", "--truth", scribbled / "masks")
    result = ushape(*words, "--ignore", "0")
    assert result.exit_code == 0, result.stderr
    assert "scored on 3.9% of the pixels" in result.stdout
    assert "nothing is annotated in cells_005" in result.stdout
    assert "1.0000" in result.stdout


@pytest.mark.parametrize("values", ["zero", "-1", "0;1", "", "#ff00", "0,,1"])
def test_what_is_no_mask_value(ushape, scribbled, values):
    result = ushape("check", scribbled, f"--ignore={values}")
    assert result.exit_code == 2
    assert "is no mask value; it takes whole numbers from 0 up or colours as '#ff0000'" in " ".join(
        result.stderr.split()
    )
