"""Every script in examples/ runs, is short, and says what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def said(script: str, *arguments: str) -> str:
    """What a script prints, run as a user would run it."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment).stdout


def test_an_array_goes_in_and_an_array_comes_out(tmp_path: Path) -> None:
    text = said("segment_an_array.py", str(tmp_path), "--steps", "2", "--width", "2")
    assert "(300, 200) image → (300, 200) mask" in text


def test_the_figure_is_read_off_the_layer_list() -> None:
    text = said("read_the_figure.py")
    assert "572 → 388; margin 92; for an answer of 388 px the input is 572" in text
    assert [f"cropped by {crop} px" in text for crop in (4, 16, 40, 88)] == [True] * 4


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_at_most_40_lines(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 40
