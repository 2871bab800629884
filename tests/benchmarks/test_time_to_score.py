"""The contest at equal time: its data, its order, its table, what fails, and a training of ours from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from contest import assignment, methods
from contest.cells import Cell, CellError, outcome, planned, scores
from contest.data_sets import DATA_SETS, IGNORED, exported, place_in_tables
from contest.methods import METHODS, Method, NotInstalledError, python_of
from contest.table import markdown
from PIL import Image

from ushape.images.simulated import cells

SCRIPT = Path(methods.__file__).parents[1] / "time_to_score.py"
OUTCOME = {"data": "isbi2012", "minutes": 2, "method": "ushape", "seed": 0, "dice": 0.95, "iou": 0.9, "second": 0.94}
OUTCOME |= {"steps": 100, "patches": 4.0, "training_s": 120.0, "preparation_s": 9.0, "prediction_s": 5.0, "notes": []}


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def about(folder: Path) -> dict[str, object]:
    return json.loads((folder / "about.json").read_text())


def test_vessels_are_a_class_and_count_inside_the_field_of_view_of_test_images(tmp_path: Path) -> None:
    drive, out = tmp_path / "drive", tmp_path / "out"
    colours = np.random.default_rng(0).integers(0, 255, (8, 9, 3))
    vessels, view = np.zeros((8, 9)), np.zeros((8, 9))
    vessels[2], view[:6] = 255, 255
    for number in (21, 36):
        save(drive / "images" / f"{number}_training.tif", colours)
        save(drive / "1st_manual" / f"{number}_manual1.gif", vessels)
        save(drive / "mask" / f"{number}_training_mask.gif", view)
    exported("drive", drive, out)
    assert (read(out / "train" / "images" / "21.png") == colours).all()
    assert (read(out / "train" / "masks" / "21.png") == (vessels > 0)).all()
    assert (read(out / "test" / "masks" / "36.png")[6:] == IGNORED).all()
    assert (read(out / "test" / "masks" / "36.png")[:6] == (vessels > 0)[:6]).all()
    assert (about(out)["channels"], about(out)["train"], about(out)["test"]) == (3, 1, 1)


def test_grey_pictures_in_colour_files_have_one_channel_and_numbered_objects_are_kept(tmp_path: Path) -> None:
    nuclei, out = tmp_path / "dsb2018", tmp_path / "out"
    grey = np.repeat(np.arange(64).reshape(8, 8, 1), 3, axis=2)
    objects = np.zeros((8, 8), dtype=np.uint16)
    objects[1, 1], objects[5, 5] = 1, 300
    (nuclei / "masks").mkdir(parents=True)
    for name in ("0a", "b1"):
        save(nuclei / "images" / f"{name}.png", grey)
        tifffile.imwrite(nuclei / "masks" / f"{name}.tif", objects)
    exported("dsb2018", nuclei, out)
    assert (read(out / "train" / "images" / "0a.png") == grey[..., 0]).all()
    assert (read(out / "test" / "masks" / "b1.png") == (objects > 0)).all()
    assert (tifffile.imread(out / "test" / "objects" / "b1.tif") == objects).all()
    assert about(out)["channels"] == 1


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_truth_as_an_answer_has_full_scores_in_every_set(name: str, tmp_path: Path) -> None:
    masks, objects = tmp_path / "masks", np.zeros((48, 48), dtype=np.uint8)
    objects[4:20, 4:44], objects[24:44, 4:20] = 1, 2
    save(masks / "a.png", objects > 0)
    (tmp_path / "objects").mkdir()
    tifffile.imwrite(tmp_path / "objects" / "a.tif", objects.astype(np.uint16))
    found = scores(name, masks, tmp_path)
    assert found == dict.fromkeys(found, 1.0)
    assert ("second" in found) == bool(DATA_SETS[name].score)


def test_patients_stay_on_one_side_and_floats_become_16_bits(tmp_path: Path) -> None:
    slices, out = tmp_path / "acdc", tmp_path / "out"
    for kind, values in (("images", np.eye(4, dtype=np.float32) / 2), ("masks", np.full((4, 4), 3, dtype=np.uint8))):
        (slices / kind).mkdir(parents=True)
        for patient in ("001_frame01_00", "001_frame12_00", "009_frame01_00"):
            np.save(slices / kind / f"patient{patient}.npy", values)
    exported("acdc", slices, out)
    assert sorted(p.stem for p in (out / "test" / "images").iterdir()) == ["patient009_frame01_00"]
    assert read(out / "train" / "images" / "patient001_frame12_00.png").max() == round(65535 / 2)
    assert read(out / "train" / "masks" / "patient001_frame01_00.png").max() == 3


def test_a_folder_that_cannot_be_exported_is_told_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no images of isbi2012 \(train/images/\*\.png\)"):
        exported("isbi2012", tmp_path, tmp_path / "out")
    save(tmp_path / "train" / "images" / "00.png", np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"Images and masks in .* differ: 00\."):
        exported("isbi2012", tmp_path, tmp_path / "out")
    with pytest.raises(
        FileNotFoundError, match=r"mine is not one of isbi2012, .* lacks PNG files in train/masks, test/"
    ):
        exported("mine", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_few_of_the_images_train_and_all_test(tmp_path: Path) -> None:
    for name in ("00", "01", "02", "03", "04", "20", "21"):
        for kind in ("images", "masks"):
            save(tmp_path / "slices" / "train" / kind / f"{name}.png", np.eye(8) * 255)
    for most, kept in [(1, ["02"]), (3, ["00", "02", "04"]), (5, ["00", "01", "02", "03", "04"])]:
        out = tmp_path / f"out{most}"
        exported(f"isbi2012@{most}", tmp_path / "slices", out)
        for kind in ("images", "masks"):
            assert sorted(path.stem for path in (out / "train" / kind).iterdir()) == kept
        assert len(list((out / "test" / "images").iterdir())) == about(out)["test"] == 2
        assert about(out)["train"] == most
    with pytest.raises(ValueError, match="6 of 5 images to train on cannot be kept"):
        exported("isbi2012@6", tmp_path / "slices", tmp_path / "none")
    order = ["dsb2018", "isbi2012@10", "isbi2012", "mine", "isbi2012@3"]
    assert sorted(order, key=place_in_tables) == ["isbi2012@3", "isbi2012@10", "isbi2012", "dsb2018", "mine"]


def test_methods_take_turns_and_every_seed_is_a_whole_comparison() -> None:
    keys = [cell.key for cell in planned(["isbi2012", "drive"], [2, 10], {"ushape": 2, "smp": 1})]
    assert keys[:5] == [
        "isbi2012 2 ushape 0",
        "isbi2012 2 smp 0",
        "drive 2 ushape 0",
        "drive 2 smp 0",
        "isbi2012 10 ushape 0",
    ]
    assert keys[8:] == ["isbi2012 2 ushape 1", "drive 2 ushape 1", "isbi2012 10 ushape 1", "drive 10 ushape 1"]


def test_the_table_ranks_methods_with_the_spread_of_their_seeds_whoever_wins() -> None:
    peer = OUTCOME | {"method": "smp", "dice": 0.97, "notes": ["random weights"]}
    done = {"a": OUTCOME, "b": OUTCOME | {"seed": 1, "dice": 0.93}, "c": peer}
    isbi = {"train": 20, "test": 10, "classes": ["membrane", "cell"], "split": "by slices"}
    results = {"machine": "a machine", "threads": 2, "data": {"isbi2012": isbi}, "cells": done}
    lines = markdown(results | {"failed": {"isbi2012 2 monai 0": "no end"}}).splitlines()
    rows = [line for line in lines if line.startswith("| isbi2012 | 2 |")]
    second = "V_Rand .9400"
    assert rows == [
        f"| isbi2012 | 2 | smp | 1 | **.9700** | {second} | 100 | 0.22 | 120 | 9 | 5 | random weights |",
        f"| isbi2012 | 2 | ushape | 2 | .9400 (.9300–.9500) | {second} (.9400–.9400) | 100 | 0.22 | 120 | 9 | 5 |  |",
    ]
    assert "| isbi2012 | 20 | 10 | cell | by slices |" in lines
    assert "- failed: isbi2012 2 monai 0: no end" in lines


def test_a_clock_keeps_time_back_for_a_last_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(assignment.time, "perf_counter", lambda: now[0])
    clock = assignment.Clock(100)
    now[0] = 40
    assert (clock.progress, clock.may_validate) == (0.4, True)
    with clock.validation():
        now[0] = 50
    assert (clock.progress, clock.may_validate) == (50 / 90, True)
    with clock.validation():
        now[0] = 60
    assert (clock.progress, clock.may_validate) == (60 / 90, False)
    now[0] = 95
    assert clock.progress == 1


def test_a_script_that_fails_is_told_by_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "broken", Method("broken", "", "train_broken.py", ""))
    with pytest.raises(
        CellError, match=r"exit status 2: .*can't open file .*train_broken\.py.*; see .*drive-2-broken-0"
    ):
        outcome(Cell("drive", 2, "broken", 0), tmp_path, threads=1)


def laid_out(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 5), ("test", 2)):
        for number in range(count):
            drawn = cells(rng, (64, 64), diameter_px=16)
            save(folder / part / "images" / f"{number}.png", drawn.image)
            save(folder / part / "masks" / f"{number}.png", drawn.truth > 0)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_ours_trains_and_is_scored_and_the_same_command_goes_on(tmp_path: Path) -> None:
    laid_out(tmp_path / "simulated")
    out = tmp_path / "out"
    settings = ["--data", f"simulated={tmp_path / 'simulated'}", "--minutes", 5 / 60, "--methods", "ushape"]
    first = run(out, *settings, "--seeds", 1, "--threads", 1)
    assert first.returncode == 0, first.stderr
    begun = json.loads((out / "results.json").read_text())["cells"]
    (trained,) = begun.values()
    assert trained["dice"] > 0.3 and trained["steps"] > 0 and trained["training_s"] >= 4
    assert not (out / "cell").exists()

    assert run(out, *settings, "--seeds", 2, "--threads", 1).returncode == 0
    went_on = json.loads((out / "results.json").read_text())["cells"]
    assert list(went_on) == ["simulated 0.0833333 ushape 0", "simulated 0.0833333 ushape 1"]
    assert went_on["simulated 0.0833333 ushape 0"] == trained
    assert run(out, "--show").stdout.strip() == (out / "results.md").read_text().strip()
    assert "was begun with --threads 1" in run(out, *settings, "--threads", 2).stderr


@pytest.mark.slow
def test_an_environment_that_cannot_be_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(methods.ENVIRONMENTS, "odd", ("not a requirement",))
    with pytest.raises(NotInstalledError, match=r"^odd could not be installed: ERROR: .*not a requirement.*$"):
        python_of("odd", tmp_path)
