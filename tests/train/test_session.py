"""`ushape.train`: one call from a folder to a network."""

from __future__ import annotations

import numpy as np
import pytest

import ushape
from ushape.errors import CheckpointError, OutputError, RecipeError
from ushape.images.simulated import write_folder
from ushape.train.diary import read
from ushape.train.session import DEFAULT_MINUTES, LONGEST_MINUTES, resumed, with_budget

SMALL = {"model": {"options": {"width": 2}}, "training": {"batch": 1, "precision": "float32"}}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    root = tmp_path_factory.mktemp("session") / "cells"
    write_folder(root, "cells", count=4, height_width=(64, 64), seed=1)
    return root


def test_a_folder_becomes_a_network_that_segments(cells, tmp_path):
    predictor = ushape.train(cells, tmp_path / "run", steps=2, recipe=SMALL, device="cpu")
    mask = predictor.segment(np.zeros((50, 40), np.uint8))
    assert mask.shape == (50, 40)
    assert set(np.unique(mask)) <= {0, 255}
    with pytest.raises(OutputError, match="already holds a training"):
        ushape.train(cells, tmp_path / "run", steps=2, recipe=SMALL, device="cpu")


def test_a_run_goes_on_to_a_larger_budget(cells, tmp_path):
    ushape.train(str(cells), str(tmp_path / "run"), steps=2, recipe=SMALL, device="cpu")
    ushape.train(cells, tmp_path / "run", steps=3, resume=True, device="cpu")
    assert resumed(tmp_path / "run").training.steps == 3
    assert int(read(tmp_path / "run" / "log.csv")[-1]["step"]) == 3
    with pytest.raises(CheckpointError, match="no training to go on with"):
        resumed(tmp_path / "elsewhere")


def test_a_recipe_may_be_a_file(cells, tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("[model]\nwidth = 2\n[training]\nsteps = 1\nbatch = 1\n", encoding="utf-8")
    assert ushape.train(cells, tmp_path / "run", recipe=file, device="cpu").trained.recipe.training.steps == 1


def test_there_is_one_budget():
    assert with_budget({}, None, None)["training"]["minutes"] == DEFAULT_MINUTES
    until_flat = {"schedule": "until-flat"}
    assert with_budget({"training": until_flat}, None, None)["training"]["minutes"] == LONGEST_MINUTES
    assert with_budget({"training": until_flat}, 9, None)["training"]["minutes"] == 9
    assert with_budget({"training": {"steps": 7}}, None, None)["training"] == {"steps": 7}
    assert with_budget({"training": {"steps": 7}}, 2, None)["training"] == {"minutes": 2.0, "steps": 0}
    assert with_budget({"training": {"minutes": 7}}, None, 2)["training"] == {"minutes": 0.0, "steps": 2}


def test_two_budgets_or_none_are_refused():
    with pytest.raises(RecipeError, match="Both minutes = 1 and steps = 2 are given; choose one"):
        with_budget({}, 1, 2)
    with pytest.raises(RecipeError, match="minutes = 0 does nothing; give more than 0"):
        with_budget({}, 0, None)
