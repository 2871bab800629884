"""Annotated folder → run folder, resumable at any moment.

RUN/recipe.toml          all that defines the training
RUN/best.safetensors     the network of the best validation       RUN/last.safetensors   of the last
RUN/state.safetensors    what --resume goes on from
RUN/log.csv              a line per step and validation
"""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ushape import checkpoint
from ushape.atomic import write_whole
from ushape.checkpoint import Trained
from ushape.data.patches import PatchSampler
from ushape.device import faster_precision
from ushape.errors import CheckpointError, OutputError, TrainingError
from ushape.metrics.table import Table
from ushape.models import build
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe
from ushape.train import validate
from ushape.train.diary import Diary
from ushape.train.loop import Event, Trainer, Validated, fit
from ushape.train.prepare import Prepared, prepare

FILES = ("recipe.toml", "best.safetensors", "last.safetensors", "state.safetensors", "log.csv", "report.html")
_SAVE_EVERY_SECONDS = 120


class Run:
    """One training of one recipe on one folder, writing into `out`.

    Iterate over `events()`; closing that iterator saves the state, from which `resume=True` goes on. OutputError where
    `out` already holds a run and neither `resume` nor `overwrite` is said.
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
    ) -> None:
        _check_place(out, resume=resume, overwrite=overwrite)
        self.out, self.command, self.data = out, command, data
        self.recipe = _with_precision(wanted, device)
        self.prepared = prepare(data, self.recipe)
        torch.manual_seed(self.recipe.seed)
        self.trainer = self._trainer(device)
        self._evaluated = copy.deepcopy(self.trainer.model)
        self._begin(resume)
        self._diary = Diary(out, tensorboard=tensorboard)
        self._diary.begin(self.trainer.step, self.trainer.validated_step)

    def events(self) -> Iterator[Event]:
        """Train; after each validation the checkpoints are on disk. Raises TrainingError if the loss is lost."""
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
        except GeneratorExit:
            self._save_state()
            raise
        except TrainingError:
            if not (self.out / "best.safetensors").exists() and self.trainer.step:
                self._write("best.safetensors", {})
            raise
        finally:
            self._diary.close()

    def _trainer(self, device: torch.device) -> Trainer:
        settings, prepared = self.recipe.training, self.prepared
        model = build(
            self.recipe.model.name,
            in_channels=prepared.intensity.channels,
            classes=prepared.annotation.labels.classes,
            **self.recipe.model.options,
        ).placed(device)
        sampler = PatchSampler(
            prepared.examples,
            model.footprint,
            output_size=settings.output_size,
            batch=settings.batch,
            augmentation=self.recipe.augmentation,
            seed=self.recipe.seed,
            device=device,
            foreground_fraction=settings.foreground_fraction,
        )
        assert settings.precision != "auto"
        return Trainer(
            model,
            settings,
            sampler,
            precision=settings.precision,
            class_weights=_balanced(prepared).to(device) if settings.class_weights == "balanced" else None,
        )

    def _begin(self, resume: bool) -> None:
        if not resume:
            for name in FILES:
                (self.out / name).unlink(missing_ok=True)
            write_whole(self.out / "recipe.toml", self.recipe.to_toml())
            return
        tensors, metadata = checkpoint.read_tensors(self.out / "state.safetensors")
        _check_same_images(json.loads(metadata["training_images"]), [e.name for e in self.prepared.examples])
        self.trainer.restore(tensors, metadata)
        write_whole(self.out / "recipe.toml", self.recipe.to_toml())

    def _validate(self, trainer: Trainer) -> Table:
        self._evaluated.load_state_dict(trainer.mean.weights)
        self._evaluated.eval()
        predictor = Predictor(self._trained(self._evaluated, {}), flips=False, precision=trainer.precision)
        return validate.table(predictor, self.prepared.truths)

    def _save_checkpoints(self, event: Validated) -> None:
        scores = event.table.to_dict()
        self._write("last.safetensors", scores)
        if event.best:
            self._write("best.safetensors", scores)

    def _write(self, name: str, scores: Mapping[str, Any]) -> None:
        trained = self._trained(self.trainer.model, scores)
        checkpoint.write(self.out / name, trained, self.trainer.mean.weights)

    def _save_state(self) -> None:
        tensors, metadata = self.trainer.state()
        names = json.dumps([e.name for e in self.prepared.examples])
        checkpoint.write_tensors(self.out / "state.safetensors", tensors, metadata | {"training_images": names})

    def _trained(self, model: Any, scores: Mapping[str, Any]) -> Trained:
        prepared = self.prepared
        provenance = {
            "data": str(self.data),
            "layout": prepared.survey.layout,
            "training": [p.name for p in prepared.split.training],
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
        return Trained(model, prepared.annotation.labels, prepared.intensity, self.recipe, provenance)


def _with_precision(wanted: Recipe, device: torch.device) -> Recipe:
    if wanted.training.precision != "auto":
        return wanted
    return wanted.changed(training={"precision": faster_precision(device)})


def _check_place(out: Path, *, resume: bool, overwrite: bool) -> None:
    if resume:
        if not (out / "state.safetensors").exists():
            raise CheckpointError(
                f"{out} holds no interrupted training (there is no state.safetensors). Give the folder of one, or "
                "leave --resume out to begin."
            )
        return
    found = [name for name in FILES if (out / name).exists()]
    if found and not overwrite:
        raise OutputError(
            f"{out} already holds a training ({', '.join(found)}). Go on with --resume, replace it with --overwrite, "
            "or choose another folder."
        )
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the results.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {out} cannot be made: {error.strerror}. Choose another place.") from error


def _check_same_images(before: list[str], now: list[str]) -> None:
    if before == now:
        return
    gone, new = sorted(set(before) - set(now)), sorted(set(now) - set(before))
    raise CheckpointError(
        "The training to be resumed was on other images."
        + (f" Gone: {', '.join(gone)}." if gone else "")
        + (f" New: {', '.join(new)}." if new else "")
        + " Resume with the images it began with, or start anew with --overwrite."
    )


def _balanced(prepared: Prepared) -> Tensor:
    """Weights inversely proportional to how often each class occurs, 1 on the average pixel."""
    labels = prepared.annotation.labels
    counts = torch.zeros(labels.classes, dtype=torch.float64)
    for example in prepared.examples:
        counts += torch.bincount(example.classes.flatten(), minlength=256)[: labels.classes]
    present = counts > 0
    weights = torch.where(present, counts.sum() / (present.sum() * counts.clamp(min=1)), torch.zeros(()))
    return weights.float()
