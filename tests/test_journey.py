"""The whole journey on real micrographs as they lie, through the command line: check, train, predict, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ushape.cli import app

RECIPE = """
[model]
width = 8
depth = 3

[training]
steps = 150
output_size = 128
validations = 2
"""


def typed(*words: str | Path) -> str:
    """What a command says on standard output; it must succeed."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.real_data
def test_electron_micrographs_from_folder_to_scores(shared_data: Path, tmp_path: Path) -> None:
    isbi, run, masks = shared_data / "isbi2012", tmp_path / "run", tmp_path / "masks"
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    assert "train/ with images/ and masks/" in typed("check", isbi)

    typed("train", isbi, "--out", run, "--recipe", tmp_path / "recipe.toml", "--include", "0?,10", "--device", "cpu")
    assert (run / "report.html").stat().st_size > 10_000

    typed("predict", run, isbi / "train" / "images" / "2[0-2].png", "--out", masks, "--overlay")
    mask = np.asarray(Image.open(masks / "20.png"))
    assert mask.shape == (512, 512) and set(np.unique(mask)) <= {0, 255}

    typed("evaluate", run, isbi, "--include", "2[0-2]", "--json", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    background, foreground = (of["dice"]["mean"] for of in scores["summary"]["classes"])
    assert foreground > 0.83 and background > 0.5  # all foreground would have .88 and 0, all background 0 and .36
    assert scores["trained_on"] == []
