"""What a repetition was begun with, in the file that names its networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ushape.ensemble import members_in
from ushape.errors import CheckpointError
from ushape.repetition.ledger import Ledger

LEDGER = Ledger(
    "cross-validation", {"a": "1", "b": "2"}, {"seed": 0}, {"seed": 0}, {"fold-1": ("a",), "fold-2": ("b",)}
)


def test_it_comes_back_from_its_file_which_names_the_networks(tmp_path: Path):
    one = LEDGER.with_finished("fold-1")
    one.write(tmp_path)
    assert Ledger.read(tmp_path) == one
    assert members_in(tmp_path) == (["fold-1", "fold-2"], ["fold-1"])


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (replace(LEDGER, kind="seeds"), "it holds a cross-validation, not trainings with several seeds"),
        (replace(LEDGER, images={"a": "1", "b": "3"}), "of the images b have changed"),
        (replace(LEDGER, asked={"seed": 1}), "seed of the recipe was 0 and is 1"),
        (replace(LEDGER, judged={"fold-1": ("b",), "fold-2": ("a",)}), "other images are held back in fold-1, fold-2"),
    ],
)
def test_whatever_differs_is_told(now: Ledger, difference: str):
    with pytest.raises(CheckpointError) as refused:
        now.require_same(LEDGER, Path("out"))
    assert difference in str(refused.value)


def test_a_list_of_networks_that_does_not_say_what_they_began_with_is_not_gone_on_with(tmp_path: Path):
    LEDGER.write(tmp_path)
    values = json.loads((tmp_path / "ensemble.json").read_text(encoding="utf-8"))
    del values["judged"]
    (tmp_path / "ensemble.json").write_text(json.dumps({**values, "members": ["a"]}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"does not say what its trainings were begun with .'judged'"):
        Ledger.read(tmp_path)
