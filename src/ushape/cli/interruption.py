"""Ctrl-C and the signal of a batch system, held back until the work can be left whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_ACKNOWLEDGEMENT = b"\nStopping after this step; press Ctrl-C again to stop at once.\n"


class Interruption:
    """A context in which the first signal sets `requested`; the second raises KeyboardInterrupt, as ever."""

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[signal.Signals, Any] = {}  # Any: whatever handled the signal before

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        os.write(2, _ACKNOWLEDGEMENT)  # Python's own stderr may be in the middle of a line, and cannot be re-entered


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which the signal of a batch system ends the work as Ctrl-C does."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
