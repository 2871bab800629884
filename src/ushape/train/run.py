"""Annotated folder → run folder, resumable at any moment, however the training ended.

RUN/recipe.toml          all that defines the training
RUN/best.safetensors     the network of the best validation       RUN/last.safetensors   of the last
RUN/state.safetensors    what --resume goes on from               (train/state.py)
RUN/log.csv              a line per step and validation
"""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ushape import checkpoint
from ushape.atomic import remove_abandoned, write_whole
from ushape.checkpoint import Trained
from ushape.device import faster_precision
from ushape.errors import TrainingError
from ushape.models.segmenter import Segmenter
from ushape.predict.tiled import Predictor
from ushape.process_group import ALONE, ProcessGroup
from ushape.recipe import Recipe
from ushape.train.assistance import Assignment, hand_over
from ushape.train.beginning import initialise, network_for, trainer_for
from ushape.train.choose import first_rule
from ushape.train.diary import Diary
from ushape.train.lock import FolderLock
from ushape.train.loop import Event, Trainer, Validated, fit
from ushape.train.prepare import Prepared, prepare
from ushape.train.randomness import Randomness
from ushape.train.resumption import fingerprint, require_same_images, settled
from ushape.train.run_folder import check_run_folder, claim
from ushape.train.settle import Settled, settle
from ushape.train.state import State, States, WentBack, is_resumable
from ushape.train.validate import Validation, validated

_SAVE_EVERY_SECONDS = 60.0  # of work, which is what a killed training loses at most


class Run:
    """One training of one recipe on one folder, writing into `out`.

    Iterate over `events()`; closing that iterator saves the state, from which `resume=True` goes on. OutputError where
    `out` already holds a run and neither `resume` nor `overwrite` is said, or where another training is at work.

    prepared: the folder, where it has been read before. begin_with: a network whose weights this training begins with.
    processes: those that train it together; this one leads, and the others `assist`.
    """

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
        prepared: Prepared | None = None,
        begin_with: Segmenter | None = None,
        processes: ProcessGroup = ALONE,
    ) -> None:
        check_run_folder(out, resume=resume, overwrite=overwrite)
        self.out, self.command, self.data = out, command, data
        self._lock, self._states = FolderLock(out), States(out)
        try:
            state = self._state() if resume and is_resumable(out) else None
            self.recipe = settled(_recipe(state), wanted, out) if state else with_precision(wanted, device)
            self.prepared = prepared or prepare(data, self.recipe)
            self._rule = first_rule(self.prepared) if self.prepared.annotation.task == "instances" else None
            self._images = fingerprint(self.prepared)
            self.trainer = self._trainer(device, processes, begin_with, anew=state is None)
            self._evaluated = copy.deepcopy(self.trainer.model)
            self._diary = Diary(out, tensorboard=tensorboard)  # before anything is replaced: TensorBoard may be missing
            self._begin(state, overwrite=overwrite or resume)
        except BaseException:
            self._lock.release()
            raise

    def events(self) -> Iterator[Event | Settled | WentBack]:
        """Train; after each validation the checkpoints are on disk. Raises TrainingError if the loss is lost.

        The last events are what the validation images settled in the end (train/settle.py); the checkpoints have it.
        OutputError, once, for what cannot be written, even if the state that is saved meanwhile.
        """
        with self._lock:
            try:
                yield from self._events()
                yield from settle(
                    self.out,
                    self.prepared,
                    self.recipe,
                    steps=self.trainer.step,
                    device=self.trainer.device,
                    tries_flips=self.trainer.tries_flips,
                )
            except GeneratorExit:
                self._save_last_state()
                raise
            except TrainingError:
                if not (self.out / "best.safetensors").exists() and self.trainer.step:
                    self._write("best.safetensors", {})
                raise
            finally:
                self._states.settle()
                self._diary.close()

    @property
    def progress(self) -> float:
        """0 … 1: the share of the budget."""
        return self.trainer.progress

    @property
    def position(self) -> str:
        """Where the training is."""
        minutes, seconds = divmod(int(self.trainer.seconds), 60)
        return f"step {self.trainer.step}, after {minutes}:{seconds:02}"

    def _state(self) -> State:
        """What is gone on from; while others cannot change it."""
        self._lock.acquire()
        remove_abandoned(self.out)
        return self._states.load()

    def _trainer(
        self, device: torch.device, processes: ProcessGroup, begin_with: Segmenter | None, *, anew: bool
    ) -> Trainer:
        processes.require_shares(self.recipe.training.batch)
        randomness = Randomness(self.recipe.seed, device)
        model = network_for(self.prepared, self.recipe, randomness)
        if anew:
            initialise(model, self.recipe, begin_with)
        processes.tell(Assignment(self.data, self.recipe).to_bytes())
        return trainer_for(model, self.prepared, self.recipe, randomness, device, processes)

    def _begin(self, state: State | None, *, overwrite: bool) -> None:
        self._saved: tuple[int, int] | None = None  # step and validated step of the state on disk, or on its way there
        if state is None:
            claim(self.out, self._lock, overwrite=overwrite)
        else:
            tensors, metadata = state
            require_same_images(json.loads(metadata["images"]), self._images)
            self.trainer.restore(tensors, metadata)
            self._saved = self._place
        hand_over(self.trainer)
        self._saved_seconds, self._due = self.trainer.seconds, False
        write_whole(self.out / "recipe.toml", self.recipe.to_toml())
        self._diary.begin(*self._place)

    def _events(self) -> Iterator[Event | WentBack]:
        if self._states.went_back:
            yield WentBack(self.trainer.step)
        if self._saved is None:
            self._save_state(self._states.save)  # from here on there is something to resume
        for event in fit(self.trainer, self._validate):
            self._diary.note(event)
            if isinstance(event, Validated):
                self._save_checkpoints(event)
            self._save_state_if_due(validated=isinstance(event, Validated))
            yield event
        self._save_last_state()

    @property
    def _place(self) -> tuple[int, int]:
        """Of all that differs between two moments of a training, enough to tell them apart."""
        return self.trainer.step, self.trainer.validated_step

    def _validate(self, trainer: Trainer) -> Validation:
        self._evaluated.load_state_dict(trainer.mean.weights)
        self._evaluated.eval()
        predictor = Predictor(self._trained(self._evaluated, {}), flips=False, precision=trainer.precision)
        return validated(predictor, self.prepared.truths)

    def _save_checkpoints(self, event: Validated) -> None:
        scores = event.scores.table.to_dict()
        self._write("last.safetensors", scores)
        if event.best:
            self._write("best.safetensors", scores)

    def _write(self, name: str, scores: Mapping[str, Any]) -> None:
        trained = self._trained(self.trainer.model, scores)
        checkpoint.write(self.out / name, trained, self.trainer.mean.weights)

    def _save_state_if_due(self, *, validated: bool) -> None:
        """Nothing while the one before is being written: a slow disk must not hold up the training."""
        self._states.check()
        self._due = self._due or validated or self.trainer.seconds - self._saved_seconds >= _SAVE_EVERY_SECONDS
        if self._due and not self._states.writing:
            self._save_state(self._states.save)

    def _save_last_state(self) -> None:
        if self._saved == self._place:
            self._states.finish()
        else:
            self._save_state(self._states.save_now)

    def _save_state(self, save: Callable[[Mapping[str, Tensor], Mapping[str, str]], None]) -> None:
        tensors, counters = self.trainer.state()
        save(tensors, counters | {"recipe": json.dumps(self.recipe.to_dict()), "images": json.dumps(self._images)})
        self._saved, self._saved_seconds, self._due = self._place, self.trainer.seconds, False

    def _trained(self, model: Any, scores: Mapping[str, Any]) -> Trained:
        prepared = self.prepared
        provenance = {
            "data": str(self.data),
            "layout": prepared.survey.layout,
            "training": [p.name for p in prepared.split.training],
            "training_digests": [prepared.survey.images[p.name].digest for p in prepared.split.training],
            "validation": [p.name for p in prepared.split.validation],
            "split": prepared.split.rule,
            "step": self.trainer.step,
            "seconds": round(self.trainer.seconds, 3),
            "device": str(self.trainer.device),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "command": self.command,
            "validation_scores": scores,
        }
        return Trained(model, prepared.annotation.labels, prepared.intensity, self.recipe, provenance, self._rule)


def with_precision(wanted: Recipe, device: torch.device) -> Recipe:
    """The recipe with the precision that trains faster on this device, where it leaves that open."""
    if wanted.training.precision != "auto":
        return wanted
    return wanted.changed(training={"precision": faster_precision(device)})


def _recipe(state: State) -> Recipe:
    """What the training began with."""
    return Recipe.from_dict(json.loads(state[1]["recipe"]))
