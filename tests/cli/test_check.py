"""`ushape check`: what was recognised, every fault, what would be trained."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def damaged(cells, tmp_path):
    folder = shutil.copytree(cells, tmp_path / "damaged")
    (folder / "masks" / "cells_001.png").unlink()
    (folder / "images" / "cells_002.png").write_bytes(b"")
    return folder


def test_a_good_folder_is_explained(ushape, cells):
    result = ushape("check", cells, "--device", "cpu")
    assert result.exit_code == 0
    for words in (
        "images/ and masks/, paired by equal names",
        "6 annotated",
        "96 x 96",
        "background (mask value 0)",
        "(mask value 255)",
        "5 images to train on, 1 to validate on",
        "15 minutes, batches of 4 patches of 96 px",
        "why this patch",
        f"ushape train {cells} --out RUN",
    ):
        assert words in result.stdout


def test_every_fault_is_named_with_status_2(ushape, damaged):
    result = ushape("check", damaged)
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert any(line.startswith("error: ") and "cells_002.png is empty" in line for line in lines)
    assert any(line.startswith("warning: ") and "cells_001.png" in line for line in lines)
    assert "ushape train" not in result.stdout


def test_json_is_for_programs(ushape, cells, damaged):
    good = json.loads(ushape("check", cells, "--json", "--seed", "3", "--device", "cpu").stdout)
    assert good["trainable"]
    assert good["images"] == 6
    assert good["labels"]["values"] == [0, 255]
    assert (len(good["training"]), len(good["validation"])) == (5, 1)
    assert good["recipe"]["seed"] == 3
    bad = ushape("check", damaged, "--json")
    assert bad.exit_code == 2
    assert not json.loads(bad.stdout)["trainable"]
    assert {fault["severity"] for fault in json.loads(bad.stdout)["faults"]} == {"error", "warning"}


def test_include_and_groups_are_honoured(ushape, cells):
    result = ushape("check", cells, "--include", "cells_00[0-3]", "--group-by", "cells_00[01]|cells_00[23]", "--json")
    about = json.loads(result.stdout)
    assert about["images"] == 4
    assert result.exit_code == 0


def test_the_recipe_that_would_be_trained_with_is_checked(ushape, cells, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[training]\nminuts = 5\n", encoding="utf-8")
    result = ushape("check", cells, "--recipe", recipe)
    assert result.exit_code == 2
    assert "did you mean 'minutes'?" in result.stderr
