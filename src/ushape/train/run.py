"""Annotated folder → run folder, resumable at any moment.

RUN/recipe.toml          all that defines the training
RUN/best.safetensors     the network of the best validation       RUN/last.safetensors   of the last
RUN/state.safetensors    what --resume goes on from
RUN/log.csv              a line per step and validation
"""

from __future__ import annotations

import copy
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ushape import checkpoint
from ushape.atomic import output_error, write_whole
from ushape.checkpoint import Trained
from ushape.device import faster_precision
from ushape.errors import CheckpointError, OutputError, RecipeError, TrainingError
from ushape.models import build
from ushape.models.segmenter import Segmenter
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe, merged, read
from ushape.train.choose import ObjectsChosen, choose_objects, first_rule
from ushape.train.diary import Diary
from ushape.train.initial import take_over, take_over_file
from ushape.train.loop import Event, Trainer, Validated, fit
from ushape.train.prepare import Prepared, prepare
from ushape.train.sampling import class_weights, patch_sampler
from ushape.train.validate import Validation, validated

FILES = ("recipe.toml", "best.safetensors", "last.safetensors", "state.safetensors", "log.csv", "report.html")
_OF_STAGES = "stages.json"  # in place of a state, where a training has stages (train/stages.py)
_SAVE_EVERY_SECONDS = 120


class Run:
    """One training of one recipe on one folder, writing into `out`.

    Iterate over `events()`; closing that iterator saves the state, from which `resume=True` goes on. OutputError where
    `out` already holds a run and neither `resume` nor `overwrite` is said.

    prepared: the folder, where it has been read before. begin_with: a network whose weights this training begins with.
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
    ) -> None:
        check_run_folder(out, resume=resume, overwrite=overwrite)
        self.out, self.command, self.data, self._resuming = out, command, data, resume
        self.recipe = _resumed(wanted, out) if resume else with_precision(wanted, device)
        self.prepared = prepared or prepare(data, self.recipe)
        self._rule = first_rule(self.prepared) if self.prepared.annotation.task == "instances" else None
        torch.manual_seed(self.recipe.seed)
        self.trainer = self._trainer(device, None if resume else begin_with)
        self._evaluated = copy.deepcopy(self.trainer.model)
        self._diary = Diary(out, tensorboard=tensorboard)  # before anything is replaced: TensorBoard may be missing
        self._begin(resume)
        self._diary.begin(self.trainer.step, self.trainer.validated_step)

    def events(self) -> Iterator[Event | ObjectsChosen]:
        """Train; after each validation the checkpoints are on disk. Raises TrainingError if the loss is lost.

        Where objects are told apart, the last event is how; it is in the checkpoints, too.
        """
        saved = self.trainer.seconds
        try:
            for event in fit(self.trainer, self._validate):
                self._diary.note(event)
                if isinstance(event, Validated):
                    self._save_checkpoints(event)
                if isinstance(event, Validated) or self.trainer.seconds - saved > _SAVE_EVERY_SECONDS:
                    self._save_state()
                    saved = self.trainer.seconds
                yield event
            yield from self._choose_objects()
        except GeneratorExit:
            self._save_state()
            raise
        except TrainingError:
            if not (self.out / "best.safetensors").exists() and self.trainer.step:
                self._write("best.safetensors", {})
            raise
        finally:
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

    def _trainer(self, device: torch.device, begin_with: Segmenter | None) -> Trainer:
        settings, prepared = self.recipe.training, self.prepared
        model = build(
            self.recipe.model.name,
            in_channels=prepared.intensity.channels,
            classes=prepared.annotation.labels.classes,
            **self.recipe.model.options,
        )
        if begin_with is not None:
            take_over(model, begin_with)
        elif settings.initial_weights and not self._resuming:
            take_over_file(model, Path(settings.initial_weights))
        model = model.placed(device)
        assert settings.precision != "auto"
        return Trainer(
            model,
            settings,
            patch_sampler(prepared, self.recipe, model.footprint, device),
            precision=settings.precision,
            class_weights=class_weights(prepared, settings, device),
        )

    def _begin(self, resume: bool) -> None:
        if resume:
            tensors, metadata = checkpoint.read_tensors(self.out / "state.safetensors")
            _check_same_images(json.loads(metadata.get("images", "{}")), self._images())
            self.trainer.restore(tensors, metadata)
        else:
            make_way(self.out)
        write_whole(self.out / "recipe.toml", self.recipe.to_toml())

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

    def _choose_objects(self) -> Iterator[ObjectsChosen]:
        if self.prepared.annotation.task != "instances":
            return
        best = checkpoint.read(self.out / "best.safetensors", self.trainer.device)
        chosen = choose_objects(Predictor(best), self.prepared.truths)
        if chosen is None:
            return
        for name in ("best.safetensors", "last.safetensors"):
            trained = checkpoint.read(self.out / name)
            about = {**trained.provenance, "object_score": chosen.score, "object_images": chosen.images}
            checkpoint.write(self.out / name, replace(trained, object_rule=chosen.rule, provenance=about))
        yield chosen

    def _write(self, name: str, scores: Mapping[str, Any]) -> None:
        trained = self._trained(self.trainer.model, scores)
        checkpoint.write(self.out / name, trained, self.trainer.mean.weights)

    def _save_state(self) -> None:
        tensors, metadata = self.trainer.state()
        metadata["images"] = json.dumps(self._images())
        checkpoint.write_tensors(self.out / "state.safetensors", tensors, metadata)

    def _images(self) -> dict[str, Any]:
        """What must not change before the training is resumed, in plain values."""
        prepared = self.prepared
        return {
            "names": [example.name for example in prepared.examples],
            "intensity": [list(prepared.intensity.mean), list(prepared.intensity.deviation), prepared.intensity.dtype],
            "labels": [list(prepared.annotation.labels.names), list(prepared.annotation.labels.values)],
        }

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


def _resumed(wanted: Recipe, out: Path) -> Recipe:
    """The recipe that a run began with, but for the budget; CheckpointError where more is wanted otherwise."""
    began = merged(Recipe(), read(out / "recipe.toml"))
    budget = {name: getattr(wanted.training, name) for name in ("minutes", "steps", "validations")}
    settled = replace(began.changed(training=budget), prediction=wanted.prediction)
    if wanted.training.precision == "auto":
        wanted = wanted.changed(training={"precision": settled.training.precision})
    before, now = settled.to_dict(), wanted.to_dict()
    different = [f"seed was {began.seed} and is {wanted.seed}"] if began.seed != wanted.seed else []
    for table in ("model", "data", "augmentation", "training"):
        for key, value in before[table].items():
            if now[table][key] != value:
                different.append(f"{table}.{key} was {value!r} and is {now[table][key]!r}")
    if different:
        raise CheckpointError(
            f"The training in {out} began with other settings: {'; '.join(different)}. Resume with its recipe.toml, of "
            "which only the budget may change, or start anew with --overwrite."
        )
    return settled


def check_run_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """CheckpointError or OutputError where `out` is no place for what is asked; nothing is made yet."""
    if resume and overwrite:
        raise RecipeError(f"--resume goes on with what {out} holds, and --overwrite replaces it; choose one.")
    if resume and not any((out / name).exists() for name in ("state.safetensors", _OF_STAGES)):
        raise CheckpointError(
            f"{out} holds no interrupted training (there is no state.safetensors). Give the folder of one, or "
            "leave --resume out to begin."
        )
    existing = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file; give a folder for the results.")
    if not os.access(existing, os.W_OK):
        raise OutputError(f"Nothing can be written into {existing}: no permission. Choose another folder.")
    found = [name for name in (*FILES, _OF_STAGES) if (out / name).exists()]
    if found and not overwrite and not resume:
        raise OutputError(
            f"{out} already holds a training ({', '.join(found)}). Go on with --resume, replace it with --overwrite, "
            "or choose another folder."
        )


def make_way(out: Path) -> None:
    """The folder, with nothing of an earlier training in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (*FILES, _OF_STAGES):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise output_error(out, error) from error


def _check_same_images(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """CheckpointError with the difference, where a training would go on with other images."""
    if before == now:
        return
    old, new = set(before.get("names", [])), set(now["names"])
    differences = [
        f"Gone: {', '.join(sorted(old - new))}." if old - new else "",
        f"New: {', '.join(sorted(new - old))}." if new - old else "",
        "Their names are the same, but not their order." if old == new and before["names"] != now["names"] else "",
        "Their pixels have changed." if old == new and before["intensity"] != now["intensity"] else "",
        "Their classes have changed." if old == new and before["labels"] != now["labels"] else "",
    ]
    raise CheckpointError(
        f"The training to be resumed was on other images. {' '.join(d for d in differences if d)} "
        "Resume with the images it began with, or start anew with --overwrite."
    )
