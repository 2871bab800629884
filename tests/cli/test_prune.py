"""`ushape prune`: the table of levels, the smaller network, and what uses it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushape import checkpoint
from ushape.object_rule import ObjectRule


@pytest.fixture(scope="module")
def nested(ushape, cells, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps of a UNet++, which tests leave as it is."""
    recipe = tmp_path_factory.mktemp("recipes") / "nested.toml"
    recipe.write_text('[model]\nname = "unetpp"\ndepth = 2\n', encoding="utf-8")
    folder = tmp_path_factory.mktemp("runs") / "nested"
    result = ushape("train", cells, "--out", folder, "--recipe", recipe, "--width", "4", "--steps", "3")
    assert result.exit_code == 0, result.stderr
    return folder


def test_without_a_level_every_level_is_shown(ushape, nested):
    result = ushape("prune", nested)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if "level" in line or "whole" in line][:3] == ["level", "level", "whole"]
    for words in ("parameters", "multiply-adds", "s / Mpx, here", "Dice", "recommended", "on 1 validation image"):
        assert words in result.stdout
    about = json.loads(ushape("prune", nested, "--json").stdout)
    assert [row["name"] for row in about["levels"]] == ["level 1", "level 2", "whole"]


def test_a_smaller_network_is_written_and_used(ushape, nested, cells, tmp_path):
    small, image = tmp_path / "small.safetensors", cells / "images" / "cells_000.png"
    result = ushape("prune", nested, "--level", "1", "--out", small)
    assert result.exit_code == 0, result.stderr
    assert "level 1: " in result.stdout
    assert checkpoint.read(small).provenance["pruned"]["from"] == str(nested / "best.safetensors")
    assert ushape("predict", small, image, "--out", tmp_path / "masks").exit_code == 0
    assert np.asarray(Image.open(tmp_path / "masks" / "cells_000.png")).shape == (96, 96)
    assert ushape("evaluate", small, cells, "--include", "cells_000").exit_code == 0
    assert "to level 1 of 2, from" in ushape("inspect", small, "--size", "96").stdout


def test_nothing_is_replaced_unasked(ushape, nested, tmp_path):
    out = tmp_path / "small.safetensors"
    out.write_bytes(b"mine")
    refused = ushape("prune", nested, "--level", "1", "--out", out)
    assert refused.exit_code == 2
    assert "small.safetensors exists already" in refused.stderr
    assert out.read_bytes() == b"mine"
    done = ushape("prune", nested, "--level", "1", "--out", out, "--overwrite", "--json")
    assert json.loads(done.stdout)["level"] == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--level", "1"), "Where to? Give a file for the smaller network: --out FILE"),
        (("--out", "small"), "Which level is to be written? Give --level"),
        (("--level", "3", "--out", "small"), "no level 3 to be pruned to; it has the levels 1 to 2"),
        (("--level", "1", "--data", "cells"), "--level cuts the network without looking at images; leave out --data"),
        (("--data", "nowhere"), "There is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_refused(ushape, nested, flags, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = ushape("prune", nested, *flags)
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_other_networks_have_no_levels(ushape, run):
    result = ushape("prune", run)
    assert result.exit_code == 2
    assert "Only UNet++ has levels that it can be pruned to; this network is unet" in result.stderr


def test_objects_are_found_by_the_rule_of_the_whole(ushape, nested, tmp_path):
    whole = replace(checkpoint.read(nested), object_rule=ObjectRule(threshold=0.4))
    checkpoint.write(tmp_path / "whole", whole)
    result = ushape("prune", tmp_path / "whole", "--level", "2", "--out", tmp_path / "small")
    assert "found by the rule that was chosen for the whole network" in result.stdout
    assert checkpoint.read(tmp_path / "small").object_rule == whole.object_rule
