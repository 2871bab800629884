"""One training of the contest: run by its method's script, scored by ours from the mask files it wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from contest.data_sets import IGNORED, known
from contest.methods import METHODS, Method, python_of

from ushape.errors import UshapeError
from ushape.evaluate import Evaluation, evaluate_masks

_PATIENCE = 3600.0  # seconds beyond ten times the training's own: for planning, prediction and what hangs


class CellError(Exception):
    """A training that failed, in one line."""


@dataclass(frozen=True)
class Cell:
    """What is trained: on which data, for how many minutes, by which method, from which seed."""

    data: str
    minutes: float
    method: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.data} {self.minutes:g} {self.method} {self.seed}"


def planned(data: Sequence[str], minutes: Sequence[float], seeds: dict[str, int]) -> Iterator[Cell]:
    """Every cell; seed by seed, so that an early end leaves a whole comparison, and methods in turn.

    seeds: how many each method has.
    """
    for seed in range(max(seeds.values())):
        for length in minutes:
            for name in data:
                yield from (Cell(name, length, method, seed) for method, count in seeds.items() if seed < count)


def outcome(cell: Cell, folder: Path, threads: int) -> dict[str, object]:
    """Train, predict and score; CellError where the script fails or its masks cannot be scored."""
    method, data, place = METHODS[cell.method], folder / "data" / cell.data, folder / "cell"
    python = python_of(method.environment, folder / "venvs")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    begin = time.perf_counter()
    log = folder / "logs" / f"{cell.key.replace(' ', '-')}.log"
    log.parent.mkdir(exist_ok=True)
    _run(_command(cell, method, python, folder, threads), log, threads, 600 * cell.minutes + _PATIENCE)
    whole = time.perf_counter() - begin
    report = json.loads((place / "report.json").read_text())
    try:
        found = scores(cell.data, place / "masks", data / "test")
    except UshapeError as error:
        raise CellError(str(error).splitlines()[0]) from error
    shutil.rmtree(place)
    preparation = whole - report["training_s"] - report["prediction_s"]
    return {**cell.__dict__, **found, **report, "preparation_s": preparation}


def _command(cell: Cell, method: Method, python: Path, folder: Path, threads: int) -> list[str]:
    place = folder / "cell"
    options = {
        "--data": folder / "data" / cell.data,
        "--masks": place / "masks",
        "--work": folder / "work" / cell.method / cell.data,
        "--report": place / "report.json",
        "--seconds": 60 * cell.minutes,
        "--seed": cell.seed,
        "--threads": threads,
    }
    varied = [part for name, value in method.options.items() for part in ("--set", f"{name}={value}")]
    script = Path(__file__).with_name(method.script)
    return [str(python), str(script), *(str(part) for pair in options.items() for part in pair), *varied]


def _run(command: list[str], log: Path, threads: int, patience_s: float) -> None:
    """All processes of the script on as many processors as it may have threads, where the system can say so."""
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))

    def hold() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | counts,
            preexec_fn=hold,
            start_new_session=True,
        )
        try:
            status = process.wait(patience_s)
        except subprocess.TimeoutExpired as error:
            raise CellError(f"no end after {patience_s / 60:.0f} minutes; see {log}") from error
        finally:
            if process.poll() is None:  # also on Ctrl-C
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status:
        lines = log.read_text(errors="replace").strip().splitlines() or ["nothing said"]
        raise CellError(f"exit status {status}: {lines[-1]}; see {log}")


def scores(name: str, masks: Path, truth: Path) -> dict[str, object]:
    """Mean Dice and IoU of the foreground over the test images, and the set's second score."""
    data = known(name)
    score = data.score if data else None
    families = [score[0]] if score and score[0] != "objects" else []
    semantic = evaluate_masks(masks, truth / "masks", ignored_values=[IGNORED], families=families, task="semantic")
    foreground = semantic.table.summary().foreground
    found: dict[str, object] = {"dice": foreground.dice.mean, "iou": foreground.iou.mean}
    if score and score[0] == "objects":
        objects = evaluate_masks(masks, truth / "objects", families=["objects"], task="instances")
        found["second"] = _figure(objects, score[1])
    elif score:
        found["second"] = _figure(semantic, score[1])
    return found


def _figure(evaluation: Evaluation, name: str) -> float:
    """The folder's own figure, as the field reports it."""
    return evaluation.measures[0].figures()[name].pooled
