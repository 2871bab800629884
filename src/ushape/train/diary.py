"""Events → log.csv (one line per step, further columns at validations), and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ushape.atomic import output_error, write_whole
from ushape.errors import MissingExtra
from ushape.train.loop import Event, Stepped, Validated

COLUMNS = (
    "step",
    "seconds",
    "loss",
    "learning_rate",
    "validation_dice",
    "validation_iou",
    "validation_accuracy",
    "validation_objects",
)


class Diary:
    """Appends each event to RUN/log.csv, a line at a time, so that what is there is whole whatever happens next.

    tensorboard: also write RUN/tensorboard; MissingExtra where the package is not installed.
    """

    def __init__(self, run: Path, *, tensorboard: bool = False) -> None:
        self._path = run / "log.csv"
        self._board = _board(run / "tensorboard") if tensorboard else None

    def begin(self, step: int, validated_step: int) -> None:
        """Start the file, or keep its lines up to the step and validation from which a training is resumed."""
        rows = read(self._path) if step and self._path.exists() else []
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) <= (step if row["loss"] else validated_step))
        write_whole(self._path, text.getvalue())

    def note(self, event: Event) -> None:
        """Write one event down; OutputError where that cannot be."""
        row = _stepped(event) if isinstance(event, Stepped) else _validated(event)
        try:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        except OSError as error:
            raise output_error(self._path, error) from error
        if self._board is not None:
            for name, value in row.items():
                if value and name not in ("step", "seconds"):
                    self._board.add_scalar(name, float(value), event.step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def read(path: Path) -> Sequence[dict[str, str]]:
    """The rows of a log, empty cells as empty strings; a last line that was cut short is left out."""
    text = path.read_bytes().decode(errors="replace")
    whole = io.StringIO(text[: text.rfind("\n") + 1])
    return [row for row in csv.DictReader(whole) if None not in row.values() and row["step"].isdecimal()]


def _stepped(event: Stepped) -> dict[str, str]:
    return {
        "step": str(event.step),
        "seconds": f"{event.seconds:.3f}",
        "loss": f"{event.loss:.6g}",
        "learning_rate": f"{event.learning_rate:.6g}",
    }


def _validated(event: Validated) -> dict[str, str]:
    figures = event.scores.table.summary()
    return {
        "step": str(event.step),
        "seconds": f"{event.seconds:.3f}",
        "validation_dice": _cell(figures.foreground.dice.mean),
        "validation_iou": _cell(figures.foreground.iou.mean),
        "validation_accuracy": _cell(figures.pixel_accuracy.mean),
        "validation_objects": _cell(math.nan if event.scores.objects is None else event.scores.objects),
    }


def _cell(score: float) -> str:
    """Empty where the score is undefined."""
    return "" if math.isnan(score) else f"{score:.6g}"


def _board(folder: Path) -> Any:  # Any: TensorBoard's own class, known only where it is installed
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra('TensorBoard is not installed. Install it: pip install "ushape[tensorboard]"') from error
    return SummaryWriter(str(folder))
