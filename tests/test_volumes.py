"""The whole journey on volumes, through the command line: some of them annotated in a few slices only."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from typer.testing import CliRunner

from ushape.cli import app

RECIPE = """
[model]
name = "unet3d"
width = 3
depth = 1

[data]
validation_fraction = 0.4

[training]
steps = 30
output_size = 16
output_depth = 4
learning_rate = 0.02
statistics_until = 1.0
average = 0.5
validations = 1

[augmentation]
scale = 1.0
elastic_px = 2.0
"""
RNG = np.random.default_rng(12)
SPACING = (4.0, 1.0, 1.0)


def typed(*words: str | Path, status: int = 0) -> str:
    """What a command says, on standard output and error."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return " ".join(result.output.split())


def save(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels.T, np.diag([*SPACING[::-1], 1.0]))
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


def heart(root: Path, name: str, *, annotated: tuple[int, ...] = ()) -> None:
    """A bright ball under noise; of its mask, only some slices are known where any are named."""
    z, y, x = np.ogrid[:6, :24, :26]
    cy, cx = RNG.uniform(9, 15, 2)
    ball = (((z - 2.5) / 2.8) ** 2 + ((y - cy) / 7) ** 2 + ((x - cx) / 7) ** 2 < 1).astype(np.int16)
    save(root / "images" / f"{name}.nii.gz", (RNG.normal(0, 20, ball.shape) + 150 * ball).astype(np.float32))
    if annotated:
        unknown = np.ones(6, bool)
        unknown[list(annotated)] = False
        ball[unknown] = -1
    save(root / "masks" / f"{name}.nii.gz", ball)


def test_volumes_from_folder_to_scores(tmp_path: Path) -> None:
    data, run, masks = tmp_path / "data", tmp_path / "run", tmp_path / "masks"
    for number in range(5):
        heart(data, f"heart_{number}", annotated=(2, 4) if number < 3 else ())
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    said = typed("check", data, "--recipe", tmp_path / "recipe.toml")
    assert "5 annotated" in said and "6 x 24 x 26 (depth x height x width)" in said
    assert "40.0% of pixels" in said  # ignored: four of six slices of three volumes
    typed("train", data, "--out", run, "--recipe", tmp_path / "recipe.toml", "--device", "cpu")
    assert "slice" in (run / "report.html").read_text(encoding="utf-8")

    typed("predict", run, data / "images", "--out", masks)
    made = nibabel.load(masks / "heart_1.nii.gz")
    np.testing.assert_allclose(made.affine, nibabel.load(data / "images" / "heart_1.nii.gz").affine)
    assert made.shape == (26, 24, 6) and set(np.unique(made.dataobj)) == {0, 1}

    typed("evaluate", run, data, "--json", tmp_path / "run.json", "--metrics", "boundary")
    truth = data / "masks"
    typed(
        "evaluate",
        "--masks",
        masks,
        "--truth",
        truth,
        "--volumes",
        "--metrics",
        "boundary",
        "--json",
        tmp_path / "m.json",
    )
    of_run, of_masks = (json.loads((tmp_path / name).read_text()) for name in ("run.json", "m.json"))
    assert len(of_run["rows"]) == len(of_masks["rows"]) == 5  # volumes, not slices
    assert of_run["measures"][0]["figures"]["assd_mm"] == of_masks["measures"][0]["figures"]["assd_mm"]
    for image, number in zip(of_masks["rows"], range(5), strict=True):
        wanted, found = (
            np.asarray(nibabel.load(folder / f"heart_{number}.nii.gz").dataobj).T for folder in (truth, masks)
        )
        known = wanted >= 0
        dice = 2 * ((wanted == 1) & (found == 1)).sum() / ((wanted == 1).sum() + (found[known] == 1).sum())
        assert abs(image["dice"][1] - dice) < 1e-9
        assert dice > 0.5  # two slices of three volumes taught it

    refused = typed("predict", run, data / "images", "--out", tmp_path / "other", "--overlay", status=2)
    assert "Of volumes there are masks and maps, and no --overlay yet" in refused
