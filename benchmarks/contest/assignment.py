"""What each training script of the contest is told, and what it reports; for environments without ushape.

assignment = Assignment.from_arguments()        folders, seconds, seed, threads, options
clock = Clock(assignment.seconds)               begins with the first step of the optimiser
while clock.progress < 1: …                     a schedule that follows it ends where the seconds end
assignment.report(clock, steps, …)              after the masks are written
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_VALIDATION_SHARE = 0.2  # of the seconds so far; validations that would exceed it wait


@dataclass(frozen=True)
class Assignment:
    """data: a folder with train/images, train/masks and test/images, PNG files of equal stems; masks hold class
    numbers below `classes`. masks: where the answers go. work: kept between trainings on these data.
    """

    data: Path
    classes: int
    channels: int
    seconds: float
    seed: int
    threads: int
    masks: Path
    work: Path
    reported: Path
    options: dict[str, str]

    @staticmethod
    def from_arguments() -> Assignment:
        parser = argparse.ArgumentParser()
        for name in ("data", "masks", "work", "report"):
            parser.add_argument(f"--{name}", type=Path, required=True)
        parser.add_argument("--seconds", type=float, required=True)
        parser.add_argument("--seed", type=int, required=True)
        parser.add_argument("--threads", type=int, required=True)
        parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="what a method can vary")
        given = parser.parse_args()
        about = json.loads((given.data / "about.json").read_text())
        given.masks.mkdir(parents=True, exist_ok=True)
        given.work.mkdir(parents=True, exist_ok=True)
        return Assignment(
            data=given.data.resolve(),
            classes=len(about["classes"]),
            channels=about["channels"],
            seconds=given.seconds,
            seed=given.seed,
            threads=given.threads,
            masks=given.masks.resolve(),
            work=given.work.resolve(),
            reported=given.report.resolve(),
            options=dict(each.split("=", 1) for each in given.set),
        )

    @property
    def names(self) -> list[str]:
        """Of the images to train on."""
        return sorted(path.stem for path in (self.data / "train" / "images").glob("*.png"))

    def image(self, part: str, name: str) -> np.ndarray:
        """(H, W, C) pixels, 8 or 16 bits, of an image of "train" or "test"."""
        pixels = np.asarray(Image.open(self.data / part / "images" / f"{name}.png"))
        return pixels if pixels.ndim == 3 else pixels[..., None]

    def mask(self, name: str) -> np.ndarray:
        """(H, W) class numbers of an image to train on."""
        return np.asarray(Image.open(self.data / "train" / "masks" / f"{name}.png")).astype(np.uint8)

    def tests(self) -> Iterator[tuple[str, np.ndarray]]:
        """Name and (H, W, C) pixels of each image to segment."""
        for path in sorted((self.data / "test" / "images").glob("*.png")):
            yield path.stem, self.image("test", path.stem)

    def write(self, name: str, classes: np.ndarray) -> None:
        """(H, W) class numbers → the mask file of a test image."""
        Image.fromarray(classes.astype(np.uint8)).save(self.masks / f"{name}.png")

    def report(self, clock: Clock, *, steps: int, patches: float, notes: Sequence[str] = ()) -> None:
        """Written last, after all masks. patches: of a step, counted in squares of 256 px. notes: for the table."""
        after_training = time.perf_counter() - clock.ended
        said = {"training_s": clock.ended - clock.begun, "prediction_s": after_training, "steps": steps}
        self.reported.write_text(json.dumps(said | {"patches": patches, "notes": list(notes)}))


class Clock:
    """The seconds of a training: what is validated meanwhile counts, and is kept back for a last validation."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.begun, self.ended = seconds, time.perf_counter(), 0.0
        self._validating, self._longest = 0.0, 0.0

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.begun

    @property
    def progress(self) -> float:
        """0 … 1: the share of the seconds, less those of a validation as it took longest."""
        return min(1.0, self.elapsed / max(1.0, self.seconds - self._longest))

    @property
    def may_validate(self) -> bool:
        """Whether validations took little of the time so far."""
        return self._validating <= _VALIDATION_SHARE * self.elapsed

    @contextmanager
    def validation(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        taken = time.perf_counter() - begin
        self._validating += taken
        self._longest = max(self._longest, taken)

    def end(self) -> None:
        """The training is over; what follows is prediction."""
        self.ended = time.perf_counter()
