"""A run's folder before the training begins: whether it may be written, and room for what comes."""

from __future__ import annotations

import os
from pathlib import Path

from ushape.atomic import output_error, remove_abandoned
from ushape.checkpoint import ENSEMBLE
from ushape.errors import CheckpointError, OutputError, RecipeError
from ushape.train.lock import FolderLock, require_unlocked
from ushape.train.state import BEFORE, NEWEST, is_resumable

FILES = ("recipe.toml", "best.safetensors", "last.safetensors", NEWEST, BEFORE, "log.csv", "report.html")
STAGES = "stages.json"  # in place of a state, where a training has stages (train/stages.py)


def check_run_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """CheckpointError or OutputError where `out` is no place for what is asked; nothing is made yet."""
    if resume and overwrite:
        raise RecipeError(f"--resume goes on with what {out} holds, and --overwrite replaces it; choose one.")
    if resume and not (is_resumable(out) or (out / STAGES).exists() or _has_only_begun(out)):
        raise CheckpointError(
            f"{out} holds no interrupted training (there is no {NEWEST}). Give the folder of one, or leave --resume "
            "out to begin."
        )
    existing = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file; give a folder for the results.")
    if not os.access(existing, os.W_OK):
        raise OutputError(f"Nothing can be written into {existing}: no permission. Choose another folder.")
    if (out / ENSEMBLE).exists():
        raise OutputError(
            f"{out} holds several trainings that answer together ({ENSEMBLE}); one more would hide them. "
            "Choose another folder."
        )
    require_unlocked(out)
    if not overwrite and not resume:
        _require_no_training(out)


def claim(out: Path, lock: FolderLock, *, overwrite: bool) -> None:
    """The folder, locked, with nothing of an earlier training in it; OutputError where that may or can not be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not overwrite:
            _require_no_training(out)  # another may have begun and ended here since it was asked
        for name in (*FILES, STAGES):
            (out / name).unlink(missing_ok=True)
    except OutputError:
        raise
    except OSError as error:
        raise output_error(out, error) from error
    remove_abandoned(out)


def _require_no_training(out: Path) -> None:
    found = [name for name in (*FILES, STAGES) if (out / name).exists()]
    if found:
        raise OutputError(
            f"{out} already holds a training ({', '.join(found)}). Go on with --resume, replace it with --overwrite, "
            "or choose another folder."
        )


def _has_only_begun(out: Path) -> bool:
    """Whether a training was killed before its first state was on disk, so that there is nothing to lose."""
    results = ("best.safetensors", "last.safetensors")
    return (out / "recipe.toml").exists() and not any((out / name).exists() for name in results)
