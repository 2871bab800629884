"""`ushape check`: what was recognised, every fault, what would be trained."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image


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


def test_numbered_objects_are_understood_and_weighed(ushape, numbered):
    result = ushape("check", numbered, "--device", "cpu")
    assert result.exit_code == 0
    for words in (
        "instances: objects told apart",
        "object (mask values 1 to 9, one per object)",
        "37 in 6 images, up to 9 in one",
        "cross-entropy+dice with border weights unet-2015",
        "why this weighting",
        "pixels between objects that nearly touch count up to eleven times",
    ):
        assert words in result.stdout


def test_the_recipe_of_the_paper_is_known_by_its_name(ushape, numbered):
    result = ushape("check", numbered, "--recipe", "unet-2015", "--device", "cpu")
    assert result.exit_code == 0
    assert "unet, width 64, depth 4, padding valid, normalisation none, skip copy, dropout 0.5" in result.stdout
    assert "batches of 1 patches of 388 px, sgd, cross-entropy with border weights unet-2015" in result.stdout
    assert "why this" not in result.stdout, "the recipe leaves nothing to choose"
    recipe = json.loads(ushape("check", numbered, "--recipe", "unet-2015", "--json").stdout)["recipe"]
    assert recipe["prediction"] == {"flips": True, "one_piece": []}
    assert recipe["training"]["momentum"] == 0.99


# What the network will see, and what its pixels weigh, as pictures


def seen(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def test_patches_and_weights_are_drawn(ushape, numbered, tmp_path):
    files = ("--augment", tmp_path / "patches.png", "--weights", tmp_path / "weights.png")
    result = ushape("check", numbered, *files, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    told = [line.split() for line in result.stdout.splitlines()]
    assert ["augmentation", str(tmp_path / "patches.png")] in told
    assert ["weights", f"{tmp_path / 'weights.png'},", "of", "cells_000"] in told
    patches, weights = seen(tmp_path / "patches.png"), seen(tmp_path / "weights.png")
    assert patches.ndim == weights.ndim == 3
    assert len(np.unique(weights.reshape(-1, 3), axis=0)) > 100
    again = ushape("check", numbered, "--augment", tmp_path / "again.png", "--device", "cpu")
    assert again.exit_code == 0
    assert (seen(tmp_path / "again.png") == patches).all(), "one seed, one training"
    other = ushape("check", numbered, "--augment", tmp_path / "other.png", "--seed", "5", "--device", "cpu")
    assert other.exit_code == 0
    assert not np.array_equal(seen(tmp_path / "other.png"), patches)


def test_pictures_are_named_in_json(ushape, cells, tmp_path):
    result = ushape("check", cells, "--augment", tmp_path / "patches.png", "--device", "cpu", "--json")
    assert ["augmentation", str(tmp_path / "patches.png")] in json.loads(result.stdout)["facts"]
    assert [file.name for file in tmp_path.iterdir()] == ["patches.png"]


def test_weights_that_no_training_would_have_are_not_drawn(ushape, cells, tmp_path):
    files = ("--augment", tmp_path / "patches.png", "--weights", tmp_path / "weights.png")
    result = ushape("check", cells, *files, "--device", "cpu")
    assert result.exit_code == 2
    for words in ("There are no border weights to draw", "--recipe unet-2015", 'border_weights = "unet-2015"'):
        assert words in result.stderr
    assert list(tmp_path.iterdir()) == [], "nor is half of what was asked for"
    result = ushape("check", cells, *files, "--recipe", "unet-2015", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("flag", ["--augment", "--weights"])
def test_a_picture_is_replaced_only_when_told_and_refused_before_the_folder_is_read(ushape, numbered, tmp_path, flag):
    picture = tmp_path / "picture.png"
    picture.write_text("mine", encoding="utf-8")
    refused = ushape("check", tmp_path / "no such folder", flag, picture)
    assert refused.exit_code == 2
    assert f"{picture} exists already. Replace it with --overwrite" in refused.stderr
    assert picture.read_text(encoding="utf-8") == "mine"
    homeless = ushape("check", numbered, flag, tmp_path / "none" / "picture.png")
    assert homeless.exit_code == 2
    assert "picture.png cannot be written: there is no such folder" in homeless.stderr
    assert ushape("check", numbered, flag, picture, "--overwrite", "--device", "cpu").exit_code == 0
    seen(picture)


def test_of_a_folder_with_faults_nothing_is_drawn(ushape, damaged, tmp_path):
    result = ushape("check", damaged, "--augment", tmp_path / "patches.png")
    assert result.exit_code == 2
    assert "cells_002.png is empty" in result.stdout
    assert not (tmp_path / "patches.png").exists()
