"""`ushape crossvalidate`, `ushape train --seeds`: one line to a page and an ensemble; interrupted and gone on with."""

from __future__ import annotations

import json
import shlex
import signal

import pytest

from ushape.cli import repetition as command
from ushape.repetition import InMember

RECIPE = "[training]\noutput_size = 32\nbatch = 1\nvalidations = 1\n[data]\ngroup_by = '.*'\n"


@pytest.fixture(scope="module", autouse=True)
def _few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ushape.metrics.table.RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def least(tmp_path_factory):
    """Flags of the least training there is."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return "--width", "2", "--steps", "2", "--recipe", file


def test_every_fold_is_trained_scored_and_shown_and_all_together_predict(ushape, cells, least, tmp_path):
    out = tmp_path / "out"
    result = ushape("crossvalidate", cells, "--out", out, "--folds", "3", *least, "--masks", "--metrics", "objects")
    assert result.exit_code == 0, result.stderr
    assert "3 folds of 2 images, drawn so that their classes are alike" in result.stderr
    for words in ("fold-3", "Out of fold, Dice is", "ap 50 95", str(out / "report.html"), str(out / "out-of-fold")):
        assert words in result.stdout
    assert len(list((out / "out-of-fold").iterdir())) == 6
    again = ushape("crossvalidate", cells, "--out", out, "--folds", "3", *least, "--json")
    assert "All are trained already; they are scored again." in again.stderr
    assert [member["name"] for member in json.loads(again.stdout)["members"]] == ["fold-1", "fold-2", "fold-3"]
    masks = ushape("predict", out, cells / "images", "--out", tmp_path / "masks")
    assert masks.exit_code == 0, masks.stderr
    told = ushape("evaluate", out, cells)
    assert "warning: the network was trained on cells_000" in told.stdout
    one = ushape("inspect", out)
    assert one.exit_code == 2 and "holds several networks, but one is asked for" in one.stderr


def test_what_more_images_would_bring_is_told(ushape, cells, least, tmp_path):
    out = tmp_path / "out"
    result = ushape("crossvalidate", cells, "--out", out, "--learning-curve", "--group-by", ".*", *least)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "images to train on" in text and "95 % interval" not in text
    assert str(out / "images-5") in result.stdout
    refused = ushape("crossvalidate", cells, "--out", out, "--learning-curve", "--folds", "3", *least)
    assert refused.exit_code == 2 and "leave out --folds" in refused.stderr


def test_several_seeds_are_trained_and_kept_together(ushape, cells, least, tmp_path):
    result = ushape("train", cells, "--out", tmp_path / "out", "--seeds", "2", *least)
    assert result.exit_code == 0, result.stderr
    assert "seed-1" in result.stdout and "In validation, Dice is" in result.stdout
    assert {"seed-0", "seed-1", "ensemble.json", "report.html"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert ushape("predict", tmp_path / "out", cells / "images", "--out", tmp_path / "masks").exit_code == 0


def test_ctrl_c_leaves_what_the_same_command_goes_on_with(ushape, cells, least, tmp_path, monkeypatch):
    def interrupted(bar, event):
        if isinstance(event, InMember) and not signals:
            signals.append(signal.raise_signal(signal.SIGINT))
        show(bar, event)

    signals, show = [], command._show
    monkeypatch.setattr(command, "_show", interrupted)
    words = ("crossvalidate", cells, "--out", tmp_path / "out", "--folds", "2", *least, "--overwrite")
    stopped = ushape(*words)
    assert stopped.exit_code == 130
    assert "nothing is lost" in stopped.stderr and "--overwrite" not in stopped.stderr
    again = stopped.stderr.split("Go on with: ushape ")[1].splitlines()[0]
    went_on = ushape(*shlex.split(again))
    assert went_on.exit_code == 0, went_on.stderr
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--folds", "1"), "give --folds 2 or more"),
        (("--folds", "7"), "7 folds cannot be made of 6 groups"),
        (("--folds", "5", "--group-by", "cells_00[0-2]|cells_"), "5 folds cannot be made of 4 groups, which stay"),
        (("--steps", "2", "--minutes", "1"), "choose one"),
        (("--steps", "0"), "does nothing"),
        (("--model", "unit"), "did you mean 'unet'?"),
        (("--metrics", "dicee"), "There is no family of scores dicee"),
        (("--include", "nobody*"), "No image is called like 'nobody*'"),
        (("--include", "cells_000"), "cannot be made of 1 image"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(ushape, cells, tmp_path, words, message):
    budget = () if {"--steps", "--minutes"} & set(words) else ("--steps", "2")
    grouped = () if "--group-by" in words else ("--group-by", ".*")
    result = ushape("crossvalidate", cells, "--out", tmp_path / "out", *words, *budget, *grouped)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "1"), "give --seeds 2 or more"),
        (("--seeds", "2", "--resume"), "--seeds goes on by itself and logs each training in its folder; leave out"),
        (("--seeds", "2", "--steps", "0"), "does nothing"),
    ],
)
def test_seeds_that_cannot_be_are_refused(ushape, cells, tmp_path, words, message):
    result = ushape("train", cells, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
