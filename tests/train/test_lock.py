"""One training in a folder at a time, and no lock outlives its holder."""

from __future__ import annotations

import errno
import gc
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ushape.errors import OutputError
from ushape.train import lock as lock_module
from ushape.train.lock import NAME, FolderLock, require_unlocked

HOLDER = """
import sys
from pathlib import Path
from ushape.train.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def refusal(folder: Path) -> str:
    with pytest.raises(OutputError) as caught:
        FolderLock(folder).acquire()
    return str(caught.value)


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path):
    with FolderLock(tmp_path):
        message = refusal(tmp_path)
        with pytest.raises(OutputError, match="A training is under way"):
            require_unlocked(tmp_path)
    words = rf"A training is under way in {tmp_path}: process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d .*\. Wait"

    assert re.match(words, message)


def test_it_can_be_taken_again_when_it_is_given_back_and_nothing_is_left(tmp_path: Path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.acquire()  # what one has, one has
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []
    with lock:
        assert (tmp_path / NAME).exists()
    require_unlocked(tmp_path)
    require_unlocked(tmp_path / "nowhere")


def test_one_that_is_forgotten_is_given_back(tmp_path: Path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    del lock
    gc.collect()
    with FolderLock(tmp_path):
        pass


def test_one_that_a_killed_process_held_is_no_obstacle(tmp_path: Path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert f": process {holder.pid} on " in refusal(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / NAME).exists()
    with FolderLock(tmp_path):
        assert f"process {os.getpid()} on " in refusal(tmp_path)


def test_a_file_that_its_last_holder_removed_meanwhile_is_not_mistaken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    take, removed = FolderLock._take, []

    def late(self: FolderLock, file: int) -> None:
        if not removed:
            removed.append((tmp_path / NAME).unlink())
        take(self, file)

    monkeypatch.setattr(FolderLock, "_take", late)
    with FolderLock(tmp_path):
        assert (tmp_path / NAME).exists()
        assert "under way" in refusal(tmp_path)


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unsupported(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "_lock", unsupported)
    with FolderLock(tmp_path), FolderLock(tmp_path):
        assert (tmp_path / NAME).exists()


def test_a_folder_that_cannot_be_written_or_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere"):
        FolderLock(tmp_path / "nowhere").acquire()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="The disk is full"):
        FolderLock(tmp_path).acquire()
    monkeypatch.undo()
    with FolderLock(tmp_path):
        pass


def test_a_folder_that_vanishes_meanwhile_takes_the_lock_with_it(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    with FolderLock(folder):
        (folder / NAME).unlink()
        folder.rmdir()
    assert not folder.exists()
