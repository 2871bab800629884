"""log.csv: a line per event, whole whatever happens."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ushape.errors import MissingExtra, OutputError
from ushape.metrics.table import Row, Table
from ushape.train.diary import COLUMNS, Diary, read
from ushape.train.loop import Event, Stepped, Validated
from ushape.train.validate import Validation

HEADER = "step,seconds,loss,learning_rate,validation_dice,validation_iou,validation_accuracy,validation_objects\n"


def stepped(step: int) -> Stepped:
    return Stepped(step, step / 3, step / 10, 1 / step, 1e-5)


def validated(step: int, confusion: list[list[int]] | None = None, objects: float | None = None) -> Validated:
    rows = (Row("a", "a", np.array(confusion or [[50, 25], [25, 50]])),)
    return Validated(step, step / 3 + 1, True, Validation(Table(rows, ("background", "cell")), objects))


def log(folder: Path, *events: Event) -> Diary:
    diary = Diary(folder)
    diary.begin(0, 0)
    for event in events:
        diary.note(event)
    return diary


def test_each_event_is_a_line(tmp_path: Path):
    log(tmp_path, stepped(1), stepped(2), validated(2, objects=0.25)).close()
    assert (tmp_path / "log.csv").read_text() == (
        HEADER + "1,0.333,1,1e-05,,,,\n" + "2,0.667,0.5,1e-05,,,,\n" + "2,1.667,,,0.666667,0.5,0.666667,0.25\n"
    )
    assert tuple(HEADER.strip().split(",")) == COLUMNS


def test_it_is_read_back_with_empty_cells(tmp_path: Path):
    log(tmp_path, stepped(1), validated(1))
    first, second = read(tmp_path / "log.csv")
    assert (first["step"], first["loss"], first["validation_dice"]) == ("1", "1", "")
    assert (second["step"], second["loss"], second["validation_accuracy"]) == ("1", "", "0.666667")


def test_each_line_is_on_the_disk_at_once(tmp_path: Path):
    diary = log(tmp_path)
    for step in range(1, 4):
        diary.note(stepped(step))
        assert [row["step"] for row in read(tmp_path / "log.csv")] == [str(s) for s in range(1, step + 1)]


def test_undefined_scores_are_empty(tmp_path: Path):
    log(tmp_path, validated(1, [[9, 0], [0, 0]]))
    assert read(tmp_path / "log.csv")[0] == dict(zip(COLUMNS, ["1", "1.333", "", "", "", "", "1", ""], strict=True))


def test_a_new_training_starts_a_new_file(tmp_path: Path):
    log(tmp_path, stepped(1), stepped(2))
    Diary(tmp_path).begin(0, 0)
    assert (tmp_path / "log.csv").read_text() == HEADER


def test_a_resumed_training_keeps_the_lines_up_to_where_it_goes_on(tmp_path: Path):
    log(tmp_path, *map(stepped, (1, 2)), validated(2), *map(stepped, (3, 4)), validated(4), stepped(5))
    diary = Diary(tmp_path)
    diary.begin(4, 2)  # saved after step 4, before its validation
    diary.note(validated(4))
    diary.note(stepped(5))
    rows = [(int(row["step"]), bool(row["loss"])) for row in read(tmp_path / "log.csv")]
    assert rows == [(1, True), (2, True), (2, False), (3, True), (4, True), (4, False), (5, True)]
    diary.begin(4, 4)
    assert [(int(row["step"]), bool(row["loss"])) for row in read(tmp_path / "log.csv")] == rows[:-1]


def test_a_resumed_training_whose_log_is_gone_begins_one(tmp_path: Path):
    Diary(tmp_path).begin(4, 4)
    assert (tmp_path / "log.csv").read_text() == HEADER


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path):
    log(tmp_path, stepped(1), stepped(2), stepped(3))
    path = tmp_path / "log.csv"
    whole = path.read_text()
    for cut in range(len(HEADER), len(whole)):
        path.write_text(whole[:cut])
        diary = Diary(tmp_path)
        diary.begin(9, 9)
        diary.note(stepped(4))
        assert [row["step"] for row in read(path)][-1] == "4"
        assert all(row["learning_rate"] == "1e-05" for row in read(path))


def test_a_line_without_its_end_is_no_line_even_if_all_its_cells_are_there(tmp_path: Path):
    log(tmp_path, stepped(1), validated(1, objects=0.25))
    path = tmp_path / "log.csv"
    whole = path.read_text()
    path.write_text(whole[:-2])  # 0.2 is a number, too
    assert [row["loss"] for row in read(path)] == ["1"]
    path.write_bytes(whole.encode() + bytes(20) + b"\n")  # a crash of the machine leaves such blocks
    assert len(read(path)) == 2


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    diary = log(tmp_path, stepped(1))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match=r"disk is full: .*log\.csv"):
        diary.note(stepped(2))
    with pytest.raises(OutputError, match=r"disk is full: .*log\.csv"):
        diary.begin(0, 0)
    monkeypatch.undo()
    assert [row["step"] for row in read(tmp_path / "log.csv")] == ["1"]


def test_a_folder_in_the_way_is_told(tmp_path: Path):
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(OutputError, match=r"log\.csv cannot be written: Is a directory"):
        Diary(tmp_path).note(stepped(1))


def test_tensorboard_where_it_is_missing_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        MissingExtra, match=r'TensorBoard is not installed. Install it: pip install "ushape\[tensorboard\]"'
    ):
        Diary(tmp_path, tensorboard=True)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_what_the_log_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    noted: list[Any] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            noted.append(Path(folder).name)

        def add_scalar(self, *scalar: Any) -> None:
            noted.append(scalar)

        def close(self) -> None:
            noted.append("closed")

    board = ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    diary = Diary(tmp_path, tensorboard=True)
    diary.begin(0, 0)
    diary.note(stepped(2))
    diary.note(validated(2, [[9, 0], [0, 0]]))
    diary.close()
    assert noted == [
        "tensorboard",
        ("loss", 0.5, 2),
        ("learning_rate", 1e-5, 2),
        ("validation_accuracy", 1.0, 2),
        "closed",
    ]
