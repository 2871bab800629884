"""A prediction under way: a bar with the pace and the time left. Ctrl-C leaves what is complete, to be gone on with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import typer

from ushape.cli.bar import Bar
from ushape.cli.interruption import terminable
from ushape.cli.tables import say_mended, say_proof, say_trust
from ushape.cli.text import say, say_facts, say_json
from ushape.data.pair import counted
from ushape.errors import RecipeError, UshapeError
from ushape.images.source import Page, open_image
from ushape.predict.cluster import Sharing, local_workers, workers_at
from ushape.predict.conditions import conditions_of, digest_of_files
from ushape.predict.files import Job, MaskWritten, TileDone
from ushape.predict.ledger import Ledger
from ushape.predict.preview import Previews
from ushape.predict.proof import prove
from ushape.predict.tiled import Predictor
from ushape.predict.where import where_in
from ushape.predict.worker import order_for

_LISTED = 20  # results, by name; of more, only how many


class Prediction:
    """One job: `begin` it, `follow` it to its end, `say` what came of it. wanted: options of Job."""

    def __init__(self, predictor: Predictor, run: Path, pages: list[Page], out: Path, **wanted: Any) -> None:
        self._predictor, self._run, self._pages, self._out, self._wanted = predictor, run, pages, out, wanted
        self._written: list[MaskWritten] = []

    def begin(self, *, where: Path | None, overwrite: bool, resume: bool) -> None:
        """Everything is checked, and nothing computed."""
        if resume and overwrite:
            raise RecipeError("--resume goes on with what is there, and --overwrite begins anew; give one of the two.")
        inside = where_in(where, self._pages) if where else None
        conditions = conditions_of(self._predictor, where=digest_of_files(where) if where else None, **self._wanted)
        ledger = Ledger(self._out, conditions, resume=resume)
        self._job = Job(
            self._predictor, self._pages, self._out, where=inside, overwrite=overwrite, ledger=ledger, **self._wanted
        )

    def preview(self) -> None:
        """A rough answer for each large image; where it lies is said."""
        for each in Previews(self._predictor, self._pages, self._out, overwrite=self._job.replaces).events():
            paths = ", ".join(map(str, each.paths))
            say(f"{paths}: {each.page.name} made {each.factor:.3g} times smaller, to see roughly", err=True)

    def follow(self, command: str, *, workers: int | None, dask: str | None) -> None:
        """To the end, alone or with others; where it ends before, how the command goes on is said."""
        alone_or_shared = self._crew(workers, dask)
        try:
            with terminable(), alone_or_shared as crew, Bar("predicting") as bar:
                course = _Course(bar, pages=len(self._pages))
                for event in self._job.events(crew):
                    course.show(event)
                    if isinstance(event, MaskWritten):
                        self._written.append(event)
        except (UshapeError, KeyboardInterrupt):
            files = counted(len(self._job.files), "file")
            if self._written:
                say(f"{self._out} holds the masks of {len(self._written)} of {files}, complete.", err=True)
            words = [word for word in command.split(" ") if word not in ("--overwrite", "--resume")]
            say(f"Go on with: {' '.join([*words, '--resume'])}", err=True)
            raise

    def say(self, *, json: bool) -> None:
        """What was written, and what is not known of it; exit status 1 where images are damaged."""
        written, together = self._written, [*self._job.formats.together.values()]
        if json:
            say_json({"run": str(self._run), "masks": [w.to_dict() for w in written], "together": together})
        else:
            before = sum(each.before for each in written)
            if before:
                say(f"{counted(before, 'file')} complete before, {len(written) - before} now", err=True)
            say_facts([(str(w.page.path), ", ".join(map(str, w.paths))) for w in written[:_LISTED]])
            if len(written) > _LISTED:
                say(f"  … and {len(written) - _LISTED} more in {self._out}")
            say_facts([("all images", ", ".join(map(str, together)))] if together else [])
            say_trust(written)
            say_mended(written)
            for each in written[:_LISTED]:
                if each.skipped is not None:
                    say(f"  {each.page.path.name}: {each.skipped:.1%} lie outside of --where and were not computed")
        if damage := [fault for w in written for fault in w.damage]:
            unknown = self._predictor.trained.labels.unknown.tolist()
            value = "no object" if self._job.rule else f"the value {unknown}"
            say("\n".join(damage), err=True)
            say(f"Around these places nothing is known; the masks have {value} there, the rest is complete.", err=True)
            raise typer.Exit(1)

    def _crew(self, workers: int | None, dask: str | None) -> AbstractContextManager[Sharing | None]:
        if workers and dask:
            raise RecipeError("--workers starts workers here, and --dask names others; give one of the two.")
        if not workers and not dask:
            return nullcontext()
        return self._sharing(local_workers(workers) if workers else workers_at(dask or ""))

    @contextmanager
    def _sharing(self, clients: AbstractContextManager[Any]) -> Iterator[Sharing]:
        with clients as client:
            yield Sharing(client, order_for(self._predictor, self._run), self._wanted)


def prove_on(predictor: Predictor, pages: Sequence[Page], *, json: bool) -> None:
    """Show that tiles do not change the answer; exit status 1 where they do."""
    for page in pages:
        say(str(page), err=json)
        agree = [say_proof(compared, err=json) for compared in prove(predictor, open_image(page.path, page.index))]
        if not all(agree):
            raise typer.Exit(1)


class _Course:
    """How much of all pages is done, and how fast it goes."""

    def __init__(self, bar: Bar, *, pages: int) -> None:
        self._bar, self._pages, self._begun = bar, pages, time.monotonic()
        self._share: dict[Page, float] = {}
        self._done: dict[Page, int] = {}
        self._units = 0

    def show(self, event: TileDone | MaskWritten) -> None:
        if isinstance(event, MaskWritten):
            self._share |= dict.fromkeys(_pages_of(event), 1.0)
            return
        before = self._done.get(event.page, event.done - 1)
        self._done[event.page] = event.done
        self._units += max(0, event.done - before)
        self._share[event.page] = event.done / event.total
        pace = self._units / max(time.monotonic() - self._begun, 1e-9)
        words = event.doing or f"{event.done} of {event.total} {event.unit}, {pace:.3g} {event.unit}/s"
        self._bar.show(min(1.0, sum(self._share.values()) / self._pages), f"{event.page.name}  {words}")


def _pages_of(written: MaskWritten) -> list[Page]:
    return [Page(written.page.path, index, written.page.pages) for index in range(written.page.pages)]
