"""`ushape train`: from a folder to a run, contradictions refused, interrupted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from ushape import checkpoint
from ushape.recipe import Recipe, merged, read
from ushape.train import gradients

RESULTS = ("best.safetensors", "last.safetensors", "state.safetensors", "state-before.safetensors")
RESULTS += ("recipe.toml", "log.csv", "report.html")


def test_a_run_is_made_and_shown(ushape, cells, quick, tmp_path):
    run = tmp_path / "run"
    result = ushape("train", cells, "--out", run, *quick)
    assert result.exit_code == 0
    assert sorted(p.name for p in run.iterdir()) == sorted(RESULTS)
    for words in ("paired by equal names", "5 images to train on", "width 4", "3 steps", "validation Dice"):
        assert words in result.stderr
    for words in (
        "on the validation images",
        "Dice (95 % interval)",
        str(run / "best.safetensors"),
        f"ushape predict {run} IMAGES --out MASKS",
    ):
        assert words in result.stdout


def test_how_objects_are_found_is_told_and_kept(ushape, numbered, quick, tmp_path):
    result = ushape("train", numbered, "--out", tmp_path / "run", *quick)
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("objects: ")]
    words = checkpoint.read(tmp_path / "run").object_rule.in_words()
    assert line.startswith(f"objects: {words}; average precision 0.")
    assert "with border weights unet-2015" in result.stderr
    assert words in ushape("inspect", tmp_path / "run").stdout
    for score in ("f1 50", "ap 50 95", "panoptic quality"):
        assert score in result.stdout
    again = ushape("train", numbered, "--out", tmp_path / "run", "--resume", "--json")
    (objects,) = json.loads(again.stdout)["scores"]["measures"]
    assert objects["family"] == "objects" and len(objects["images"]) == 1


def test_numbered_objects_can_be_one_class(ushape, numbered, quick, tmp_path):
    result = ushape("train", numbered, "--out", tmp_path / "run", *quick, "--task", "semantic")
    assert result.exit_code == 0, result.stderr
    assert "objects: " not in result.stderr and "border weights" not in result.stderr
    assert checkpoint.read(tmp_path / "run").object_rule is None


def test_json_is_all_there_is_on_standard_output(ushape, cells, quick, tmp_path):
    run = tmp_path / "run"
    about = json.loads(ushape("train", cells, "--out", run, *quick, "--json").stdout)
    assert about["checkpoint"] == str(run / "best.safetensors")
    assert about["scores"]["summary"]["images"] == 1


def test_all_images_are_trained_on_where_that_is_asked_for(ushape, cells, quick, tmp_path):
    result = ushape("train", cells, "--out", tmp_path / "run", *quick, "--all-images")
    assert result.exit_code == 0, result.stderr
    assert "The network, on images that it was trained on:" in result.stdout
    assert "say nothing of other images" in " ".join(result.stderr.split()) and "best so far" not in result.stderr
    assert merged(Recipe(), read(tmp_path / "run" / "recipe.toml")).data.validation_fraction == 0


def test_flags_overrule_the_recipe_file(ushape, cells, tmp_path):
    file = tmp_path / "wishes.toml"
    file.write_text("seed = 5\n[model]\nwidth = 2\ndepth = 1\n[training]\nminutes = 9\nbatch = 2\n", encoding="utf-8")
    words = ("--width", "4", "--steps", "2", "--include", "cells_00[0-3]", "--no-flips", "--task", "semantic")
    result = ushape("train", cells, "--out", tmp_path / "run", "--recipe", file, *words)
    assert result.exit_code == 0, result.stderr
    recipe = merged(Recipe(), read(tmp_path / "run" / "recipe.toml"))
    assert (recipe.seed, recipe.model.options["width"], recipe.model.options["depth"]) == (5, 4, 1)
    assert (recipe.training.steps, recipe.training.minutes, recipe.training.batch) == (2, 0, 2)
    assert (recipe.data.include, recipe.data.task) == ("cells_00[0-3]", "semantic")


def test_a_finished_run_is_extended(ushape, cells, quick, tmp_path):
    run = tmp_path / "run"
    ushape("train", cells, "--out", run, *quick)
    complete = ushape("train", cells, "--out", run, "--resume")
    assert complete.exit_code == 0
    assert "complete already; a larger --minutes or --steps extends it" in complete.stderr
    longer = ushape("train", cells, "--out", run, "--resume", "--steps", "5")
    assert longer.exit_code == 0
    assert "step 5" in longer.stderr
    assert [row.split(",")[0] for row in (run / "log.csv").read_text().splitlines()][-1] == "5"


def test_earlier_results_are_replaced_only_when_told(ushape, cells, quick, tmp_path):
    run = tmp_path / "run"
    ushape("train", cells, "--out", run, *quick)
    before = (run / "best.safetensors").read_bytes()
    refused = ushape("train", cells, "--out", run, *quick, "--seed", "7")
    assert refused.stderr.startswith("ushape: "), "told before the folder is read"
    assert refused.exit_code == 2
    assert "already holds a training" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert (run / "best.safetensors").read_bytes() == before
    assert ushape("train", cells, "--out", run, *quick, "--seed", "7", "--overwrite").exit_code == 0
    assert (run / "best.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--minutes", "1", "--steps", "3"), "Both minutes = 1 and steps = 3 are given; choose one"),
        (("--minutes", "0"), "A training of minutes = 0 does nothing"),
        (("--steps", "-4"), "A training of steps = -4 does nothing"),
        (("--resume", "--overwrite"), "--resume goes on with"),
        (("--resume", "--width", "8", "--seed", "1"), "leave out --width, --seed"),
        (("--resume",), "no training to go on with"),
        (("--model", "unit"), "did you mean 'unet'?"),
        (("--width", "0"), "width = 0"),
        (("--device", "abacus"), "The device 'abacus' cannot be used here"),
        (("--recipe", "nowhere.toml"), "nowhere.toml cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(ushape, cells, tmp_path, words, message):
    result = ushape("train", cells, "--out", tmp_path / "run", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_without_a_budget_the_default_is_said(ushape, cells, tmp_path):
    refused_late = ("--width", "0")  # after the budget is settled, so that nothing is trained for a quarter of an hour
    result = ushape("train", cells, "--out", tmp_path / "run", *refused_late)
    assert "No budget given: 15 minutes. Choose with --minutes or --steps." in result.stderr
    until_flat = ushape("train", cells, "--out", tmp_path / "run", "--until-flat", *refused_late)
    assert "No budget given: at most 60 minutes." in until_flat.stderr


def test_until_flat_ends_early_says_so_and_is_in_the_recipe(ushape, cells, tmp_path):
    small = ("--width", "1", "--recipe", tmp_path / "small.toml")
    (tmp_path / "small.toml").write_text("[training]\nlearning_rate = 1e-9\nbatch = 1\noutput_size = 32\n")
    result = ushape("train", cells, "--out", tmp_path / "run", "--steps", "80", "--until-flat", *small)
    assert result.exit_code == 0, result.stderr
    assert "Validation gains no more: the learning rate falls, and then the training ends." in result.stderr
    assert 'schedule = "until-flat"' in (tmp_path / "run" / "recipe.toml").read_text()
    last_step = (tmp_path / "run" / "log.csv").read_text().splitlines()[-1].split(",")[0]
    assert int(last_step) < 40


def test_ctrl_c_saves_says_how_to_go_on_and_resume_does(ushape, cells, tmp_path):
    run = tmp_path / "run"
    words = ["train", str(cells), "--out", str(run), "--width", "2", "--steps", "100000"]
    with subprocess.Popen([sys.executable, "-m", "ushape", *words], stderr=subprocess.PIPE, text=True) as training:
        deadline = time.monotonic() + 50
        while not (run / "state.safetensors").exists() and len(_log(run)) < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(training.pid, signal.SIGINT)
        _, said = training.communicate(timeout=50)
    assert training.returncode == 130, said
    assert "Stopping after this step" in said
    assert f"Go on with: ushape train {cells} --out {run} --resume" in said
    assert "Traceback" not in said
    done = len([row for row in _log(run)[1:] if row.split(",")[2]])
    result = ushape("train", cells, "--out", run, "--resume", "--steps", done + 2)
    assert result.exit_code == 0, result.stderr
    assert f"step {done + 2}" in result.stderr


def _log(run):
    return (run / "log.csv").read_text().splitlines() if (run / "log.csv").exists() else []


def test_a_batch_that_memory_does_not_hold_is_told(ushape, cells, quick, tmp_path, monkeypatch):
    loss = gradients.loss

    def short(outputs, *arguments, **options):
        if len(outputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(outputs, *arguments, **options)

    monkeypatch.setattr(gradients, "loss", short)
    result = ushape("train", cells, "--out", tmp_path / "run", *quick)
    assert result.exit_code == 0, result.stderr
    told = "memory does not hold a batch: it is computed in"
    assert " ".join(result.stderr.split()).count(told) == 1
