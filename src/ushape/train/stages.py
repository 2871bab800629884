"""Trainings one after another in one run folder, each beginning with the weights of the one before.

So were the FCNs of 2015 trained: 32s, then 16s from it, then 8s (Long, Shelhamer, Darrell, Section 4.2).

RUN/1-fcn32s, RUN/2-fcn16s, …   a run folder for each stage
RUN/stages.json                 which are finished, and the recipe that the training began with
RUN/recipe.toml                 all that defines the training
RUN/best.safetensors, last.safetensors, log.csv   the network of the latest finished stage, and the steps of all
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ushape import checkpoint
from ushape.atomic import output_error, remove_abandoned, write_whole
from ushape.errors import CheckpointError
from ushape.process_group import ALONE, ProcessGroup
from ushape.recipe import Recipe
from ushape.train.diary import COLUMNS
from ushape.train.diary import read as read_log
from ushape.train.lock import NAME as LOCK
from ushape.train.lock import FolderLock
from ushape.train.loop import Event
from ushape.train.prepare import prepare
from ushape.train.resumption import settled
from ushape.train.run import Run, with_precision
from ushape.train.run_folder import FILES, STAGES, check_run_folder, claim
from ushape.train.settle import Settled
from ushape.train.state import BEFORE, NEWEST, WentBack, is_resumable


@dataclass(frozen=True)
class StageBegun:
    """A stage that trains from here on; number counts from 1."""

    number: int
    stages: int
    model: str
    learning_rate: float


class StagedRun:
    """All stages of a recipe on one folder, writing into `out`; the face and the promises of Run."""

    def __init__(
        self,
        data: Path,
        out: Path,
        wanted: Recipe,
        *,
        device: torch.device,
        resume: bool = False,
        overwrite: bool = False,
        tensorboard: bool = False,
        command: str = "",
        processes: ProcessGroup = ALONE,
    ) -> None:
        check_run_folder(out, resume=resume, overwrite=overwrite)
        self.data, self.out = data, out
        self._options: dict[str, Any] = {
            "device": device,
            "tensorboard": tensorboard,
            "command": command,
            "processes": processes,
        }
        self._lock = FolderLock(out)
        try:
            begun = resume and (out / STAGES).exists()  # else it was killed before there was anything to go on from
            if begun:
                self._lock.acquire()
                remove_abandoned(out)
            self._finished = finished_stages(out) if begun else []
            self.recipe = settled(_began(out), wanted, out) if begun else with_precision(wanted, device)
            self.prepared = prepare(data, self.recipe)
            if not begun:
                claim(out, self._lock, overwrite=overwrite or resume)
                _clear_stages(out)
            write_whole(out / "recipe.toml", self.recipe.to_toml())
            self._note_finished()
            self._run = self._begun()
        except BaseException:
            self._lock.release()
            raise

    def events(self) -> Iterator[Event | Settled | StageBegun | WentBack]:
        """Train stage after stage; closing the iterator saves the state of the one under way."""
        with self._lock:
            while len(self._finished) < len(self.recipe.stages):
                stage = self.recipe.stages[len(self._finished)]
                yield StageBegun(len(self._finished) + 1, len(self.recipe.stages), stage.model, stage.learning_rate)
                yield from self._run.events()
                self._finish(stage.model)
                if len(self._finished) < len(self.recipe.stages):
                    self._run = self._begun()

    @property
    def progress(self) -> float:
        """0 … 1: the share of the budget of all stages."""
        shares = [stage.share for stage in self.recipe.stages]
        done = len(self._finished)
        under_way = 0.0 if done == len(shares) else self._run.progress * shares[done]
        return min(1.0, (sum(shares[:done]) + under_way) / sum(shares))

    @property
    def position(self) -> str:
        """Where the training is."""
        number = min(len(self._finished) + 1, len(self.recipe.stages))
        return f"stage {number} of {len(self.recipe.stages)}, {self._run.position}"

    def _begun(self) -> Run:
        """The next stage, anew or where it stopped; of a complete training the last one, which has no step to go."""
        number = min(len(self._finished), len(self.recipe.stages) - 1)
        out = self._folder(number)
        resume = is_resumable(out)
        before = checkpoint.read(self._folder(number - 1)).model if number and not resume else None
        return Run(
            self.data,
            out,
            self.recipe.of_stage(number),
            resume=resume,
            overwrite=not resume,
            prepared=self.prepared,
            begin_with=before,
            **self._options,
        )

    def _folder(self, number: int) -> Path:
        return stage_folder(self.out, number, self.recipe.stages[number].model)

    def _finish(self, model: str) -> None:
        """Take the stage's results over; its state is what nobody goes on from, unless it is the last one."""
        folder = self._folder(len(self._finished))
        self._finished.append(model)
        rows = _joined_logs([self._folder(n) for n in range(len(self._finished))])
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self.out / "log.csv", text.getvalue())
        for name in ("best.safetensors", "last.safetensors"):
            trained = checkpoint.read(folder / name)
            about = {**trained.provenance, "stages": list(self._finished), "step": int(rows[-1]["step"])}
            about["seconds"] = float(rows[-1]["seconds"])
            checkpoint.write(self.out / name, replace(trained, provenance=about))
        self._note_finished()

    def _note_finished(self) -> None:
        """What is finished is on disk before the states are gone that it was trained from."""
        write_whole(self.out / STAGES, json.dumps({"finished": self._finished, "recipe": self.recipe.to_dict()}))
        try:
            for number in range(min(len(self._finished), len(self.recipe.stages) - 1)):
                for name in (NEWEST, BEFORE):
                    (self._folder(number) / name).unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self.out, error) from error


def training(
    data: Path,
    out: Path,
    wanted: Recipe,
    *,
    device: torch.device,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    command: str = "",
    processes: ProcessGroup = ALONE,
) -> Run | StagedRun:
    """The training that a recipe asks for: of one network, or of several stages."""
    kind = StagedRun if wanted.stages else Run
    return kind(
        data,
        out,
        wanted,
        device=device,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        command=command,
        processes=processes,
    )


def stage_folder(out: Path, number: int, model: str) -> Path:
    """Where a stage of a run has its own run folder; number 0 is the first."""
    return out / f"{number + 1}-{model}"


def finished_stages(out: Path) -> list[str]:
    """The models of the finished stages, in their order; none for a run without stages."""
    if not (out / STAGES).exists():
        return []
    return [str(model) for model in _noted(out, "finished")]


def _began(out: Path) -> Recipe:
    """What a training in stages began with."""
    return Recipe.from_dict(_noted(out, "recipe"))


def _noted(out: Path, name: str) -> Any:  # Any: JSON
    """What stages.json has under a name."""
    path = out / STAGES
    try:
        return json.loads(path.read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{path} is damaged: {reason}. Start the training anew with --overwrite.") from error


def _joined_logs(stages: list[Path]) -> list[dict[str, str]]:
    """The rows of the stages' logs as those of one training: steps and seconds go on."""
    rows: list[dict[str, str]] = []
    for folder in stages:
        steps, seconds = (int(rows[-1]["step"]), float(rows[-1]["seconds"])) if rows else (0, 0.0)
        for row in read_log(folder / "log.csv"):
            later = {"step": str(int(row["step"]) + steps), "seconds": f"{float(row['seconds']) + seconds:.3f}"}
            rows.append({**row, **later})
    return rows


def _clear_stages(out: Path) -> None:
    """Remove the folders of an earlier training's stages: those that hold nothing else."""
    try:
        for folder in filter(Path.is_dir, out.glob("[0-9]*-*")):
            remove_abandoned(folder)
            found = {path.name for path in folder.iterdir()}
            if "recipe.toml" in found and found <= {*FILES, LOCK, "tensorboard"}:
                shutil.rmtree(folder)
    except OSError as error:
        raise output_error(out, error) from error
