"""Run folders: what is in them, that nothing is lost in them, and how they are resumed."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ushape import checkpoint
from ushape.errors import CheckpointError, DataError, MissingExtra, OutputError, RecipeError, TrainingError, UshapeError
from ushape.metrics.table import Row, Table
from ushape.predict.tiled import load
from ushape.recipe import DataRecipe, ModelRecipe, Recipe, TrainingRecipe, merged, read
from ushape.train import run as run_module
from ushape.train.diary import read as read_log
from ushape.train.lock import NAME as LOCK
from ushape.train.loop import Stepped, Validated
from ushape.train.run import Run
from ushape.train.run_folder import FILES
from ushape.train.session import resumed
from ushape.train.state import BEFORE, NEWEST, WentBack
from ushape.train.validate import Validation

CPU = torch.device("cpu")
Annotated = Callable[..., Path]


def recipe(seed: int = 0, **training: Any) -> Recipe:
    tiny = {"steps": 6, "output_size": 16, "batch": 2, "validations": 3, "precision": "float32"} | training
    return Recipe(
        model=ModelRecipe("unet", {"width": 4, "depth": 1, "padding": "same"}),
        training=TrainingRecipe(**tiny),
        seed=seed,
    )


def run(data: Path, out: Path, wanted: Recipe | None = None, **options: Any) -> Run:
    return Run(data, out, wanted or recipe(), device=CPU, **options)


def finished(data: Path, out: Path, wanted: Recipe | None = None, **options: Any) -> Run:
    running = run(data, out, wanted, **options)
    list(running.events())
    return running


def of_training(events: Iterable[object]) -> list[Stepped | Validated]:
    """Those of the training itself; what is settled after it is left out."""
    return [event for event in events if isinstance(event, Stepped | Validated)]


def interrupted(data: Path, out: Path, wanted: Recipe | None = None, after: int = 4) -> None:
    events = run(data, out, wanted).events()
    list(islice(events, after))
    events.close()


def tensors(path: Path) -> dict[str, Tensor]:
    return checkpoint.read_tensors(path)[0]


def same(first: Path, second: Path) -> bool:
    a, b = tensors(first), tensors(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def timeless(log: Path) -> list[dict[str, str]]:
    return [{key: cell for key, cell in row.items() if key != "seconds"} for row in read_log(log)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(kind: type[UshapeError], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        run(*arguments, **options)
    return str(caught.value)


def scores(monkeypatch: pytest.MonkeyPatch, *dices: float) -> None:
    """Validations that find these."""
    left = iter(dices)

    def validated(*_: Any) -> Validation:
        hits = round(100 * next(left))
        rows = (Row("a", "a", np.array([[50, 100 - hits], [100 - hits, hits]])),)
        return Validation(Table(rows, ("background", "cell")))

    monkeypatch.setattr(run_module, "validated", validated)


def test_a_run_leaves_what_it_says_and_nothing_else(annotated: Annotated, tmp_path: Path):
    running = finished(annotated(*"abcde"), tmp_path / "runs" / "first", command="ushape train data")
    out = tmp_path / "runs" / "first"
    assert set(files(out)) == set(FILES) - {"report.html"}
    assert merged(Recipe(), read(out / "recipe.toml")) == running.recipe == recipe()
    for name in ("best", "last"):
        trained = checkpoint.read(out / f"{name}.safetensors")
        assert trained.recipe == recipe().changed(prediction={"flips": False})  # settled in the end
        assert trained.labels.values == (0, 255)
    about = trained.provenance
    assert about["step"] == 6
    assert about["command"] == "ushape train data"
    assert sorted(about["training"] + about["validation"]) == list("abcde")
    assert about["versions"]["torch"] == torch.__version__
    assert about["validation_scores"]["summary"]["images"] == 1
    assert {"data", "layout", "split", "seconds", "device", "date"} <= set(about)


@pytest.mark.parametrize("names", ["a", "abcde"])
def test_one_image_and_five_train_and_segment(annotated: Annotated, tmp_path: Path, names: str):
    data = annotated(*names)
    finished(data, tmp_path / "run", recipe(steps=60, learning_rate=1e-2, validations=1))
    image = np.asarray(Image.open(data / "images" / "a.png"))
    mask, truth = load(tmp_path / "run").segment(image), np.asarray(Image.open(data / "masks" / "a.png"))
    assert mask.shape == image.shape
    assert set(np.unique(mask)) <= {0, 255}
    assert (mask == truth).mean() > 0.8


def test_the_log_has_a_line_per_step_and_validation(annotated: Annotated, tmp_path: Path):
    finished(annotated(*"abcde"), tmp_path / "run")
    rows = read_log(tmp_path / "run" / "log.csv")
    assert [row["step"] for row in rows] == ["1", "2", "2", "3", "4", "4", "5", "6", "6"]
    assert [bool(row["loss"]) for row in rows] == [True, True, False] * 3
    assert [bool(row["validation_dice"]) for row in rows] == [False, False, True] * 3


def test_the_same_seed_gives_the_same_tensors_whatever_was_drawn_before(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        torch.rand(ord(name))
        finished(data, tmp_path / name, recipe(seed=seed))
    for name in ("best", "last", "state"):
        assert same(tmp_path / "a" / f"{name}.safetensors", tmp_path / "b" / f"{name}.safetensors")
        assert not same(tmp_path / "a" / f"{name}.safetensors", tmp_path / "c" / f"{name}.safetensors")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_resumed_run_ends_with_the_same_bits(annotated: Annotated, tmp_path: Path, precision: str, optimiser: str):
    data, wanted = annotated(*"abcde"), recipe(precision=precision, optimiser=optimiser)
    whole = run(data, tmp_path / "whole", wanted)
    assert any(m.p > 0 for m in whole.trainer.model.modules() if isinstance(m, torch.nn.Dropout))
    assert len(of_training(whole.events())) == 9
    for after in (1, 2, 3, 7, 8, 9):  # 2: a validation is due; 8: the last one is
        out = tmp_path / f"{after}"
        interrupted(data, out, wanted, after)
        torch.rand(99)
        resumed = finished(data, out, wanted, resume=True)
        assert resumed.trainer.step == 6
        for name in ("best", "last", "state"):
            assert same(out / f"{name}.safetensors", tmp_path / "whole" / f"{name}.safetensors")
        assert timeless(out / "log.csv") == timeless(tmp_path / "whole" / "log.csv")


def test_a_run_can_be_interrupted_again_and_again(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    finished(data, tmp_path / "whole")
    interrupted(data, tmp_path / "run", after=1)
    for _ in range(8):
        events = run(data, tmp_path / "run", resume=True).events()
        next(events)
        events.close()
    assert same(tmp_path / "run" / "state.safetensors", tmp_path / "whole" / "state.safetensors")
    assert timeless(tmp_path / "run" / "log.csv") == timeless(tmp_path / "whole" / "log.csv")
    assert of_training(run(data, tmp_path / "run", resume=True).events()) == []


def test_lines_of_lost_steps_are_not_in_the_log_twice(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    finished(data, tmp_path / "whole")
    interrupted(data, tmp_path / "run", after=2)
    state = (tmp_path / "run" / "state.safetensors").read_bytes()
    events = run(data, tmp_path / "run", resume=True).events()
    list(islice(events, 3))
    events.close()
    (tmp_path / "run" / "state.safetensors").write_bytes(state)  # as if the power had failed before it was saved
    assert len(read_log(tmp_path / "run" / "log.csv")) == 5
    finished(data, tmp_path / "run", resume=True)
    assert timeless(tmp_path / "run" / "log.csv") == timeless(tmp_path / "whole" / "log.csv")


def steps_on_disk(out: Path) -> int:
    """Up to where the newest state goes."""
    return int(json.loads(checkpoint.read_tensors(out / NEWEST)[1]["counters"])["step"])


def test_the_state_is_on_disk_when_the_iterator_is_closed_or_done(annotated: Annotated, tmp_path: Path):
    data, wanted = annotated(*"abcde"), recipe(validations=1)
    interrupted(data, tmp_path / "run", wanted, after=4)
    assert steps_on_disk(tmp_path / "run") == 4
    list(run(data, tmp_path / "run", wanted, resume=True).events())
    assert steps_on_disk(tmp_path / "run") == 6


def test_the_state_is_saved_at_the_beginning_and_at_times_between(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def saved(seconds: float) -> list[int]:
        noted = []
        monkeypatch.setattr(run_module, "_SAVE_EVERY_SECONDS", seconds)
        running = run(annotated(*"abcde"), tmp_path / "run", recipe(validations=1), overwrite=True)
        for event in running.events():
            running._states.finish()
            noted += [steps_on_disk(tmp_path / "run")] * len(of_training([event]))
        return noted

    assert saved(60) == [0, 0, 0, 0, 0, 0, 6]  # the last is the validation
    assert saved(0) == [1, 2, 3, 4, 5, 6, 6]


def test_a_training_that_was_killed_before_its_first_state_begins_anew(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    finished(data, tmp_path / "whole")
    finished(data, out)
    for name in (NEWEST, BEFORE):
        (out / name).unlink()
    assert "holds no interrupted training" in refusal(CheckpointError, data, out, resume=True)  # there is a result
    for name in ("best.safetensors", "last.safetensors"):
        (out / name).unlink()
    (out / ".ushape-1234.part").write_bytes(b"half a stat")
    finished(data, out, resume=True)
    assert same(out / "best.safetensors", tmp_path / "whole" / "best.safetensors")
    assert set(files(out)) == set(FILES) - {"report.html"}


def test_a_torn_state_gives_way_to_the_one_before_in_one_event(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    finished(data, tmp_path / "whole")
    interrupted(data, out, after=7)
    (out / NEWEST).write_bytes((out / NEWEST).read_bytes()[:-1])
    with (out / "log.csv").open("a") as log:
        log.write("6,0.3")
    before = files(out)
    first = next(run(data, out, resume=True).events())
    assert first == WentBack(4)
    (out / NEWEST).write_bytes(before[NEWEST])
    events = list(run(data, out, resume=True).events())
    assert [event for event in events if isinstance(event, WentBack)] == [WentBack(4)]
    for name in ("best", "last", "state"):
        assert same(out / f"{name}.safetensors", tmp_path / "whole" / f"{name}.safetensors")
    assert timeless(out / "log.csv") == timeless(tmp_path / "whole" / "log.csv")
    assert of_training(run(data, out, resume=True).events()) == []


def described(path: Path) -> tuple[dict[str, Any], bytes]:
    """What a checkpoint says, but for when and where it was written, and its numbers."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    about = json.loads(header["__metadata__"].pop("about"))
    for name in ("date", "seconds", "command"):
        assert name in about["provenance"]
        del about["provenance"][name]
    return {**header, "about": json.dumps(about)}, content[end:]


@pytest.mark.parametrize("numbered", [False, True])
def test_the_same_recipe_twice_gives_the_same_bytes_but_for_the_time(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbered: bool
):
    data = annotated(*"abcde", numbered=numbered)
    for name in ("first", "second"):
        finished(data, tmp_path / name, command=f"train {name}")
    for name in ("best.safetensors", "last.safetensors"):
        (first, numbers), (second, again) = (described(tmp_path / run / name) for run in ("first", "second"))
        assert numbers == again
        assert list(first.items()) == list(second.items())
    assert (tmp_path / "first" / "recipe.toml").read_bytes() == (tmp_path / "second" / "recipe.toml").read_bytes()


@pytest.mark.parametrize("numbered", [False, True])
def test_the_callers_random_numbers_are_left_as_they_were(annotated: Annotated, tmp_path: Path, numbered: bool):
    data = annotated(*"abcde", numbered=numbered)
    before = torch.get_rng_state()
    for _ in run(data, tmp_path / "run").events():
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)
    numpys, pythons = np.random.get_state()[1].tolist(), random.getstate()
    finished(data, tmp_path / "run", recipe(steps=8), resume=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == (numpys, pythons)


def test_two_trainings_step_by_step_in_turn_end_as_one_after_the_other(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    for seed in (0, 1):
        finished(data, tmp_path / f"alone {seed}", recipe(seed=seed))
    both = [run(data, tmp_path / f"in turn {seed}", recipe(seed=seed)).events() for seed in (0, 1)]
    assert [len(of_training(events)) for events in zip(*zip(*both, strict=True), strict=True)] == [9, 9]
    for seed, name in itertools.product((0, 1), ("best", "last", "state")):
        first, second = (tmp_path / f"{how} {seed}" / f"{name}.safetensors" for how in ("alone", "in turn"))
        assert same(first, second)


def test_a_second_training_in_a_folder_is_refused_while_the_first_is_at_work(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    events = run(data, out).events()
    next(events)
    before = files(out)
    for how in ("resume", "overwrite"):
        message = refusal(OutputError, data, out, **{how: True})
        assert re.match(rf"A training is under way in {out}: process {os.getpid()} on .*, since 20.*Wait", message)
    assert files(out) == before
    events.close()
    finished(data, out, resume=True)


def test_what_is_refused_holds_no_folder(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    interrupted(data, out)
    with pytest.raises(CheckpointError) as kept:  # and with it all that was on the stack
        run(data, out, recipe(seed=1), resume=True)
    finished(data, out, resume=True)
    assert "seed was 0 and is 1" in str(kept.value)


def test_a_folder_that_vanishes_in_the_middle_ends_the_training_with_one_error(annotated: Annotated, tmp_path: Path):
    events = run(annotated(*"abcde"), tmp_path / "run").events()
    next(events)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(OutputError, match=r"cannot be written: there is no folder .*run\. Create it first"):
        list(events)
    assert not (tmp_path / "run").exists()


def test_the_best_checkpoint_is_that_of_the_best_validation(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    running = run(annotated(*"abcde"), tmp_path / "run", recipe(steps=5, validations=5))
    scores(monkeypatch, 0.2, 0.8, 0.5, 0.8, 0.1)
    means = {}
    for event in running.events():
        if isinstance(event, Validated):
            means[event.step] = {name: t.clone() for name, t in running.trainer.mean.weights.items()}
            best, last = (checkpoint.read(tmp_path / "run" / f"{name}.safetensors") for name in ("best", "last"))
            assert last.provenance["step"] == event.step
            assert best.provenance["step"] == min(event.step, 2)
    assert running.trainer.best == pytest.approx(0.8)
    for name, step in [("best", 2), ("last", 5)]:
        found = tensors(tmp_path / "run" / f"{name}.safetensors")
        assert all(torch.equal(found[key], means[step][key]) for key in means[step])


def test_where_nothing_is_held_back_the_last_network_is_the_result(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    everything = replace(recipe(steps=3, validations=3), data=DataRecipe(validation_fraction=0.0))
    running = run(annotated(*"abcde"), tmp_path / "run", everything)
    assert len(running.prepared.examples) == 5
    scores(monkeypatch, 0.2, 0.8, 0.5)
    list(running.events())
    assert same(tmp_path / "run" / "best.safetensors", tmp_path / "run" / "last.safetensors")
    about = checkpoint.read(tmp_path / "run")
    assert about.provenance["step"] == 3 and "say nothing of other images" in about.provenance["split"]
    assert about.labels.temperature == 1  # which nobody could know


def test_the_best_survives_a_resumption(annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data, wanted = annotated(*"abcde"), recipe(steps=3, validations=3)
    scores(monkeypatch, 0.8, 0.5, 0.7)
    interrupted(data, tmp_path / "run", wanted, after=2)
    finished(data, tmp_path / "run", wanted, resume=True)
    assert checkpoint.read(tmp_path / "run").provenance["step"] == 1


def test_minutes_end_a_run_about_on_time(annotated: Annotated, tmp_path: Path):
    running = run(annotated(*"abcde"), tmp_path / "run", recipe(steps=0, minutes=0.02))
    begin = time.perf_counter()
    events = of_training(running.events())
    assert 1.0 < time.perf_counter() - begin < 3.0
    assert events[-1].seconds == pytest.approx(1.2, abs=0.5)
    assert isinstance(events[-1], Validated)


def test_a_run_without_a_budget_is_refused(annotated: Annotated, tmp_path: Path):
    message = refusal(RecipeError, annotated("a"), tmp_path / "run", recipe(steps=0))
    assert message.startswith("Neither minutes nor steps are set")
    assert not (tmp_path / "run").exists()


def test_a_longer_budget_goes_on(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abcde")
    finished(data, tmp_path / "run")
    running = finished(data, tmp_path / "run", recipe(steps=9), resume=True)
    assert running.trainer.step == 9
    assert read(tmp_path / "run" / "recipe.toml")["training"]["steps"] == 9
    steps = [row["step"] for row in read_log(tmp_path / "run" / "log.csv") if row["loss"]]
    assert steps == [str(step) for step in range(1, 10)]


def diverging(**training: Any) -> Recipe:
    return recipe(
        steps=60, learning_rate=100.0, optimiser="sgd", clip=0.0, schedule="constant", average=0.5, **training
    )


@pytest.mark.parametrize("validations", [60, 1])
def test_a_loss_that_is_lost_leaves_a_good_checkpoint(annotated: Annotated, tmp_path: Path, validations: int):
    running = run(annotated(*"abcde"), tmp_path / "run", diverging(validations=validations))
    with pytest.raises(TrainingError, match=r"The (loss|gradient) became .* at step \d+\. .*learning rate below 100"):
        list(running.events())
    trained = checkpoint.read(tmp_path / "run")
    assert all(bool(t.isfinite().all()) for t in trained.model.state_dict().values())
    assert 1 <= trained.provenance["step"] < 60
    assert (trained.provenance["validation_scores"] == {}) is (validations == 1)


def test_a_loss_lost_at_the_first_step_leaves_no_checkpoint(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    running = run(annotated(*"abcde"), tmp_path / "run")
    with torch.no_grad():
        next(running.trainer.model.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="The loss became nan at step 1"):
        list(running.events())
    assert set(files(tmp_path / "run")) == {"recipe.toml", "log.csv", NEWEST}


def test_an_existing_run_is_left_alone_unless_overwriting_is_asked(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    finished(data, out)
    (out / "notes.txt").write_text("mine")
    (out / "report.html").write_text("old")
    before = files(out)
    message = refusal(OutputError, data, out)
    assert f"{out} already holds a training (recipe.toml, best.safetensors, last.safetensors, " in message
    assert "--resume" in message and "--overwrite" in message
    assert files(out) == before
    running = run(data, out, overwrite=True)
    old = set(files(out)) - {"recipe.toml", "log.csv", LOCK}
    assert old == {"notes.txt"}  # nothing else passes for a result of the new
    list(running.events())


def test_an_existing_folder_of_other_things_is_no_obstacle(annotated: Annotated, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    finished(annotated("a"), tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_places_that_cannot_be_written(annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = annotated("a")
    (tmp_path / "file").write_text("")
    assert "file is a file; give a folder for the results." in refusal(OutputError, data, tmp_path / "file")
    assert "file is a file; give a folder" in refusal(OutputError, data, tmp_path / "file" / "run" / "first")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    message = refusal(OutputError, data, tmp_path / "runs" / "first")
    assert message == f"Nothing can be written into {tmp_path}: no permission. Choose another folder."
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_closes_while_the_images_are_read(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def closed(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    data = annotated("a")
    monkeypatch.setattr(Path, "mkdir", closed)
    assert "run cannot be written: no permission in" in refusal(OutputError, data, tmp_path / "run")


def test_a_folder_in_the_way_of_a_file_is_told(annotated: Annotated, tmp_path: Path):
    (tmp_path / "run" / "best.safetensors").mkdir(parents=True)
    message = refusal(OutputError, annotated("a"), tmp_path / "run", overwrite=True)
    assert "cannot be written" in message


def test_a_disk_that_fills_leaves_the_last_whole_state(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    data, out = annotated(*"abcde"), tmp_path / "run"
    finished(data, tmp_path / "whole")
    events = run(data, out).events()
    list(islice(events, 3))
    while not (out / BEFORE).exists() or any(out.glob("*.part")):  # the state is being written
        time.sleep(0.01)
    before = files(out)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"disk is full: .*last\.safetensors"):
        list(events)
    monkeypatch.undo()
    after = files(out)
    assert after.keys() == before.keys() - {LOCK}
    assert all(after[name] == before[name] for name in after if name != "log.csv")
    finished(data, out, resume=True)
    assert same(out / "best.safetensors", tmp_path / "whole" / "best.safetensors")
    assert timeless(out / "log.csv") == timeless(tmp_path / "whole" / "log.csv")


def test_a_folder_with_faults_leaves_nothing(annotated: Annotated, tmp_path: Path):
    data = annotated(*"abc")
    (data / "images" / "b.png").write_bytes(b"")
    assert "b.png" in refusal(DataError, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_tensorboard_an_old_run_is_not_lost(
    annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data, out = annotated("a"), tmp_path / "run"
    finished(data, out)
    before = files(out)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert "pip install" in refusal(MissingExtra, data, out, overwrite=True, tensorboard=True)
    assert files(out) == before


def test_there_must_be_something_to_resume(annotated: Annotated, tmp_path: Path):
    data = annotated("a")
    for out in (tmp_path / "none", tmp_path):
        assert re.search(
            r"holds no interrupted training .*--resume out", refusal(CheckpointError, data, out, resume=True)
        )
    interrupted(data, tmp_path / "run")
    assert "choose one" in refusal(RecipeError, data, tmp_path / "run", resume=True, overwrite=True)


def test_a_damaged_or_foreign_state_is_refused_and_kept(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    interrupted(data, out)
    state = out / NEWEST
    (out / BEFORE).unlink()
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    assert "state.safetensors is not a readable checkpoint" in refusal(CheckpointError, data, out, resume=True)
    shutil.copy(out / "best.safetensors", state)
    assert "state.safetensors is not a state that this version" in refusal(CheckpointError, data, out, resume=True)
    assert state.read_bytes() == (out / "best.safetensors").read_bytes()


def test_other_images_are_refused_with_the_difference(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    interrupted(data, out)
    kept = tmp_path / "kept"
    shutil.copytree(data, kept)
    trained_on = [e.name for e in run(data, out, resume=True).prepared.examples]

    def renamed(old: str, new: str) -> None:
        for kind in ("images", "masks"):
            (data / kind / f"{old}.png").rename(data / kind / f"{new}.png")

    renamed(trained_on[0], "aa")
    message = refusal(CheckpointError, data, out, resume=True)
    assert f"on other images. Gone: {trained_on[0]}. New: aa. " in message
    assert "Resume with the images it began with, or start anew with --overwrite." in message

    shutil.rmtree(data)
    shutil.copytree(kept, data)
    path = data / "images" / f"{trained_on[0]}.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert f"images. Other pixels: {trained_on[0]}. Res" in refusal(CheckpointError, data, out, resume=True)

    shutil.rmtree(data)
    shutil.copytree(kept, data)
    for path in (data / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 255 * 3).save(path)
    assert "on other images. Their classes have changed. Res" in refusal(CheckpointError, data, out, resume=True)

    shutil.rmtree(data)
    shutil.copytree(kept, data)
    everything = [path.stem for path in sorted((data / "masks").iterdir())]
    scored_on = next(name for name in everything if name not in trained_on)
    for name in (trained_on[0], scored_on):  # the same values in other places
        path = data / "masks" / f"{name}.png"
        Image.fromarray(np.asarray(Image.open(path))[::-1]).save(path)
    different = ", ".join(sorted([trained_on[0], scored_on]))
    assert f"on other images. Other masks: {different}. Res" in refusal(CheckpointError, data, out, resume=True)

    shutil.rmtree(data)
    finished(kept, out, resume=True)  # the folder may have moved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 3}, "seed was 0 and is 3"),
        ({"training": {"optimiser": "sgd"}}, "training.optimiser was 'adamw' and is 'sgd'"),
        ({"training": {"precision": "bfloat16"}}, "training.precision was 'float32' and is 'bfloat16'"),
        ({"model": {"options": {"width": 5}}}, "model.options was {.*'width': 4.*} and is {.*'width': 5.*}"),
        (
            {"data": {"validation_fraction": 0.5}, "augmentation": {"noise": 0.5}},
            "data.validation.*0.5; augmentation.noi",
        ),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    annotated: Annotated, tmp_path: Path, change: dict[str, Any], words: str
):
    data, out = annotated(*"abcde"), tmp_path / "run"
    interrupted(data, out)
    message = refusal(CheckpointError, data, out, merged(recipe(), change), resume=True)
    assert re.search(f"began with other settings: .*{words}.*Resume with what it began with", message)


def test_a_recipe_that_was_edited_by_hand_is_refused_but_for_its_budget(annotated: Annotated, tmp_path: Path):
    data, out = annotated(*"abcde"), tmp_path / "run"
    interrupted(data, out)
    text = (out / "recipe.toml").read_text()
    edited = text.replace("learning_rate = 0.002", "learning_rate = 0.02").replace("steps = 6", "steps = 7")
    (out / "recipe.toml").write_text(edited)
    message = refusal(CheckpointError, data, out, resumed(out), resume=True)
    assert "other settings: training.learning_rate was 0.002 and is 0.02. Resume with" in message
    assert f"[prediction] and [regions] may change. Put it back into {out / 'recipe.toml'}, or start" in message
    assert (out / "recipe.toml").read_text() == edited
    (out / "recipe.toml").write_text(text.replace("steps = 6", "steps = 7").replace("flips = false", "flips = true"))
    longer = finished(data, out, resumed(out), resume=True)
    assert longer.trainer.step == 7


def test_a_run_resumes_in_the_precision_it_chose(annotated: Annotated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data, out = annotated("a"), tmp_path / "run"
    monkeypatch.setattr(run_module, "faster_precision", lambda _: "bfloat16")
    interrupted(data, out, recipe(precision="auto"))
    assert read(out / "recipe.toml")["training"]["precision"] == "bfloat16"
    monkeypatch.setattr(run_module, "faster_precision", lambda _: "float32")
    assert run(data, out, recipe(precision="auto"), resume=True).trainer.precision == "bfloat16"


def test_balanced_classes_weigh_the_same_in_all(annotated: Annotated, tmp_path: Path):
    running = run(annotated(*"abcde"), tmp_path / "run", recipe(class_weights="balanced"))
    counts = sum(torch.bincount(e.classes.flatten(), minlength=2) for e in running.prepared.examples)
    weights = running.trainer.gradients.class_weights
    assert weights is not None
    assert float(weights[0] * counts[0]) == pytest.approx(float(weights[1] * counts[1]))
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1)
    assert run(annotated(*"abcde"), tmp_path / "other").trainer.gradients.class_weights is None
    assert len(of_training(running.events())) == 9


def test_the_log_is_plain_csv(annotated: Annotated, tmp_path: Path):
    finished(annotated("a"), tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["step", "seconds", "loss"]
    assert {len(row) for row in rows} == {len(header)}
