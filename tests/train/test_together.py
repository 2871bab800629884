"""Trainings by several processes, as torchrun starts them: real processes, two at a time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ushape import checkpoint
from ushape.errors import RecipeError
from ushape.process_group import ALONE, ProcessGroup
from ushape.recipe import ModelRecipe, Recipe, TrainingRecipe
from ushape.train.diary import read as read_log
from ushape.train.session import train

Annotated = Callable[..., Path]
TWO_PROCESSES = Path(__file__).with_name("two_processes.py")
QUICK = {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """With all that looks at a whole batch, and an optimiser that does not make differences of rounding large."""
    options = {"width": 4, "depth": 2, "padding": "same", "normalisation": "batch", "dropout": 0.5}
    training = TrainingRecipe(
        steps=6, output_size=32, batch=4, validations=2, precision="float32", optimiser="sgd", learning_rate=0.01
    )
    path = tmp_path / "wanted.toml"
    path.write_text(Recipe(model=ModelRecipe("unet", options), training=training).to_toml(), encoding="utf-8")
    return path


class Two:
    """Two processes of one command, the leader first."""

    def __init__(self, *words: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "ushape", *map(str, words)],
                env={**os.environ, **QUICK, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]

    def ended(self) -> list[tuple[int, str, str]]:
        """Exit status, standard output and standard error of each."""
        told = [process.communicate(timeout=300) for process in self.processes]
        return [(p.returncode, out, err) for p, (out, err) in zip(self.processes, told, strict=True)]


@pytest.fixture
def two() -> Iterator[Callable[..., Two]]:
    """Starts two processes of a command; none outlives the test."""
    started: list[Two] = []

    def start(*words: object) -> Two:
        started.append(Two(*words))
        return started[-1]

    yield start
    for process in (process for two in started for process in two.processes):
        process.kill()
        process.wait()


def once(*words: object) -> None:
    subprocess.run([sys.executable, *map(str, words)], env={**os.environ, **QUICK}, check=True, capture_output=True)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(run / "last.safetensors")[0]


def losses(run: Path) -> list[float]:
    return [float(row["loss"]) for row in read_log(run / "log.csv") if row["loss"]]


def wait_for_step(run: Path, process: subprocess.Popen[str], step: int) -> None:
    end = time.monotonic() + 120
    while not (run / "log.csv").exists() or len(losses(run)) < step:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def test_layers_losses_and_gradients_are_those_of_one_process(tmp_path: Path):
    once("-m", "torch.distributed.run", "--nproc-per-node", 2, TWO_PROCESSES, tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == 20
    assert {name: apart for name, apart in found.items() if apart > 2e-5} == {}


def test_the_training_is_that_of_one_process(two, recipe: Path, annotated: Annotated, tmp_path: Path):
    data, one, both = annotated(*"abcde"), tmp_path / "one", tmp_path / "both"
    ended = two("train", data, "--out", both, "--recipe", recipe).ended()
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert ended[1][1:] == ("", "")  # who does not lead is silent
    train(data, one, recipe=recipe, device="cpu")
    assert losses(both) == pytest.approx(losses(one), rel=1e-4) and len(losses(one)) == 6
    for name, wanted in weights(one).items():
        torch.testing.assert_close(weights(both)[name], wanted, rtol=1e-3, atol=1e-4, msg=name)
    made = {path.name for path in one.iterdir()} | {"report.html"}  # which the command line adds
    assert {path.name for path in both.iterdir()} == made


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_when_one_dies_all_end_and_nothing_is_lost(two, recipe, annotated: Annotated, tmp_path: Path, lost: int):
    data, run = annotated(*"abcde"), tmp_path / "run"
    begun = two("train", data, "--out", run, "--recipe", recipe, "--steps", 100_000)
    wait_for_step(run, begun.processes[0], 3)
    begun.processes[lost].kill()
    ended = begun.ended()
    assert ended[lost][0] == -signal.SIGKILL
    status, _, told = ended[1 - lost]
    assert status == 2 and "Another process of this training ended" in told and "Traceback" not in told
    gone_on = two("train", data, "--out", run, "--resume", "--steps", 5).ended()
    assert [status for status, _, _ in gone_on] == [0, 0], gone_on


@pytest.mark.slow
def test_an_interrupted_training_goes_on(two, recipe: Path, annotated: Annotated, tmp_path: Path):
    data, run = annotated(*"abcde"), tmp_path / "run"
    begun = two("train", data, "--out", run, "--recipe", recipe, "--steps", 100_000)
    wait_for_step(run, begun.processes[0], 3)
    for process in begun.processes:  # as a terminal sends it
        process.send_signal(signal.SIGINT)
    (status, _, told), others = begun.ended()
    assert status == 130 and "nothing is lost" in told and others == (0, "", "")
    steps = len(losses(run))
    train(data, run, resume=True, steps=steps + 2, device="cpu")  # as many processes as there are now: one
    assert len(losses(run)) == steps + 2


@pytest.mark.slow
def test_stages(two, annotated: Annotated, tmp_path: Path):
    data, both = annotated(*"abcde"), tmp_path / "both"
    ended = two(
        "train", data, "--out", both, "--recipe", "fcn-from-scratch", "--steps", 6, "--width", 2, "--seed", 3
    ).ended()
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert len(losses(both)) == 6


def test_what_cannot_be_shared_is_refused_before_anything_is_written(two, recipe, annotated: Annotated, tmp_path: Path):
    recipe.write_text(recipe.read_text().replace("batch = 4", "batch = 3"), encoding="utf-8")
    (status, _, told), others = two("train", annotated(*"ab"), "--out", tmp_path / "run", "--recipe", recipe).ended()
    assert status == 2 and "2 processes cannot share batches of 3 patches alike" in told
    assert others == (0, "", "") and not (tmp_path / "run").exists()


def test_who_is_alone_shares_with_nobody():
    batch = torch.rand(3, 2)
    assert ALONE.leads and ALONE.share(batch) is batch and ALONE.total(batch) is batch
    assert ALONE.agree(3.5) == 3.5 and ALONE.tell(b"word") == b"word"
    ALONE.dismiss()
    assert torch.equal(ProcessGroup(rank=1, size=3).share(batch), batch[1:2])
    with pytest.raises(RecipeError, match="3 processes cannot share batches of 4"):
        ProcessGroup(size=3).require_shares(4)
