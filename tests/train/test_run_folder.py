"""A run's folder before the training begins."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import pytest

from ushape.errors import CheckpointError, OutputError, RecipeError
from ushape.train.lock import NAME as LOCK
from ushape.train.lock import FolderLock
from ushape.train.run_folder import FILES, STAGES, check_run_folder, claim
from ushape.train.state import BEFORE, NEWEST


def filled(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("old")
    return folder


def refusal(kind: type[Exception], out: Path, *, resume: bool = False, overwrite: bool = False) -> str:
    with pytest.raises(kind) as caught:
        check_run_folder(out, resume=resume, overwrite=overwrite)
    return str(caught.value)


@pytest.mark.parametrize("name", [*FILES, STAGES])
def test_what_an_earlier_training_left_is_kept_unless_told_otherwise(tmp_path: Path, name: str):
    out = filled(tmp_path / "run", name)
    assert f"already holds a training ({name}). Go on with --resume, replace it with" in refusal(OutputError, out)
    check_run_folder(out, resume=False, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_several_trainings_are_never_hidden_by_one(tmp_path: Path, overwrite: bool):
    out = filled(tmp_path / "folds", "ensemble.json")
    told = refusal(OutputError, out, overwrite=overwrite)
    assert re.search(r"holds several trainings that answer together \(ensemble\.json\).* Choose another folder", told)


@pytest.mark.parametrize(
    ("names", "resumable"),
    [
        ((NEWEST,), True),
        ((BEFORE, "best.safetensors"), True),
        ((STAGES, "recipe.toml"), True),
        (("recipe.toml", "log.csv"), True),
        (("recipe.toml", "best.safetensors"), False),
        (("recipe.toml", "last.safetensors"), False),
        (("log.csv",), False),
        ((), False),
    ],
)
def test_a_training_can_be_resumed_where_there_is_a_state_or_nothing_to_lose(
    tmp_path: Path, names: tuple[str, ...], resumable: bool
):
    out = filled(tmp_path / "run", *names)
    if resumable:
        check_run_folder(out, resume=True, overwrite=False)
        return
    assert re.search(r"holds no interrupted training .*--resume out", refusal(CheckpointError, out, resume=True))


def test_resuming_and_replacing_is_a_contradiction(tmp_path: Path):
    assert "choose one" in refusal(RecipeError, tmp_path, resume=True, overwrite=True)


def test_a_folder_in_which_a_training_is_under_way_is_told_at_once(tmp_path: Path):
    out = filled(tmp_path / "run", NEWEST)
    with FolderLock(out):
        for options in ({"resume": True}, {"overwrite": True}, {}):
            assert "A training is under way" in refusal(OutputError, out, **options)
    (out / LOCK).write_text("process 1 on nowhere")  # of one that was killed
    check_run_folder(out, resume=True, overwrite=False)


def test_a_claimed_folder_is_locked_and_holds_nothing_of_a_training(tmp_path: Path):
    out, lock = filled(tmp_path / "run", *FILES, STAGES, "notes.txt", ".ushape-12.part"), FolderLock(tmp_path / "run")
    claim(out, lock, overwrite=True)
    assert {path.name for path in out.iterdir()} == {"notes.txt", LOCK}
    with pytest.raises(OutputError, match="A training is under way"):
        claim(out, FolderLock(out), overwrite=True)
    lock.release()


def test_a_training_that_began_and_ended_since_the_folder_was_looked_at_is_kept(tmp_path: Path):
    out = tmp_path / "run"
    check_run_folder(out, resume=False, overwrite=False)
    filled(out, "best.safetensors")
    with pytest.raises(OutputError, match=r"already holds a training \(best\.safetensors\)"):
        claim(out, FolderLock(out), overwrite=False)
    assert (out / "best.safetensors").read_text() == "old"


def test_a_folder_that_may_not_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def closed(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", closed)
    with pytest.raises(OutputError, match=r"run cannot be written: no permission in"):
        claim(tmp_path / "run", FolderLock(tmp_path / "run"), overwrite=False)
