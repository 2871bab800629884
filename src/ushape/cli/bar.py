"""How far a command has come: a bar in a terminal, a line now and then elsewhere. Always on the standard error."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

_SECONDS_BETWEEN_LINES = 30.0


class Bar:
    """A context in which `show` says how far we are and `note` leaves a line."""

    def __init__(self, title: str, *, seconds_between_lines: float = _SECONDS_BETWEEN_LINES) -> None:
        self._title, self._between = title, seconds_between_lines
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        self._progress = Progress(
            *columns, TextColumn("{task.fields[words]}", markup=False), console=self._console, transient=True
        )
        self._task = self._progress.add_task(title, total=1.0, words="")
        self._first: tuple[float, float] | None = None
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._console.is_terminal:  # elsewhere it would print an empty line
            self._progress.stop()

    def show(self, fraction: float, words: str) -> None:
        """fraction: 0 … 1 of the work; words: what is worth knowing meanwhile."""
        now = time.monotonic()
        self._first = self._first or (now, fraction)
        begun, before = self._first
        if fraction - before > 0 and fraction < 1:
            words += f"  {clock((now - begun) * (1 - fraction) / (fraction - before))} left"
        if self._console.is_terminal:
            self._progress.update(self._task, completed=fraction, words=words)
        elif now - self._said >= self._between:
            self.note(f"{self._title} {fraction:.0%}  {words}")

    def note(self, line: str) -> None:
        """A line that stays, above the bar."""
        self._said = time.monotonic()
        self._console.print(line)


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, or hours, minutes and seconds.

    >>> clock(75), clock(3600)
    ('1:15', '1:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
