"""`ushape predict`: masks as the user knows them, nothing overwritten, the law shown."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from ushape.checkpoint import read
from ushape.engines.choice import Choice
from ushape.engines.engine import Network
from ushape.images.source import open_image, read_mask
from ushape.predict import tiled


def test_masks_have_the_values_and_names_that_the_user_knows(ushape, run, cells, tmp_path):
    result = ushape("predict", run, cells / "images", "--out", tmp_path / "masks")
    assert result.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "masks").glob("[!.]*")) == [f"cells_{n:03d}.png" for n in range(6)]
    mask = read_mask(tmp_path / "masks" / "cells_003.png")
    assert mask.shape == (96, 96)
    assert set(np.unique(mask)) <= {0, 255}
    assert str(tmp_path / "masks" / "cells_003.png") in result.stdout


def test_probability_overlay_and_json(ushape, run, cells, tmp_path):
    pattern = cells / "images" / "cells_00[01].png"
    words = ("--probability", "--overlay", "--flips", "--tile", "48", "--json")
    about = json.loads(ushape("predict", run, pattern, "--out", tmp_path, *words).stdout)
    assert [len(mask["files"]) for mask in about["masks"]] == [3, 3]
    assert open_image(tmp_path / "cells_000_probability.tif").dtype == np.float32
    assert open_image(tmp_path / "cells_000_overlay.png").channels == 3


def test_uncertainty_and_the_dice_to_be_expected(ushape, run, cells, tmp_path):
    pattern = cells / "images" / "cells_00[01].png"
    result = ushape("predict", run, pattern, "--out", tmp_path / "a", "--uncertainty")
    found = open_image(tmp_path / "a" / "cells_000_uncertainty.tif")
    assert found.dtype == np.float32 and 0 <= found.read().min() < found.read().max() <= 1
    about = json.loads(ushape("predict", run, pattern, "--out", tmp_path / "b", "--json").stdout)
    expected = {name: dice for mask in about["masks"] for name, dice in mask["expected_dice"].items()}
    assert sorted(expected) == ["cells_000", "cells_001"] and all(0 < dice <= 1 for dice in expected.values())
    first, second = sorted(expected, key=lambda name: expected[name])
    words = f"expected Dice {sum(expected.values()) / 2:.4f}, lowest: {first} {expected[first]:.4f}, {second} "
    assert words in result.stdout


def test_tiles_of_any_size_give_the_same_mask(ushape, run, cells, tmp_path):
    image = cells / "images" / "cells_000.png"
    ushape("predict", run, image, "--out", tmp_path / "large")
    ushape("predict", run, image, "--out", tmp_path / "small", "--tile", "16")
    ushape("predict", run, image, "--out", tmp_path / "frugal", "--memory", "60MiB")
    masks = [read_mask(tmp_path / name / "cells_000.png") for name in ("large", "small", "frugal")]
    assert (masks[0] == masks[1]).all()
    assert (masks[0] == masks[2]).all()


def test_the_law_is_shown_on_ones_own_image(ushape, run, cells):
    result = ushape("predict", run, cells / "images" / "cells_000.png", "--prove")
    assert result.exit_code == 0
    assert result.stdout.count("0 pixels of another class: the same answer") == 3


def test_results_are_replaced_only_when_told(ushape, run, cells, tmp_path):
    words = ("predict", run, cells / "images" / "cells_000.png", "--out", tmp_path)
    assert ushape(*words).exit_code == 0
    refused = ushape(*words)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert ushape(*words, "--overwrite").exit_code == 0


def test_progress_is_not_mixed_into_the_results(ushape, run, cells, tmp_path):
    assert ushape("predict", run, cells / "images", "--out", tmp_path / "masks").stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give a folder for the masks: --out MASKS"),
        (("--out", "masks", "--memory", "2 bits"), "--memory '2 bits' is no size"),
        (("--out", "masks", "--memory", "1kB"), "too little for this network"),
        (("--out", "masks", "--memory", "1GiB", "--tile", "96"), "give one of the two"),
        (("--prove", "--precision", "fast"), "leave out --precision fast"),
        (("--out", "masks", "--engine", "tensorrt"), "tensorrt"),
        (("--out", "masks", "--precision", "approximate"), "approximate"),
    ],
)
def test_what_cannot_be_is_refused(ushape, run, cells, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = ushape("predict", run, cells / "images", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_engine_that_was_chosen_is_said_in_one_line(ushape, run, cells, tmp_path, monkeypatch):
    chosen = Choice(Network(read(run).model), 96, {"torch": 0.25}, {"openvino": "not installed"})
    monkeypatch.setattr(tiled, "fastest", lambda *_, **__: chosen)
    words = ("predict", run, cells / "images" / "cells_000.png", "--out")
    result = ushape(*words, tmp_path / "auto", "--engine", "auto")
    assert result.stderr == "engine torch (a tile of 96 px takes 0.250 s by torch; openvino: not installed)\n"
    assert ushape(*words, tmp_path / "torch").stderr == ""
    masks = [(tmp_path / engine / "cells_000.png").read_bytes() for engine in ("auto", "torch")]
    assert masks[0] == masks[1]


@pytest.mark.parametrize(("faster", "said"), [("float32", "bfloat16 is not faster on this machine"), ("bfloat16", "")])
def test_fast_rounds_only_where_that_is_faster(ushape, run, cells, tmp_path, monkeypatch, faster, said):
    monkeypatch.setattr("ushape.cli.settings.faster_precision", lambda _: faster)
    image = cells / "images" / "cells_000.png"
    result = ushape("predict", run, image, "--out", tmp_path / "fast", "--probability", "--precision", "fast")
    assert result.exit_code == 0, result.stderr
    assert said in result.stderr and bool(said) == bool(result.stderr)
    ushape("predict", run, image, "--out", tmp_path / "exact", "--probability")
    files = [next((tmp_path / name).glob("*.tif")).read_bytes() for name in ("fast", "exact")]
    assert (files[0] == files[1]) == (faster == "float32")


def test_no_run_no_image_and_another_kind_of_image(ushape, run, cells, tmp_path):
    result = ushape("predict", tmp_path / "nothing", cells / "images", "--out", tmp_path / "masks")
    assert result.exit_code == 2
    assert "There is no checkpoint" in result.stderr
    result = ushape("predict", run, tmp_path / "nothing*", "--out", tmp_path / "masks")
    assert result.exit_code == 2
    assert "nothing*" in result.stderr
    Image.fromarray(np.zeros((40, 40, 3), np.uint8) + np.arange(3, dtype=np.uint8)).save(tmp_path / "colour.png")
    result = ushape("predict", run, tmp_path / "colour.png", "--out", tmp_path / "masks")
    assert result.exit_code == 2
    assert "colour.png" in result.stderr


def test_a_proof_does_not_mix_with_json(ushape, run, cells, tmp_path):
    result = ushape("predict", run, cells / "images" / "cells_000.png", "--out", tmp_path / "m", "--prove", "--json")
    assert list(json.loads(result.stdout)) == ["run", "masks", "together"]
    assert "the same answer" in result.stderr


# Objects, and what other programs read


def test_objects_are_numbered_in_tiffs(ushape, run_of_objects, numbered, tmp_path):
    result = ushape("predict", run_of_objects, numbered / "images" / "cells_00[01].png", "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["cells_000.tif", "cells_001.tif"]
    for path in tmp_path.glob("[!.]*"):
        numbers = read_mask(path)
        assert numbers.dtype == np.uint16
        assert np.unique(numbers).tolist() == list(range(int(numbers.max()) + 1))


def test_other_formats_stand_beside_the_masks(ushape, run_of_objects, numbered, tmp_path):
    images = numbered / "images" / "cells_00[01].png"
    words = ("--format", "ctc,coco, geojson,rois,isbi2012")
    result = ushape("predict", run_of_objects, images, "--out", tmp_path, *words)
    assert result.exit_code == 0, result.stderr
    own = [f"cells_00{n}{end}" for n in range(2) for end in (".geojson", ".tif", "_rois.zip")]
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == [*own, "coco.json", "ctc", "isbi2012.tif"]
    assert sorted(path.name for path in (tmp_path / "ctc").iterdir()) == ["mask000.tif", "mask001.tif"]
    numbers = read_mask(tmp_path / "cells_001.tif")
    assert (read_mask(tmp_path / "ctc" / "mask001.tif") == numbers).all()
    assert len(json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))["images"]) == 2
    outlines = json.loads((tmp_path / "cells_001.geojson").read_text(encoding="utf-8"))
    assert len(outlines["features"]) == numbers.max()
    (line,) = [line for line in result.stdout.splitlines() if line.strip().startswith("all images")]
    assert line.split("  ")[-1].split(", ") == [str(tmp_path / name) for name in ("coco.json", "ctc", "isbi2012.tif")]
    assert f"{tmp_path / 'cells_001.geojson'}, {tmp_path / 'cells_001_rois.zip'}" in result.stdout


def test_files_of_all_images_are_named_in_json(ushape, run, cells, tmp_path):
    words = ("--format", "coco,geojson", "--json")
    about = json.loads(ushape("predict", run, cells / "images" / "cells_000.png", "--out", tmp_path, *words).stdout)
    assert about["together"] == [str(tmp_path / "coco.json")]
    assert about["masks"][0]["files"] == [str(tmp_path / "cells_000.png"), str(tmp_path / "cells_000.geojson")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("coco,mat", "There is no format mat. There are: geojson (outlines for QuPath); rois"),
        (" ", "There is no format without a name"),
        ("ctc", "takes numbered objects, and this network was not trained to tell them apart"),
    ],
)
def test_formats_that_cannot_be_are_refused(ushape, run, cells, tmp_path, names, message):
    result = ushape("predict", run, cells / "images", "--out", tmp_path / "masks", "--format", names)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("there", ["coco.json", "cells_000.geojson"])
def test_files_of_other_formats_are_replaced_only_when_told(ushape, run, cells, tmp_path, there):
    (tmp_path / there).write_text("mine", encoding="utf-8")
    words = ("predict", run, cells / "images" / "cells_000.png", "--out", tmp_path, "--format", "coco,geojson")
    refused = ushape(*words)
    assert refused.exit_code == 2
    assert there in refused.stderr and "--overwrite" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text(encoding="utf-8") == "mine"
    assert ushape(*words, "--overwrite").exit_code == 0
    json.loads((tmp_path / there).read_text(encoding="utf-8"))


def test_a_slide_with_a_damaged_tile_is_predicted_and_the_status_says_so(ushape, run, cells, tmp_path):
    pixels = open_image(cells / "images" / "cells_000.png").read()[..., 0]
    tifffile.imwrite(tmp_path / "slide.tif", pixels, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(tmp_path / "slide.tif") as tiff:
        offset, count = tiff.pages[0].dataoffsets[7], tiff.pages[0].databytecounts[7]
    with (tmp_path / "slide.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * count)
    result = ushape("predict", run, tmp_path / "slide.tif", "--out", tmp_path / "masks", "--mask-format", "ome-tiff")
    assert result.exit_code == 1
    assert "slide.tif: the tile of rows 16 to 31, columns 16 to 31 cannot be read" in result.stderr
    assert "the masks have the value 0 there, the rest is complete" in result.stderr
    assert str(tmp_path / "masks" / "slide.tif") in result.stdout
    with tifffile.TiffFile(tmp_path / "masks" / "slide.tif") as tiff:
        assert tiff.is_ome
    again = ushape("predict", run, tmp_path / "slide.tif", "--out", tmp_path / "again", "--json")
    assert again.exit_code == 1
    (mask,) = json.loads(again.stdout)["masks"]
    assert len(mask["damage"]) == 1 and "slide.tif: the tile of rows 16 to 31" in mask["damage"][0]
