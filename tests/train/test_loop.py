"""The loop: what it yields and when, and that an interruption changes nothing."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ushape import checkpoint
from ushape.data.augment import Augmentation
from ushape.data.patches import Example, PatchSampler
from ushape.device import Precision
from ushape.errors import CheckpointError, RecipeError, TrainingError
from ushape.metrics.table import Row, Table
from ushape.models import build
from ushape.recipe import TrainingRecipe
from ushape.train import gradients, loop
from ushape.train.loop import Event, Stepped, Trainer, Validated, fit
from ushape.train.randomness import Randomness
from ushape.train.validate import Validation

CPU = torch.device("cpu")


def examples(count: int = 3, value: float = 0.0) -> list[Example]:
    """Noise whose class is its sign, and so can be learnt."""
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(1, 20, 24, generator=generator) for _ in range(count)]
    return [Example(f"{k}", image + value, (image[0] > 0).to(torch.uint8)) for k, image in enumerate(images)]


def trainer(
    given: list[Example] | None = None,
    *,
    precision: Precision = "float32",
    normalisation: str = "none",
    width: int = 4,
    seed: int = 0,
    closing: float = 0.0,
    trial: float = 0.0,
    **recipe: Any,
) -> Trainer:
    randomness = Randomness(seed, CPU)
    with randomness:
        model = build("unet", width=width, depth=1, padding="same", normalisation=normalisation).placed(CPU)
    sampler = PatchSampler(
        examples() if given is None else given,
        model.footprint,
        output_size=16,
        batch=2,
        augmentation=Augmentation(),
        seed=seed,
        device=CPU,
    )
    settings = TrainingRecipe(**({"steps": 8} | recipe))
    times = {"closing": closing, "trial": trial}
    return Trainer(model, settings, sampler, precision=precision, randomness=randomness, **times)


def found(dice: float = 0.5) -> Validation:
    hits = round(100 * dice)
    rows = (Row("a", "a", np.array([[50, 100 - hits], [100 - hits, hits]])),)
    return Validation(Table(rows, ("background", "cell")))


def scores(*dices: float) -> Callable[[Trainer], Validation]:
    """A validation that finds these, one after the other, then 0.5 for ever."""
    left = iter(dices)
    return lambda _: found(next(left, 0.5))


def saved(running: Trainer, folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Its state, by way of a file."""
    checkpoint.write_tensors(folder / "state", *running.state())
    return checkpoint.read_tensors(folder / "state")


def facts(event: Event) -> tuple[Any, ...]:
    """What of an event does not depend on the clock."""
    if isinstance(event, Stepped):
        return "stepped", event.step, event.progress, event.loss, event.learning_rate
    return "validated", event.step, event.scores.score, event.best


def same_tensors(first: Trainer, second: Trainer) -> bool:
    a, b = first.state()[0], second.state()[0]
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_resumed_after_any_step_it_ends_with_the_same_bits(
    tmp_path: Path, precision: Precision, optimiser: str, normalisation: str
):
    def new() -> Trainer:
        return trainer(precision=precision, normalisation=normalisation, optimiser=optimiser, learning_rate=1e-2)

    whole = new()
    assert any(m.p > 0 for m in whole.model.modules() if isinstance(m, torch.nn.Dropout))
    losses = [whole.advance().loss for _ in range(8)]
    for before in (0, 1, 5, 8):
        first = new()
        found = [first.advance().loss for _ in range(before)]
        state = saved(first, tmp_path)
        torch.rand(17)  # whatever else happens in between
        second = new()
        second.restore(*state)
        found += [second.advance().loss for _ in range(before, 8)]
        assert found == losses
        assert same_tensors(second, whole)
        assert (second.step, second.mean.steps) == (8, 8)


def test_wherever_the_iterator_is_closed_the_same_events_follow(tmp_path: Path):
    def new() -> Trainer:
        return trainer(steps=7, validations=3)

    def validate(running: Trainer) -> Validation:
        return found((running.step * 37 % 10) / 10)

    whole = [facts(event) for event in fit(new(), validate)]
    assert [fact[:2] for fact in whole] == [
        *(("stepped", step) for step in (1, 2, 3)),
        ("validated", 3),
        *(("stepped", step) for step in (4, 5)),
        ("validated", 5),
        *(("stepped", step) for step in (6, 7)),
        ("validated", 7),
    ]
    for count in range(len(whole) + 1):
        first, second = new(), new()
        events = fit(first, validate)
        before = [facts(event) for event in islice(events, count)]
        events.close()
        second.restore(*saved(first, tmp_path))
        assert before + [facts(event) for event in fit(second, validate)] == whole


def test_the_state_is_strict_json_and_plain_tensors_from_the_first_moment(tmp_path: Path):
    for steps in (0, 1):
        running = trainer()
        for _ in range(steps):
            running.advance()
        tensors, metadata = saved(running, tmp_path)
        json.loads(metadata["counters"], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert {name.split(".")[0] for name in tensors} == {"model", "mean", "sampler", "random"} | (
            {"optimiser"} if steps else set()
        )


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first, second, other = trainer(), trainer(), trainer(seed=1)
    for running in (first, second, other):
        torch.manual_seed(5)
        for _ in range(3):
            running.advance()
    assert same_tensors(first, second)
    assert not same_tensors(first, other)


def test_the_optimisers_numbers_lie_in_memory_as_the_weights_do(tmp_path: Path):
    for name in ("adamw", "sgd"):
        first, second = trainer(optimiser=name), trainer(optimiser=name)
        first.advance()
        second.restore(*saved(first, tmp_path))
        weights = [weight for weight in second.optimiser.state if weight.ndim == 4]
        assert any(not weight.is_contiguous() for weight in weights)
        for weight in weights:
            moments = [t for t in second.optimiser.state[weight].values() if t.ndim == 4]
            assert moments
            assert all(t.stride() == weight.stride() for t in moments)


def test_it_learns():
    running = trainer(steps=80, learning_rate=1e-2)
    losses = [event.loss for event in fit(running, scores()) if isinstance(event, Stepped)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


@pytest.mark.parametrize(("until", "gathered"), [(0.5, 4), (0.25, 2), (0.0, 0), (1.0, 8)])
def test_normalisation_gathers_statistics_for_a_share_of_the_training(until: float, gathered: int):
    running = trainer(normalisation="batch", statistics_until=until)
    list(fit(running, scores(0.5)))
    counts = {int(n) for name, n in running.model.state_dict().items() if name.endswith("num_batches_tracked")}
    assert counts == {gathered}


def test_steps_carry_what_they_say():
    running = trainer(steps=4, learning_rate=0.5, optimiser="sgd", schedule="constant", momentum=0.0, weight_decay=0.0)
    before = copy.deepcopy(running.model.state_dict())
    event = running.advance()
    assert (event.step, event.progress, event.learning_rate) == (1, 0.25, 0.5)
    assert event.seconds > 0
    assert event.loss > 0
    moved = torch.cat([(t - before[n]).flatten() for n, t in running.model.state_dict().items()])
    assert float(moved.norm()) <= 0.5 * 1.0 + 1e-6  # rate × the largest norm of a gradient


def test_the_gradient_is_clipped_only_where_that_is_asked():
    lengths = []
    for clip in (0.0, 1e-3):
        running = trainer(
            steps=4, optimiser="sgd", schedule="constant", momentum=0.0, weight_decay=0.0, learning_rate=1.0, clip=clip
        )
        before = copy.deepcopy(running.model.state_dict())
        running.advance()
        moved = torch.cat([(t - before[n]).flatten() for n, t in running.model.state_dict().items()])
        lengths.append(float(moved.norm()))
    assert lengths[0] > 0.01
    assert lengths[1] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("steps", "validations", "validated"),
    [
        (10, 5, [2, 4, 6, 8, 10]),
        (10, 1, [10]),
        (10, 3, [4, 7, 10]),
        (3, 10, [1, 2, 3]),
        (1, 10, [1]),
        (5, 5, [1, 2, 3, 4, 5]),
    ],
)
def test_validations_are_spread_evenly_and_the_last_is_at_the_end(steps: int, validations: int, validated: list[int]):
    events = list(fit(trainer(steps=steps, validations=validations), scores()))
    assert [e.step for e in events if isinstance(e, Stepped)] == list(range(1, steps + 1))
    assert [e.step for e in events if isinstance(e, Validated)] == validated
    assert isinstance(events[-1], Validated)


def test_with_steps_no_clock_decides_what_is_validated(monkeypatch: pytest.MonkeyPatch):
    clock = tick(monkeypatch)
    assert [
        e.step for e in fit(trainer(steps=4, validations=4), clock.validation(1e6)) if isinstance(e, Validated)
    ] == [*range(1, 5)]


def test_until_flat_ends_when_validation_gains_no_more_and_says_so(tmp_path: Path):
    """Validations at every fifth step of 200; from the fifth on, at step 25, nothing is gained."""
    dices = [0.1, 0.3, 0.5, 0.7, 0.8, *[0.801, 0.79] * 30]
    running = trainer(steps=200, validations=10, schedule="until-flat", learning_rate=1e-3)
    events = list(fit(running, scores(*dices)))
    flat = [e for e in events if isinstance(e, Validated) and e.flat]
    assert [e.step for e in flat] == [25 + 6 * 5]  # six validations that gain no more than .002
    assert isinstance(events[-1], Validated)
    assert running.step == pytest.approx(55 / 0.8, abs=1)  # the rate falls over the last fifth
    rates = [e.learning_rate for e in events if isinstance(e, Stepped)]
    assert set(rates[4:54]) == {1e-3}
    assert rates[55:] == sorted(rates[55:], reverse=True) and rates[-1] < 1e-4
    assert running.progress == 1


def test_until_flat_takes_its_whole_budget_while_something_is_gained():
    running = trainer(steps=40, validations=10, schedule="until-flat", learning_rate=1e-3)
    events = list(fit(running, scores(*(0.01 * k for k in range(100)))))
    assert running.step == 40
    assert not any(e.flat for e in events if isinstance(e, Validated))
    assert [e.learning_rate for e in events if isinstance(e, Stepped)][-1] < 2e-4


def test_until_flat_resumed_in_the_fall_ends_at_the_same_step(tmp_path: Path):
    first, second = (trainer(steps=200, schedule="until-flat") for _ in range(2))
    for event in fit(first, scores()):
        if isinstance(event, Validated) and event.flat:
            break
    second.restore(*saved(first, tmp_path))
    assert second.end == first.end < 1
    list(fit(second, scores()))
    list(fit(first, scores()))
    assert second.step == first.step


def test_the_best_is_the_first_of_the_highest_and_an_undefined_score_is_0():
    nothing = Validation(Table((Row("a", "a", np.array([[5, 0], [0, 0]])),), ("background", "cell")))
    left = iter([nothing, found(0.2), found(0.8), found(0.5), found(0.8), found(0.9)])
    events = [e for e in fit(trainer(steps=6, validations=6), lambda _: next(left)) if isinstance(e, Validated)]
    assert [e.scores.score for e in events] == pytest.approx([0, 0.2, 0.8, 0.5, 0.8, 0.9])
    assert [e.best for e in events] == [True, True, True, False, False, True]


class Clock:
    """A perf_counter that passes a second at each look: one for a step or a validation, one for what is made of it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1.0
        return self.now

    def validation(self, *seconds: float) -> Callable[[Trainer], Validation]:
        """One that takes so many seconds, the last number for ever."""

        def validate(_: Trainer) -> Validation:
            self.now += next(left) - 1
            return found()

        left = iter_then_last(seconds)
        return validate


def iter_then_last(values: tuple[float, ...]) -> Iterator[float]:
    yield from values
    while True:
        yield values[-1]


def tick(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


@pytest.mark.parametrize("seconds", [(1,), (5,), (9, 1), (1, 9), (30,)])
def test_minutes_include_all_validations(monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, ...]):
    clock = tick(monkeypatch)
    running = trainer(steps=0, minutes=2.0, validations=10)
    events = list(fit(running, clock.validation(*seconds)))
    last = max(seconds)
    assert 120 - last <= running.seconds <= 120 + last
    assert running.seconds == events[-1].seconds + 1  # what was made of the last event
    assert isinstance(events[-1], Validated)
    assert [isinstance(e, Validated) for e in events[-2:]] == [False, True]  # the last one is made once
    progress = [e.progress for e in events if isinstance(e, Stepped)]
    assert progress == sorted(progress)
    rates = [e.learning_rate for e in events if isinstance(e, Stepped)]
    assert rates.index(max(rates)) <= 0.2 * len(rates)  # a schedule that was gone back in would rise again
    assert rates[-1] < 0.2 * max(rates)


def test_minutes_include_what_is_done_with_the_events_and_leave_time_for_what_follows(monkeypatch: pytest.MonkeyPatch):
    clock = tick(monkeypatch)
    running = trainer(steps=0, minutes=4.0, validations=4, closing=2.0)
    for event in fit(running, clock.validation(10)):
        clock.now += 2 if isinstance(event, Stepped) else 19  # to save and to show
    validations = running.validations
    assert validations == 4
    assert running.seconds == clock.now - 2 == 4 * running.step + validations * (10 + 20)
    assert running.seconds - 20 == pytest.approx(240 - 2 * 10, abs=4)  # the closing follows


@pytest.mark.parametrize(("seconds", "tried"), [(1.5, True), (1.6, False)])
def test_flips_are_tried_and_their_time_kept_where_that_is_a_twentieth(
    monkeypatch: pytest.MonkeyPatch, seconds: float, tried: bool
):
    clock = tick(monkeypatch)
    running = trainer(steps=0, minutes=4.0, validations=4, trial=8.0)
    assert running.tries_flips is None
    list(fit(running, clock.validation(seconds)))
    assert running.tries_flips is tried
    assert running.seconds == pytest.approx(240 - 8 * seconds * tried, abs=2)
    assert trainer(steps=4, trial=8.0).tries_flips is None  # the steps will tell


def test_a_step_that_would_end_far_beyond_the_minutes_is_not_begun(monkeypatch: pytest.MonkeyPatch):
    for minutes, steps in [(0.9, 5), (0.95, 6), (1.0, 6), (1.05, 6)]:
        clock = tick(monkeypatch)
        running = trainer(steps=0, minutes=minutes, validations=1)
        for event in fit(running, clock.validation(0)):
            clock.now += 8 * isinstance(event, Stepped)  # a step of ten seconds
        assert running.step == steps


def test_validations_that_would_take_a_fifth_of_the_minutes_wait(monkeypatch: pytest.MonkeyPatch):
    clock = tick(monkeypatch)
    running = trainer(steps=0, minutes=4.0, validations=100)
    events = list(fit(running, clock.validation(5)))
    taken = 5 * sum(isinstance(e, Validated) for e in events)
    assert 0.15 * 240 < taken < 0.2 * 240 + 2 * 5


def test_a_validation_longer_than_the_budget_ends_it(monkeypatch: pytest.MonkeyPatch):
    clock = tick(monkeypatch)
    events = list(fit(trainer(steps=0, minutes=1.0, validations=10), clock.validation(100)))
    assert [isinstance(e, Validated) for e in events] == [False] * (len(events) - 1) + [True]
    assert len(events) == 1 + 3  # a tenth of the minute


def test_by_a_real_clock_it_ends_about_on_time():
    begin = time.perf_counter()
    events = list(fit(trainer(steps=0, minutes=0.02), scores()))
    assert 1.0 < time.perf_counter() - begin < 2.5
    assert events[-1].seconds == pytest.approx(1.2, abs=0.4)


def test_a_budget_made_longer_goes_on_with_validations(tmp_path: Path):
    first = trainer(steps=4, validations=4)
    list(fit(first, scores()))
    second = trainer(steps=8, validations=4)
    second.restore(*saved(first, tmp_path))
    assert [e.step for e in fit(second, scores()) if isinstance(e, Validated)] == [6, 8]


def test_a_finished_training_has_nothing_left_to_do(tmp_path: Path):
    first, second = trainer(), trainer()
    list(fit(first, scores()))
    second.restore(*saved(first, tmp_path))
    assert list(fit(second, scores())) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_before_it_does_harm(value: float):
    running = trainer(learning_rate=0.25)
    running.advance()
    before = {n: t.clone() for n, t in running.state()[0].items() if n.startswith(("model", "mean", "optimiser"))}
    poisoned = trainer(examples(value=value))
    running.sampler = poisoned.sampler
    with pytest.raises(TrainingError) as caught:
        running.advance()
    words = "The loss became nan at step 2. The weights of the steps before are kept. Train again with a learning rate"
    assert str(caught.value) == f"{words} below 0.25."
    assert running.step == 1
    after = running.state()[0]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_gradient_that_is_no_number_stops_before_it_does_harm(monkeypatch: pytest.MonkeyPatch):
    running = trainer(clip=0.0)
    running.advance()
    before = {n: t.clone() for n, t in running.state()[0].items() if n.startswith(("model", "mean", "optimiser"))}
    monkeypatch.setattr(gradients, "loss", lambda outputs, *_, **__: outputs[0].square().sum().mul(0).sqrt())
    with pytest.raises(
        TrainingError, match=r"The gradient became (nan|inf) at step 2\..*, or with \[training\] clip = 1\."
    ):
        running.advance()
    after = running.state()[0]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_training_without_an_end_is_refused():
    with pytest.raises(RecipeError, match="Neither minutes nor steps are set"):
        trainer(steps=0)


def test_states_that_do_not_fit_are_refused(tmp_path: Path):
    running = trainer()
    running.advance()
    tensors, metadata = saved(running, tmp_path)
    with pytest.raises(
        CheckpointError, match=r"does not fit this training: .*size mismatch.*Resume with the recipe"
    ) as c:
        trainer(width=5).restore(tensors, metadata)
    assert "\n" not in str(c.value)
    with pytest.raises(CheckpointError, match=r"^The training to be resumed had 3 training images; now there are 2\."):
        trainer(examples(2)).restore(tensors, metadata)
    for name in ("mean.head.bias", "sampler.round", "sampler.position", "random.cpu"):
        less = {n: t for n, t in tensors.items() if n != name}
        with pytest.raises(
            CheckpointError, match=rf"'{name.removeprefix('sampler.').removeprefix('mean.')}' is missing"
        ):
            trainer().restore(less, metadata)
    with pytest.raises(CheckpointError, match="'counters' is missing"):
        trainer().restore(tensors, {})
    with pytest.raises(CheckpointError, match="does not fit this training: Expecting"):
        trainer().restore(tensors, {"counters": "{"})
