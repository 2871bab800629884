"""`ushape compare`: one line to a page, contradictions refused, interrupted and gone on with."""

from __future__ import annotations

import json
import signal

import pytest

from ushape.cli import compare as command
from ushape.compare import InCell

MODELS = ("--models", "unet:depth=1,unet-same:depth=1")
RECIPE = "[training]\noutput_size = 16\nbatch = 1\nvalidations = 1\n"


@pytest.fixture(scope="module", autouse=True)
def _few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ushape.metrics.table.RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def least(tmp_path_factory):
    """Flags of the least comparison there is."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return (*MODELS, "--width", "2", "--steps", "2", "--seeds", "1", "--recipe", file)


def test_networks_are_compared_and_shown(ushape, cells, least, tmp_path):
    out = tmp_path / "out"
    result = ushape("compare", cells, "--out", out, *least, "--test", "cells_00[0-1]")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "cells",
        "comparison.json",
        "report.html",
        "results.csv",
        "results.json",
    ]
    assert "4 images to train on, 2 to score on: those called like cells_00[0-1]" in result.stderr
    assert "unet:depth=1 seed 0: Dice 0." in result.stderr and "(2 steps in 0:0" in result.stderr
    for words in ("unet-same:depth=1", "Dice, 95 %", "No winner can be named", str(out / "report.html")):
        assert words in result.stdout
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"ushape compare {cells} --out {out}" in page
    again = ushape("compare", cells, "--out", out, *least, "--test", "cells_00[0-1]", "--json")
    assert "complete already; more --seeds or --models extend it" in again.stderr
    assert [entrant["name"] for entrant in json.loads(again.stdout)["entrants"]] == MODELS[1].split(",")


def test_ctrl_c_leaves_what_the_same_command_goes_on_with(ushape, cells, least, tmp_path, monkeypatch):
    def interrupted(bar, event):
        if isinstance(event, InCell) and not signals:
            signals.append(signal.raise_signal(signal.SIGINT))
        show(bar, event)

    signals, show = [], command._show
    monkeypatch.setattr(command, "_show", interrupted)
    words = ("compare", cells, "--out", tmp_path / "out", *least, "--overwrite")
    stopped = ushape(*words)
    assert stopped.exit_code == 130
    assert "nothing is lost" in stopped.stderr and "Go on with: ushape compare" in stopped.stderr
    assert "--overwrite" not in stopped.stderr
    assert (tmp_path / "out" / "cells" / "unet_depth=1-0" / "state.safetensors").exists()
    went_on = ushape(*words[:-1])
    assert went_on.exit_code == 0, went_on.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_each_by_its_own_recipe(ushape, cells, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'[model]\nname = "unet"\nwidth = 2\ndepth = 1\n{RECIPE}optimiser = "sgd"\n', encoding="utf-8")
    words = ("--own-recipes", "--models", recipe, "--steps", "2", "--seeds", "1")
    result = ushape("compare", cells, "--out", tmp_path / "out", *words)
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "sgd, rate 0.002" in page and "recipe of its paper, so that networks and recipes are judged together" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--models", "unit", "--steps", "2"), "did you mean 'unet'?"),
        (("--models", "unet,unet-same:widht=3", "--steps", "2"), "did you mean 'width'?"),
        (("--models", ",", "--steps", "2"), "There is nothing to compare"),
        (MODELS, "There is no budget for unet:depth=1"),
        ((*MODELS, "--minutes", "0"), "A training of minutes = 0 does nothing"),
        ((*MODELS, "--minutes", "1", "--steps", "1"), "choose one"),
        ((*MODELS, "--steps", "1", "--seeds", "0"), "give --seeds 1 or more"),
        ((*MODELS, "--steps", "1", "--width", "0"), "unet-same:depth=1: UNet got width = 0"),
        ((*MODELS, "--steps", "1", "--include", "cells_000"), "A comparison needs at least 2 others"),
        ((*MODELS, "--steps", "1", "--test", "nobody*"), "No image is called like --test 'nobody*'"),
        (("--models", "unet-same", "--own-recipes", "--steps", "1"), "no recipe of a paper for unet-same"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(ushape, cells, tmp_path, words, message):
    result = ushape("compare", cells, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
