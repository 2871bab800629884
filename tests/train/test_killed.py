"""Trainings that are killed at any moment, and resumed, end with the bits of one that was not.

One process loads PyTorch and forks the trainings, so that a kill costs the training's own time alone.
"""

from __future__ import annotations

import json
import math
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ushape import checkpoint
from ushape.recipe import ModelRecipe, Recipe, TrainingRecipe, merged, read
from ushape.train.diary import read as read_log

Annotated = Callable[..., Path]

# A line is a training: data, folder, recipe, seconds between its saves, and after how many it is killed, if it has not
# ended by then. The answer is its exit status.
FORKING = """
import os, signal, sys, time
from pathlib import Path
import torch
from ushape.recipe import Recipe, merged, read
from ushape.train import run
from ushape.train.continuation import train_on
torch.set_num_threads(1)
for line in sys.stdin:
    data, out, recipe, save_every, kill_after = line.rstrip("\\n").split("\\t")
    process = os.fork()
    if process == 0:
        run._SAVE_EVERY_SECONDS = float(save_every)
        for _ in train_on(Path(data), Path(out), merged(Recipe(), read(recipe)), device=torch.device("cpu")):
            pass
        os._exit(0)
    end = time.monotonic() + float(kill_after)
    ended, status = os.waitpid(process, os.WNOHANG)
    while not ended and time.monotonic() < end:
        time.sleep(0.005)
        ended, status = os.waitpid(process, os.WNOHANG)
    if not ended:
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Trainings:
    """Trainings in processes of their own, one after another."""

    def __init__(self) -> None:
        self._forking = subprocess.Popen(
            [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def train(self, data: Path, out: Path, recipe: Path, *, save_every: float, kill_after: float = math.inf) -> int:
        """Begin or go on, for so many seconds or to the end; the exit status, negative for a signal."""
        assert self._forking.stdin is not None and self._forking.stdout is not None
        self._forking.stdin.write(f"{data}\t{out}\t{recipe}\t{save_every}\t{kill_after}\n")
        self._forking.stdin.flush()
        return int(self._forking.stdout.readline())

    def close(self) -> None:
        self._forking.communicate()


@pytest.fixture(scope="module")
def trainings() -> Iterator[Trainings]:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    running = Trainings()
    yield running
    running.close()


def contents(run: Path) -> dict[str, Any]:
    """All that a run has come to, but for the clock, by what it is."""
    found: dict[str, Any] = {}
    for name in ("best", "last"):
        tensors, metadata = checkpoint.read_tensors(run / f"{name}.safetensors")
        about = json.loads(metadata["about"])
        for clock in ("seconds", "date", "command"):
            del about["provenance"][clock]
        found |= {f"{name} {key}": tensor for key, tensor in tensors.items()}
        found |= {f"{name} about": json.dumps(about)}
    found["log"] = [{key: cell for key, cell in row.items() if key != "seconds"} for row in read_log(run / "log.csv")]
    for state in sorted(run.rglob("state.safetensors")):
        found |= {f"state {key}": tensor for key, tensor in checkpoint.read_tensors(state)[0].items()}
    found["files"] = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """By name."""
    names = [name for name in one.keys() | other.keys() if name not in one or name not in other]
    for name in one.keys() & other.keys():
        same = torch.equal(one[name], other[name]) if isinstance(one[name], torch.Tensor) else one[name] == other[name]
        names += [] if same else [name]
    return sorted(names)


def end_as_one_that_was_not(
    trainings: Trainings, data: Path, folder: Path, recipe: Recipe, kills: int, *, save_every: float
) -> None:
    """Kill trainings of this recipe so many times, beginning anew when one has come to its end."""
    wanted, seed = folder / "wanted.toml", secrets.randbits(32)
    wanted.write_text(recipe.to_toml(), encoding="utf-8")
    begin = time.perf_counter()
    assert trainings.train(data, folder / "whole", wanted, save_every=save_every) == 0
    seconds = time.perf_counter() - begin
    whole, moments, killed, number = contents(folder / "whole"), random.Random(seed), [], 0
    while len(killed) < kills:
        status, out, number = -signal.SIGKILL, folder / f"{number}", number + 1
        seconds *= 0.9  # other work on the machine may have ended: else most would come to their end unharmed
        while status:
            after = moments.uniform(0, seconds) if len(killed) < kills else math.inf
            status = trainings.train(data, out, wanted, save_every=save_every, kill_after=after)
            told = f"seed {seed}, killed after {killed} s"
            assert status in (0, -signal.SIGKILL), f"{told}: it ended with {status}"
            killed += [round(after, 3)] if status else []
        assert differences(contents(out), whole) == [], told


def tiny(steps: int) -> Recipe:
    return Recipe(
        model=ModelRecipe("unet", {"width": 8, "depth": 2, "padding": "same", "normalisation": "batch"}),
        training=TrainingRecipe(steps=steps, output_size=16, batch=2, validations=4, precision="float32"),
    )


def test_twice_with_objects(trainings: Trainings, annotated: Annotated, tmp_path: Path):
    data = annotated(*"abc", numbered=True)
    end_as_one_that_was_not(trainings, data, tmp_path, tiny(30), kills=2, save_every=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [0.0, 0.3])  # 0: most of its time it saves
def test_twenty_times(trainings: Trainings, annotated: Annotated, tmp_path: Path, save_every: float):
    data = annotated(*"abcde", numbered=True)
    end_as_one_that_was_not(trainings, data, tmp_path, tiny(60), kills=20, save_every=save_every)


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [0.0, 0.3])
def test_twenty_times_in_stages(trainings: Trainings, annotated: Annotated, tmp_path: Path, save_every: float):
    shipped = merged(Recipe(), read("fcn-from-scratch"))
    training = {"steps": 30, "output_size": 32, "batch": 1, "validations": 2, "precision": "float32"}
    small = merged(shipped, {"model": {"options": {"width": 2}}, "training": training})
    assert len(small.stages) == 3
    end_as_one_that_was_not(trainings, annotated(*"abcde"), tmp_path, small, kills=20, save_every=save_every)
