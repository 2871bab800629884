"""`ushape demo`: the whole journey, and the commands to repeat it."""

from __future__ import annotations

import shlex

import pytest


@pytest.fixture(scope="module")
def demo(ushape, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "here"
    return out, ushape("demo", "--out", out, "--steps", "3")


def test_it_ends_with_a_score_a_picture_and_a_report(demo):
    out, result = demo
    assert result.exit_code == 0, result.stderr
    last = result.stdout.splitlines()[-3:]
    assert [line.split()[0] for line in last] == ["score", "picture", "report"]
    assert "on 4 images never seen in training" in last[0]
    assert (out / "masks" / "cells_020_overlay.png").is_file()
    assert str(out / "masks" / "cells_020_overlay.png") in last[1]
    assert (out / "report.html").is_file()
    assert str(out / "report.html") in last[2]


def test_its_commands_can_be_typed_again(ushape, demo):
    _, result = demo
    lines = [line.strip() for line in result.stdout.splitlines() if line.startswith("  ushape ")]
    assert [line.split()[1] for line in lines] == ["train", "predict", "evaluate"]
    again = ushape(*shlex.split(lines[2])[1:], "--overwrite")
    assert again.exit_code == 0
    assert "trained on" not in again.stdout


def test_it_overwrites_nothing(ushape, tmp_path):
    result = ushape("demo", "--out", tmp_path)
    assert result.exit_code == 2
    assert "exists already, and the demo overwrites nothing" in result.stderr
    assert list(tmp_path.iterdir()) == []
