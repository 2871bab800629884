"""`ushape inspect`: a network by name, and one that was trained."""

from __future__ import annotations

import json

from ushape import checkpoint
from ushape.object_rule import ObjectRule


def test_unet_is_that_of_figure_1(ushape):
    shown = ushape("inspect", "unet").stdout
    for words in ("572 → 570", "570 → 568", "30 → 28", "28 → 56", "1024 → 512", "390 → 388"):
        assert words in shown
    for words in ("572 → 388 px", "188 + 16·n; nearest: 572", "92 px at each side", "204 px", "31,030,658"):
        assert words in shown


def test_a_wanted_size_gets_the_legal_ones_around_it(ushape):
    about = json.loads(ushape("inspect", "unet", "--size", "512", "--json").stdout)
    assert about["legal_sizes"] == [508, 524]
    assert about["input_size"] == [524, 524]
    assert about["output_size"] == [340, 340]


def test_options_of_a_model_are_taken(ushape):
    words = ("--width", "8", "--depth", "2", "--padding", "same", "--channels", "3", "--classes", "4")
    shown = ushape("inspect", "unet", "--size", "100", *words).stdout
    assert "3 → 8" in shown
    assert "8 → 4" in shown
    assert "100 → 100 px" in shown
    assert "zero-padded inside" in shown


def test_a_run_tells_where_it_comes_from(ushape, run, cells):
    shown = ushape("inspect", run, "--size", "96").stdout
    assert "(mask value 0)" in shown
    assert f"5 images of {cells}" in shown
    assert "1 channel, uint8" in shown
    assert "5 images to train on, 1 to validate on, drawn at random" in shown
    assert f"ushape train {cells} --out {run} --width 4 --steps 3" in shown
    about = json.loads(ushape("inspect", run / "best.safetensors", "--json").stdout)
    assert about["labels"]["values"] == [0, 255]
    assert about["recipe"]["model"]["options"]["width"] == 4


def test_a_network_that_tells_objects_apart_says_how(ushape, run, run_of_objects):
    shown, rule = ushape("inspect", run_of_objects, "--size", "96").stdout, checkpoint.read(run_of_objects).object_rule
    assert f"objects       {rule.in_words()}" in shown
    about = json.loads(ushape("inspect", run_of_objects, "--json").stdout)
    assert ObjectRule.from_dict(about["object_rule"]) == rule
    assert json.loads(ushape("inspect", run, "--json").stdout)["object_rule"] is None
    assert "connected regions" not in ushape("inspect", run, "--size", "96").stdout


def test_the_temperature_is_told(ushape, run):
    temperature = checkpoint.read(run).labels.temperature
    assert temperature != 1
    lines = ushape("inspect", run).stdout.splitlines()
    assert any(line.split() == ["temperature", f"{temperature:.3g}"] for line in lines)


def test_neither_model_nor_run(ushape):
    result = ushape("inspect", "unit")
    assert result.exit_code == 2
    assert "no run, checkpoint or model 'unit'" in result.stderr
    assert "one of the models: unet" in result.stderr


def test_a_trained_network_takes_no_options(ushape, run):
    result = ushape("inspect", run, "--width", "8")
    assert result.exit_code == 2
    assert "whose width cannot be chosen any more" in result.stderr


def test_a_value_that_cannot_be(ushape):
    result = ushape("inspect", "unet", "--padding", "sane")
    assert result.exit_code == 2
    assert "padding = 'sane'; it takes one of valid, same" in result.stderr


def test_tiles_tell_how_a_large_image_is_divided_and_what_it_costs(ushape):
    small = ("--width", "4", "--depth", "2")
    shown = ushape("inspect", "unet", *small, "--tiles", "5000x7000").stdout
    assert "5,000 x 7,000 px, 35.0 megapixels" in shown
    assert "2 blocks of 4,096 x 7,000 px, row by row, 32 rows at a time" in shown
    assert "1.00 times those of one pass" in shown and "MiB beside weights" in shown and "s here" in shown
    cut = json.loads(ushape("inspect", "unet", *small, "--tiles", "9000", "--memory", "8MiB", "--json").stdout)
    assert cut["image"] == [9000, 9000] and cut["parts"] > 1 and cut["by_rows"] and 1 < cut["waste"] < 1.5
    assert cut["bytes"] <= 8 << 20 and cut["seconds"] > 0


def test_sizes_that_are_none(ushape):
    for words, message in [(("--tiles", "8k"), "give a side, 8192"), (("--memory", "2GiB"), "for --tiles")]:
        result = ushape("inspect", "unet", *words)
        assert result.exit_code == 2 and message in result.stderr
