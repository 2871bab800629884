"""Facts beneath each other, errors first, JSON."""

from __future__ import annotations

import json
from pathlib import Path

from ushape.cli.text import as_json, say_facts, say_faults
from ushape.data.pair import error, warning


def test_texts_stand_beneath_each_other_and_lines_are_not_broken_in_files(capsys):
    say_facts([("a", "x" * 30 + " " + "y" * 200), ("long label", "z")])
    assert capsys.readouterr().out.splitlines() == [
        "  a           " + "x" * 30 + " " + "y" * 200,
        "  long label  z",
    ]


def test_errors_come_before_warnings(capsys):
    say_faults([warning("w1"), error("e1"), warning("w2"), error("e2")])
    assert capsys.readouterr().out.splitlines() == ["error: e1", "error: e2", "warning: w1", "warning: w2"]


def test_paths_are_text_in_json():
    assert json.loads(as_json({"file": Path("a") / "µ.png"})) == {"file": str(Path("a") / "µ.png")}
