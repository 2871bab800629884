"""What a comparison was begun with, and all that differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ushape.compare.ledger import Ledger, check_place
from ushape.errors import CheckpointError, OutputError

RECIPE: dict[str, Any] = {"seed": 0, "data": {"include": "a"}, "training": {"steps": 3, "precision": "float32"}}
LEDGER = Ledger({"a": "1", "b": "2"}, {"c": "3"}, {"device": "cpu", "threads": "1"}, {"unet": RECIPE})


def test_it_comes_back_from_its_file(tmp_path: Path):
    LEDGER.write(tmp_path)
    assert Ledger.read(tmp_path) == LEDGER
    LEDGER.require_same(Ledger.read(tmp_path), tmp_path)


def with_training(**training: Any) -> Ledger:
    return replace(LEDGER, recipes={"unet": {**RECIPE, "training": {**RECIPE["training"], **training}}})


@pytest.mark.parametrize(
    ("now", "difference"),
    [
        (replace(LEDGER, training={"b": "2", "d": "4"}), "of the training images a are gone; of the training images d"),
        (replace(LEDGER, test={"c": "4"}), "of the test images c have changed"),
        (replace(LEDGER, machine={"device": "cpu", "threads": "2"}), "threads was 1 and is 2"),
        (with_training(steps=4), "training.steps of unet was 3 and is 4"),
        (replace(LEDGER, recipes={"unet": {**RECIPE, "seed": 5}}), "seed of unet was 0 and is 5"),
    ],
)
def test_whatever_differs_is_told(now: Ledger, difference: str):
    with pytest.raises(CheckpointError) as refused:
        now.require_same(LEDGER, Path("out"))
    assert difference in str(refused.value)
    assert "begin anew with --overwrite" in str(refused.value)


def test_another_entrant_joins_and_is_computed_as_the_others_are():
    joined = replace(LEDGER, recipes={"fcn8s": RECIPE})
    joined.require_same(LEDGER, Path("out"))
    assert set(joined.with_earlier(LEDGER).recipes) == {"unet", "fcn8s"}
    assert LEDGER.precision_of("fcn8s") == "float32"


@pytest.mark.parametrize("text", ["", "{}", '{"format": "another"}', '{"format": "ushape comparison 1", "a": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str):
    (tmp_path / "comparison.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"comparison\.json is damaged: .* anew with --overwrite"):
        Ledger.read(tmp_path)


def test_a_folder_of_something_else_is_never_taken(tmp_path: Path):
    check_place(tmp_path / "new", overwrite=False)
    check_place(tmp_path, overwrite=False)  # it is empty
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"holds something else: thesis\.tex\. Choose another folder"):
        check_place(tmp_path, overwrite=False)
    with pytest.raises(OutputError, match="--overwrite only replaces a comparison"):
        check_place(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="is a file; give a folder"):
        check_place(tmp_path / "thesis.tex", overwrite=True)
