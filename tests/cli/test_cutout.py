"""`ushape cutout`: whose weights, what is written and said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ushape.images.source import open_image
from ushape.models.u2net import U2NetP


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow network in the authors' layout."""
    path = tmp_path_factory.mktemp("weights") / "u2netp.pth"
    torch.save(U2NetP(width=4).state_dict(), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo_{number}.jpg")
    return folder


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def test_photographs_are_cut_out_by_the_weights_of_the_authors(ushape, weights, photos, tmp_path):
    result = ushape("cutout", photos, "--weights", weights, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert mode_of(tmp_path / "out" / "photo_1.png") == "RGBA"
    colours = open_image(tmp_path / "out" / "photo_1.png").read()
    assert (colours == open_image(photos / "photo_1.jpg").read()).all()
    assert str(tmp_path / "out" / "photo_1.png") in result.stdout


def test_the_mask_alone_as_json(ushape, weights, photos, tmp_path):
    words = ("--weights", weights, "--out", tmp_path / "out", "--mask", "--json")
    about = json.loads(ushape("cutout", photos / "photo_0.jpg", *words).stdout)
    assert (about["weights"], about["network"]) == (str(weights), "u2netp")
    assert about["cutouts"] == [{"photo": str(photos / "photo_0.jpg"), "file": str(tmp_path / "out" / "photo_0.png")}]
    assert mode_of(tmp_path / "out" / "photo_0.png") == "L"


def test_a_run_of_ours_cuts_out_too(ushape, run, cells, tmp_path):
    result = ushape("cutout", cells / "images" / "cells_00[01].png", "--weights", run, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cells_000.png", "cells_001.png"]
    assert mode_of(tmp_path / "out" / "cells_000.png") == "RGBA"


def test_a_u2net_trained_here_segments_and_cuts_out(ushape, cells, tmp_path):
    run, image = tmp_path / "run", cells / "images" / "cells_000.png"
    trained = ushape("train", cells, "--out", run, "--model", "u2netp", "--width", "4", "--steps", "2")
    assert trained.exit_code == 0, trained.stderr
    proof = ushape("predict", run, image, "--out", tmp_path / "masks", "--prove")
    assert "9 tiles of 32 px" in proof.stdout and "the same answer" in proof.stdout
    about = json.loads(ushape("cutout", image, "--weights", run, "--out", tmp_path / "out", "--json").stdout)
    assert about["network"] == "u2netp"
    assert open_image(tmp_path / "out" / "cells_000.png").shape == open_image(image).shape


def test_of_many_only_the_first_are_listed(ushape, run, cells, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(23):
        (folder / f"{number:02d}.png").write_bytes((cells / "images" / "cells_000.png").read_bytes())
    listed = ushape("cutout", folder, "--weights", run, "--out", tmp_path / "out").stdout.splitlines()
    assert len(listed) == 21
    assert listed[-1] == f"  … and 3 more in {tmp_path / 'out'}"


def test_what_is_done_is_said_when_a_photograph_breaks_off(ushape, weights, photos, tmp_path):
    whole = (photos / "photo_0.jpg").read_bytes()
    (photos / "photo_2.jpg").write_bytes(whole[: len(whole) // 2])
    result = ushape("cutout", photos, "--weights", weights, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"{tmp_path / 'out'} holds 2 of 3 cut-outs, complete." in result.stderr
    assert "photo_2.jpg breaks off or is damaged" in result.stderr


def test_without_weights_it_says_where_they_come_from(ushape, photos, tmp_path):
    result = ushape("cutout", photos, "--out", tmp_path / "out")
    assert result.exit_code == 2
    for words in ("ushape ships none", "u2netp.pth (4.7 MB)", "xuebinqin/U-2-Net (Apache-2.0)", "--weights FILE"):
        assert words in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--weights", "nothing.pth", "--out", "out"), "nothing.pth does not exist"),
        (("--memory", "much", "--out", "out"), "--memory 'much' is no size"),
        (("--memory", "1kB", "--out", "out"), "Allow more with --memory"),
        ((), "--out"),
    ],
)
def test_what_cannot_be_is_refused(ushape, weights, photos, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = ushape("cutout", photos, *(words if "--weights" in words else ("--weights", weights, *words)))
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_results_are_replaced_only_when_told(ushape, weights, photos, tmp_path):
    words = ("cutout", photos / "photo_0.jpg", "--weights", weights, "--out", tmp_path / "out")
    assert ushape(*words).exit_code == 0
    refused = ushape(*words)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert ushape(*words, "--overwrite").exit_code == 0
