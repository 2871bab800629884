"""Batches → weights: the loop of every training here. It yields events and prints nothing.

    for event in fit(trainer, validate):     Stepped, Stepped, …, Validated, Stepped, …, Validated

Close the iterator between two events, and the trainer's state is whole: it can be saved and resumed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ushape.data.patches import PatchSampler
from ushape.device import Precision, lost_device_named
from ushape.errors import CheckpointError, RecipeError, TrainingError
from ushape.freed_memory import keeping_freed_memory
from ushape.models.segmenter import Segmenter
from ushape.process_group import ALONE, ProcessGroup, lost_processes_named
from ushape.recipe import TrainingRecipe
from ushape.train.gradients import Gradients
from ushape.train.optimiser import FALL, RunningMean, learning_rate, optimiser
from ushape.train.randomness import Randomness
from ushape.train.turned import SHARE_OF_TRAINING
from ushape.train.validate import Validation

VALIDATION_SHARE = 0.2  # of the minutes so far; validations that would exceed it wait, the last one aside
_BELOW_ANY_SCORE = -1.0
_FLAT_VALIDATIONS, _FLAT_GAIN = 6, 0.002  # so many validations in a row that gain no more than this gain nothing
_COUNTERS = (
    "step",
    "seconds",
    "reserved_seconds",
    "validating_seconds",
    "validations",
    "validated_step",
    "best",
    "scores",
    "end",
    "tries_flips",
)


@dataclass(frozen=True)
class Stepped:
    """One step. seconds: since the training began, pauses aside. progress: 0 … 1. parts: of its batch, for memory."""

    step: int
    seconds: float
    progress: float
    loss: float
    learning_rate: float
    parts: int = 1


@dataclass(frozen=True)
class Validated:
    """The scores of the running mean of the weights on the validation images.

    best: the highest score so far. flat: from here on the learning rate falls, as validation gains no more.
    """

    step: int
    seconds: float
    best: bool
    scores: Validation
    flat: bool = False


Event = Stepped | Validated


class Trainer:
    """A network in training: everything that changes from step to step, and the step.

    randomness: what dropout draws from. closing: what is made after the last validation and belongs to the minutes, as
    a multiple of the time of a validation. trial: the same of trying flips, which is made where it takes a small share
    of the minutes: `tries_flips`, known from the first validation on. judged: whether validation tells networks apart;
    else each is better than the one before. processes: those that train this network together, each with a Trainer made
    alike; each computes its share of a batch, and the leader's clock is the clock of all.
    """

    def __init__(
        self,
        model: Segmenter,
        recipe: TrainingRecipe,
        sampler: PatchSampler,
        *,
        precision: Precision,
        randomness: Randomness | None = None,
        class_weights: Tensor | None = None,
        closing: float = 0.0,
        trial: float = 0.0,
        judged: bool = True,
        processes: ProcessGroup = ALONE,
    ) -> None:
        if not recipe.minutes and not recipe.steps:
            raise RecipeError("Neither minutes nor steps are set, so the training has no end. Set one of them.")
        self.model, self.recipe, self.sampler = model, recipe, sampler
        self.precision, self.judged, self.processes = precision, judged, processes
        self.closing, self.trial = closing, trial
        self.tries_flips: bool | None = None  # of a training in minutes, once that is known
        self.randomness = randomness or Randomness(0, model.device)
        self.gradients = Gradients(model, recipe, precision=precision, class_weights=class_weights, processes=processes)
        self.optimiser = optimiser(model, recipe)
        self.mean = RunningMean(model, recipe.average)
        self.step, self.seconds, self.reserved_seconds, self.validating_seconds = 0, 0.0, 0.0, 0.0
        self.validations, self.validated_step, self.best = 0, 0, _BELOW_ANY_SCORE
        self.scores: list[float] = []  # of all validations
        self.end = 1.0  # share of the budget at which the training ends: less, once validation gains no more
        self.begin()

    @property
    def progress(self) -> float:
        """0 … 1: the share of the steps, or of the minutes less those kept for what follows the last step.

        1, too, where what is left of the minutes is less than half a step.
        """
        return min(1.0, self.budget_used / self.end)

    @property
    def budget_used(self) -> float:
        """0 … 1: as `progress`, of a training that takes its whole budget."""
        if self.recipe.steps:
            return min(1.0, self.step / self.recipe.steps)
        validations = 1 + self.closing + (self.trial if self.tries_flips else 0.0)
        seconds = max(1.0, 60 * self.recipe.minutes - validations * self.reserved_seconds)
        half_a_step = (self.seconds - self.validating_seconds) / max(1, self.step) / 2
        return 1.0 if seconds - self.seconds < half_a_step else self.seconds / seconds

    def begin(self) -> None:
        """Count the time from now on: that before, a pause between two sittings, is no part of the training."""
        self._counted = time.perf_counter()

    def count(self) -> float:
        """Count the seconds since the last count as part of the training, and return them."""
        now = time.perf_counter()
        taken, self._counted = self.processes.agree(now - self._counted), now
        self.seconds += taken
        return taken

    def advance(self) -> Stepped:
        """One step; TrainingError if loss or gradient are no longer numbers, before the weights are touched."""
        rate = learning_rate(self.recipe, self.progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["rate"]
        with self.randomness, lost_processes_named(), lost_device_named():
            value = self._step()
        self.mean.update(self.model)
        self.step += 1
        self.count()
        return Stepped(self.step, self.seconds, self.progress, value, rate, self.gradients.parts)

    def _step(self) -> float:
        kept = self.progress >= self.recipe.statistics_until
        value = self.gradients.find(self.sampler.draw(), statistics_kept=kept)
        self._check_finite("loss", value)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or math.inf)
        self._check_finite("gradient", float(norm))
        self.optimiser.step()
        self.optimiser.zero_grad()
        return value

    def _check_finite(self, name: str, value: float) -> None:
        if math.isfinite(value):
            return
        clip = "" if 0 < self.recipe.clip <= 1 else ", or with [training] clip = 1"
        raise TrainingError(
            f"The {name} became {value} at step {self.step + 1}. The weights of the steps before are kept. Train again "
            f"with a learning rate below {self.recipe.learning_rate:g}{clip}."
        )

    def take(self, score: float) -> tuple[bool, bool]:
        """Note a validation's score, of which the leader's counts: whether it is the best, and whether from now on
        the learning rate falls, as validation gains no more.
        """
        score = self.processes.agree(score)
        best, taken = score > self.best or not self.judged, self.count()
        self.best = max(score, self.best)
        self.scores.append(score)
        flat = _is_flat(self)
        if flat:
            self.end = self.budget_used / (1 - FALL)
        self.validations = max(self.validations + 1, int(self.progress * _validations(self)))
        self.validated_step = self.step
        self.reserved_seconds = max(taken, self.reserved_seconds)  # never less: progress must not go back
        self.validating_seconds += taken
        if self.recipe.minutes and self.tries_flips is None:
            self.tries_flips = self.trial * taken <= SHARE_OF_TRAINING * 60 * self.recipe.minutes
        return best, flat

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and JSON from which `restore` goes on as if nothing had happened."""
        optimiser_state = self.optimiser.state_dict()["state"]
        sampler = self.sampler.state()
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"mean.{name}": t for name, t in self.mean.weights.items()}
        tensors |= {
            f"optimiser.{number}.{name}": torch.as_tensor(t)
            for number, values in optimiser_state.items()
            for name, t in values.items()
            if t is not None
        }
        tensors |= {f"sampler.{name}": torch.as_tensor(t) for name, t in sampler.items()}
        tensors |= {f"random.{kind}": t for kind, t in self.randomness.state().items()}
        return tensors, {"counters": json.dumps(self._counters())}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Go on from a saved state; CheckpointError if it is of another network or folder."""
        try:
            self.model.load_state_dict(_under("model.", tensors))
            self.mean.restore(_under("mean.", tensors), 0)
            self._restore_optimiser(_numbered(_under("optimiser.", tensors)))
            sampler: dict[str, Any] = dict(_under("sampler.", tensors))
            self.sampler.restore(sampler | {"position": int(sampler["position"])})
            for name, value in json.loads(metadata["counters"]).items():
                setattr(self.mean if name == "steps" else self, name, value)
            self.randomness.restore({"cpu": tensors["random.cpu"], **_under("random.", tensors)})
        except CheckpointError:
            raise
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(f"{error} is missing".split() if isinstance(error, KeyError) else str(error).split())
            raise CheckpointError(
                f"The saved state does not fit this training: {reason}. Resume with the recipe and the images it began "
                "with, or start anew with --overwrite."
            ) from error
        self.validations = min(self.validations, int(self.progress * _validations(self)))  # of a longer budget

    @property
    def device(self) -> torch.device:
        return self.model.device

    def _counters(self) -> dict[str, float | list[float] | None]:
        return {name: getattr(self, name) for name in _COUNTERS} | {"steps": self.mean.steps}

    def _restore_optimiser(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Its numbers, laid out in memory as the weights are: otherwise steps would be slower, and round otherwise."""
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        for weight, values in self.optimiser.state.items():
            values |= {name: torch.empty_like(weight).copy_(t) for name, t in values.items() if t.shape == weight.shape}


def fit(trainer: Trainer, validate: Callable[[Trainer], Validation]) -> Iterator[Event]:
    """Train until the recipe's steps or minutes are used up, validating as often as it says and at the end.

    What comes next follows from the trainer alone, so that a resumed training makes a validation it had yet to make.
    """
    for due in _moments(trainer):
        yield _validated(trainer, validate(trainer)) if due else trainer.advance()


def fit_along(trainer: Trainer) -> None:
    """What `fit` is in the processes that do not lead: they step alike, and hear the score of each validation."""
    for due in _moments(trainer):
        if due:
            trainer.take(math.nan)
        else:
            trainer.advance()


def _moments(trainer: Trainer) -> Iterator[bool]:
    """For all that is to be done, one after the other, whether it is a validation; else it is a step."""
    trainer.begin()
    with keeping_freed_memory():
        while (due := _validation_is_due(trainer)) or trainer.progress < 1:
            yield due
            trainer.count()  # what was done with the event: saving, above all


def _validation_is_due(trainer: Trainer) -> bool:
    if trainer.validated_step == trainer.step:
        return False
    if trainer.progress >= 1:
        return True
    affordable = trainer.validating_seconds <= VALIDATION_SHARE * trainer.seconds
    due = trainer.progress * _validations(trainer) >= trainer.validations + 1
    return due and (affordable or trainer.recipe.steps > 0)  # steps, unlike minutes, are repeatable: no clock decides


def _validated(trainer: Trainer, scores: Validation) -> Validated:
    best, flat = trainer.take(scores.score)
    return Validated(trainer.step, trainer.seconds, best, scores, flat)


def _validations(trainer: Trainer) -> int:
    """How many a training has that takes its whole budget."""
    return trainer.recipe.validations * (4 if trainer.recipe.schedule == "until-flat" else 1)


def _is_flat(trainer: Trainer) -> bool:
    """Whether the learning rate is to fall now, long before the budget's end, as nothing is gained any more."""
    if trainer.recipe.schedule != "until-flat" or trainer.end < 1 or trainer.budget_used >= 1 - FALL:
        return False
    before, latest = trainer.scores[:-_FLAT_VALIDATIONS], trainer.scores[-_FLAT_VALIDATIONS:]
    return bool(before) and max(latest) <= max(before) + _FLAT_GAIN


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _numbered(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """ "3.exp_avg" → {3: {"exp_avg": …}}, as optimisers keep their state."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    return state
