"""A prediction under way: a bar with the pace and the time left. Ctrl-C leaves what is complete, to be gone on with."""

from __future__ import annotations

import time

from ushape.cli.bar import Bar
from ushape.cli.interruption import terminable
from ushape.cli.text import say
from ushape.data.pair import counted
from ushape.errors import UshapeError
from ushape.images.source import Page
from ushape.predict.files import Job, MaskWritten, TileDone


def follow(job: Job, resume: str) -> list[MaskWritten]:
    """Every mask; what is there already, and how to `resume`, is said when it ends before its end."""
    written: list[MaskWritten] = []
    try:
        with Bar("predicting") as bar, terminable():
            course = _Course(bar, pages=sum(map(len, job.files)))
            for event in job.events():
                if isinstance(event, MaskWritten):
                    written.append(event)
                course.show(event)
    except (UshapeError, KeyboardInterrupt):
        if written:
            say(
                f"{job.out} holds the masks of {len(written)} of {counted(len(job.files), 'file')}, complete.", err=True
            )
        say(f"Go on with: {resume}", err=True)
        raise
    return written


class _Course:
    """How much of all pages is done, and how fast it goes."""

    def __init__(self, bar: Bar, *, pages: int) -> None:
        self._bar, self._pages, self._begun = bar, pages, time.monotonic()
        self._share: dict[Page, float] = {}
        self._done: dict[Page, int] = {}
        self._units = 0

    def show(self, event: TileDone | MaskWritten) -> None:
        if isinstance(event, MaskWritten):
            if event.before:
                self._share |= dict.fromkeys(_pages_of(event), 1.0)
            return
        before = self._done.get(event.page)
        self._done[event.page] = event.done
        self._units += max(0, event.done - before) if before is not None else 1
        self._share[event.page] = event.done / event.total
        pace = self._units / max(time.monotonic() - self._begun, 1e-9)
        words = event.doing or f"{event.done} of {event.total} {event.unit}, {pace:.3g} {event.unit}/s"
        self._bar.show(sum(self._share.values()) / self._pages, f"{event.page.name}  {words}")


def _pages_of(written: MaskWritten) -> list[Page]:
    return [Page(written.page.path, index, written.page.pages) for index in range(written.page.pages)]
