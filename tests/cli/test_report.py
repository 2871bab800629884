"""`ushape report --cardiac`: from masks and from a network to pages, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cine_files import beating, cine_series
from dicom_files import IDENTIFIERS
from level_network import write_level_network

REGIONS = ("--region", "endocardium=3", "--region", "epicardium=2,3")


def stack(path: Path, inner: float, *, image: bool = False) -> None:
    y, x = np.ogrid[:48, :48]
    radius = np.hypot(y - 24, x - 24)
    slices = [np.where(radius < inner - n, 3, np.where(radius < 18 - n, 2, 0)) for n in range(3)]
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.stack(slices).astype(np.uint8)
    if image:  # no two patients alike, or they were taken for one
        values = 60 * values + np.random.default_rng(len(path.name) + ord(path.name[1])).integers(0, 9, values.shape)
    tifffile.imwrite(path, values.astype(np.uint8), photometric="minisblack")


@pytest.fixture(scope="module")
def hearts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hearts")
    for patient in ("p1", "p2"):
        for frame, inner in (("01", 14.0), ("09", 9.0)):
            name = f"{patient}_frame{frame}.tif"
            stack(root / "data" / "images" / name, inner, image=True)
            stack(root / "data" / "masks" / name, inner)
            stack(root / "second" / name, inner - 1)
    return root


def test_masks_become_pages_tables_and_figures(ushape, hearts, tmp_path):
    words = ("report", "--cardiac", hearts / "second", hearts / "data", "--out", tmp_path / "out", *REGIONS)
    result = ushape(*words, "--spacing", "8,1.5,1.5")
    assert result.exit_code == 0
    for said in ("ejection fraction (%)", "end-diastolic volume (mL)", "of contours good", "not a medical device"):
        assert said in result.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "index.html", "patient-p1.html", "patient-p2.html", "results.json", "patients.csv", "contours.csv",
    }  # fmt: skip
    about = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    mask = tifffile.imread(hearts / "data" / "masks" / "p1_frame01.tif")
    assert about["patients"][0]["manual"]["edv"] == pytest.approx((mask == 3).sum() * 8 * 1.5 * 1.5 / 1000)
    assert about["patients"][0]["frames"] == {"ED": "p1_frame01", "ES": "p1_frame09"}
    again = ushape(*words)
    assert again.exit_code == 2
    assert "index.html exists already" in again.stderr
    pixels = ushape(*words, "--overwrite", "--json")
    about = json.loads(pixels.stdout)["results"]
    assert about["units"] == {"length": "px", "edv": "voxels", "esv": "voxels", "sv": "voxels", "ef": "%", "mass": "g"}
    assert about["contours"][0]["good"] is None


def test_a_recipe_declares_the_regions(ushape, hearts, tmp_path):
    recipe = tmp_path / "heart.toml"
    recipe.write_text("[regions]\nendocardium = [3]\nepicardium = [2, 3]\n", encoding="utf-8")
    out = tmp_path / "out"
    result = ushape("report", "--cardiac", hearts / "second", hearts / "data", "--out", out, "--recipe", recipe)
    assert result.exit_code == 0
    checked = ("check", hearts / "data", "--recipe", recipe, "--group-by", "^(p.)")
    assert "region epicardium" in ushape(*checked).stdout
    assert json.loads(ushape(*checked, "--json").stdout)["regions"] == {"endocardium": [2], "epicardium": [1, 2]}


def test_a_network_answers_in_one_piece_and_regions_go_with_it(ushape, hearts, tmp_path, quick):
    recipe = tmp_path / "heart.toml"
    recipe.write_text(
        "[regions]\nendocardium = [3]\nepicardium = [2, 3]\n[prediction]\none_piece = ['epicardium', 'endocardium']\n",
        encoding="utf-8",
    )
    run = tmp_path / "run"
    trained = ushape("train", hearts / "data", "--out", run, "--recipe", recipe, *quick)
    assert trained.exit_code == 0
    assert "region epicardium" in ushape("inspect", run).stdout
    report = ushape("report", "--cardiac", run, hearts / "data", "--out", tmp_path / "out")
    assert report.exit_code == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["agreement"]["edv"]["pairs"] == 2
    scores = ushape("evaluate", run, hearts / "data", "--one-piece", "none")
    assert "dice epicardium" in scores.stdout and "hd95 px endocardium" in scores.stdout
    assert "There is no region wall" in ushape("evaluate", run, hearts / "data", "--one-piece", "wall").stderr
    masks = ("predict", run, hearts / "data" / "images", "--out", tmp_path / "masks")
    assert "There is no region wall" in ushape(*masks, "--one-piece", "wall").stderr
    more = ushape("evaluate", run, hearts / "data", "--region", "wall=2")
    assert "dice wall" in more.stdout and "dice epicardium" in more.stdout


def test_regions_of_masks_are_scored_on_the_command_line(ushape, hearts):
    words = ("evaluate", "--masks", hearts / "second", "--truth", hearts / "data" / "masks")
    result = ushape(*words, *REGIONS)
    assert result.exit_code == 0
    assert "dice epicardium" in result.stdout
    assert "dice epicardium" not in ushape(*words).stdout
    assert "declares none" in ushape(*words, "--region", "epicardium").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Which report? There is one kind: --cardiac"),
        (("--cardiac",), "figures of the heart need one that is called endocardium"),
        (("--cardiac", *REGIONS, "--spacing", "8,1.5"), "--spacing '8,1.5' is no size of a voxel"),
        (("--cardiac", *REGIONS, "--spacing", "8,0,1"), "is no size of a voxel"),
        (("--cardiac", *REGIONS, "--flips"), "is there already; leave out --flips"),
        (("--cardiac", "--region", "endocardium=9"), "takes the class 9, which there is not"),
    ],
)
def test_what_cannot_be_reported_is_refused(ushape, hearts, tmp_path, words, said):
    result = ushape("report", hearts / "second", hearts / "data", "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_cine_series_becomes_a_report_in_one_command(ushape, tmp_path):
    series = cine_series(tmp_path / "in" / "heart", beating())
    network, out = write_level_network(tmp_path / "heart.safetensors"), tmp_path / "out"
    result = ushape("report", "--cardiac", network, series, "--out", out, "--one-piece", "endocardium,epicardium")
    assert result.exit_code == 0, result.stderr
    for said in ("heart", "ejection fraction", "No manual masks were given", "not a medical device", "volumes.csv"):
        assert said in result.stdout
    assert [word for word in IDENTIFIERS if word in result.stdout + result.stderr] == []
    assert "--one-piece endocardium,epicardium" in (out / "index.html").read_text(encoding="utf-8")
    again = ushape("report", "--cardiac", network, series, "--out", out, "--json", "--overwrite")
    assert json.loads(again.stdout)["results"]["patients"][0]["frames"]["ES"] == "heart, time 6"
