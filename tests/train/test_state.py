"""States on disk: written beside the training, whole, and one more for when the newest is damaged."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ushape.errors import CheckpointError, OutputError
from ushape.train.state import BEFORE, NEWEST, States, is_resumable

ABOUT = {"counters": "{}"}


def tensors(value: int) -> dict[str, Tensor]:
    kernel = torch.full((3, 2, 3, 3), float(value)).to(memory_format=torch.channels_last)
    return {"model.kernel": kernel, "step": torch.tensor(value), "random.cpu": torch.zeros(5, dtype=torch.uint8)}


def saved(folder: Path, *values: int) -> States:
    states = States(folder)
    for value in values:
        states.save(tensors(value), ABOUT)
    states.finish()
    return states


def found(folder: Path) -> tuple[int, bool]:
    """Which state is gone on from, and whether it is the one before the newest."""
    states = States(folder)
    return int(states.load()[0]["step"]), states.went_back


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_saved_is_found_again_and_is_what_it_was_when_it_was_saved(tmp_path: Path):
    states, changing = States(tmp_path), tensors(1)
    states.save(changing, {"counters": "σ"})
    changing["model.kernel"].fill_(9)  # as the next step does
    states.finish()
    loaded, about = States(tmp_path).load()
    assert {name: t.dtype for name, t in loaded.items()} == {name: t.dtype for name, t in changing.items()}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors(1).items())
    assert about["counters"] == "σ"
    assert names(tmp_path) == {NEWEST}
    assert torch.equal(load_file(tmp_path / NEWEST)["model.kernel"], tensors(1)["model.kernel"])


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path):
    states = saved(tmp_path, 1, 2, 3)
    assert found(tmp_path) == (3, False)
    assert names(tmp_path) == {NEWEST, BEFORE}
    states.save_now(tensors(4), ABOUT)
    assert found(tmp_path) == (4, False)
    (tmp_path / NEWEST).unlink()
    assert found(tmp_path) == (3, True)


def test_a_state_may_have_more_tensors_than_the_one_before(tmp_path: Path):
    states = States(tmp_path)
    states.save({"round": torch.empty(0)}, ABOUT)
    states.save({"round": torch.ones(3), "optimiser": torch.ones(2)}, ABOUT)
    states.finish()
    assert States(tmp_path).load()[0]["round"].tolist() == [1, 1, 1]


def test_a_newest_state_that_was_cut_short_anywhere_gives_way_to_the_one_before(tmp_path: Path):
    saved(tmp_path, 1, 2)
    whole = (tmp_path / NEWEST).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / NEWEST).write_bytes(whole[:length])
        assert found(tmp_path) == (1, True)


def test_a_newest_state_with_blocks_that_were_never_written_gives_way_to_the_one_before(tmp_path: Path):
    saved(tmp_path, 1, 2)
    whole = (tmp_path / NEWEST).read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    nonzero = next(place for place in range(begin, len(whole)) if whole[place])
    (tmp_path / NEWEST).write_bytes(whole[:nonzero] + bytes(len(whole) - nonzero))
    assert found(tmp_path) == (1, True)
    (tmp_path / BEFORE).unlink()
    with pytest.raises(CheckpointError, match=r"state\.safetensors is damaged: its checksum is not .*--overwrite"):
        States(tmp_path).load()


def test_where_both_are_damaged_the_newest_is_told_and_nothing_changes(tmp_path: Path):
    saved(tmp_path, 1, 2)
    (tmp_path / BEFORE).write_bytes(b"\0")
    (tmp_path / NEWEST).write_bytes(b"\0\0")
    with pytest.raises(CheckpointError, match=r"/state\.safetensors is not a readable checkpoint"):
        States(tmp_path).load()
    assert (tmp_path / NEWEST).read_bytes() == b"\0\0"


def test_a_damaged_state_never_takes_the_place_of_a_whole_one(tmp_path: Path):
    saved(tmp_path, 1, 2)
    (tmp_path / NEWEST).write_bytes(b"")
    states = States(tmp_path)
    states.load()
    states.save_now(tensors(3), ABOUT)
    assert not states.went_back
    assert found(tmp_path) == (3, False)
    (tmp_path / NEWEST).unlink()
    assert found(tmp_path) == (1, True)


def test_another_file_of_that_name_is_refused(tmp_path: Path):
    (tmp_path / NEWEST).write_bytes(save({"w": torch.zeros(2)}, {"format": "ushape checkpoint 1"}))
    with pytest.raises(CheckpointError, match=r"is not a state that this version .*'ushape state 1'.*--overwrite"):
        States(tmp_path).load()


def test_there_is_something_to_resume_when_either_is_there(tmp_path: Path):
    assert not is_resumable(tmp_path)
    saved(tmp_path, 1, 2)
    (tmp_path / NEWEST).unlink()
    assert is_resumable(tmp_path)


def test_the_training_goes_on_while_a_state_is_written_and_never_two_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    may_go_on, under_way, most = threading.Event(), [], []
    fsync = os.fsync

    def slow(file: int) -> None:
        under_way.append(file)
        most.append(len(under_way))
        assert may_go_on.wait(20)
        fsync(file)
        under_way.pop()

    monkeypatch.setattr(os, "fsync", slow)
    states = States(tmp_path)
    states.save(tensors(1), ABOUT)
    assert states.writing  # and here we are, while the disk is not
    states.check()
    assert not (tmp_path / NEWEST).exists()
    may_go_on.set()
    states.save(tensors(2), ABOUT)
    states.finish()
    assert not states.writing
    assert set(most) == {1}
    assert found(tmp_path) == (2, False)


@pytest.mark.parametrize("asked", ["check", "finish", "save", "save_now"])
def test_a_write_that_failed_is_told_once_and_the_last_state_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
):
    states = saved(tmp_path, 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    states.save(tensors(2), ABOUT)
    while states.writing:
        pass
    arguments = (tensors(3), ABOUT) if asked.startswith("save") else ()
    with pytest.raises(OutputError, match=r"disk is full: .*state\.safetensors could not be written; nothing of it"):
        getattr(states, asked)(*arguments)
    states.check()
    states.settle()
    monkeypatch.undo()
    assert found(tmp_path) == (1, False)
    assert names(tmp_path) == {NEWEST}


def test_a_folder_that_vanishes_is_told(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    states = saved(folder, 1)
    shutil.rmtree(folder)
    states.save(tensors(2), ABOUT)
    with pytest.raises(OutputError, match=r"there is no folder .*run"):
        states.finish()


def test_a_failure_that_nobody_can_act_on_any_more_is_waited_for_and_kept_quiet(tmp_path: Path):
    states = States(tmp_path / "nowhere")
    states.save(tensors(1), ABOUT)
    states.settle()
    states.finish()
    assert not states.writing
