"""A prediction shared by worker processes, on this machine or on many: Dask deals out blocks, and again those whose
worker died. This process alone says what is to be done, and puts blocks together to files.

    with local_workers(4) as client, or workers_at("tcp://…:8786") as client:
        job.events(Sharing(client, order_for(predictor, run), wanted))
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias

from ushape.errors import ClusterError, MissingExtra, UshapeError
from ushape.images.source import Page
from ushape.predict.files import File, Job, MaskWritten, TileDone
from ushape.predict.unfinished import Unfinished
from ushape.predict.worker import Plain, compute_block, plain_page, predict_image

Client: TypeAlias = Any  # Dask's own, as Future is: known only where it is installed, and without types
Future: TypeAlias = Any

_IN_HAND = 2  # tasks for each worker: one that it computes, and one that it need not wait for
_SECONDS_BETWEEN_LOOKS = 2.0  # at whether the scheduler is still there
_GO_ON = "What is complete is kept: go on with --resume."
_GONE = f"The connection to Dask's scheduler is lost. {_GO_ON}"
_LOST = (OSError, CancelledError, TimeoutError)  # what Dask raises where there is no scheduler any more


class Sharing:
    """The crew of a job whose work is dealt out to Dask's workers (Crew in files.py).

    order: of worker.py. wanted: the options of the job, as plain values.
    """

    def __init__(self, client: Client, order: Plain, wanted: Mapping[str, Any]) -> None:
        self._client, self._order, self._wanted = client, order, dict(wanted)
        self._ended = Event()
        self._complete: list[tuple[File, Mapping[Page, Unfinished]]] = []  # yet to be put together

    def events(self, job: Job, files: Sequence[File]) -> Iterator[TileDone | MaskWritten]:
        """Image after image, as they are ready; while one is put together, workers go on with the next."""
        running: dict[Future, _Task] = {}
        coming = self._tasks(job, files)
        at_once = not job.formats.together  # what holds all images has them in their order
        try:
            while self._deal(running, coming) or (self._complete and at_once):
                while self._complete and at_once:
                    yield from job.assemble(*self._complete.pop(0))
                for future in self._ready(list(running)):
                    task, done = running.pop(future), self._result(future)
                    self._note(task)
                    yield job.progress(task.of.page, task.of) if task.of else self._taken(job, task, done)
            for file, kept in sorted(self._complete, key=lambda complete: files.index(complete[0])):
                yield from job.assemble(file, kept)
        finally:
            if self._client.status == "running":
                with suppress(*_LOST):
                    self._client.cancel(list(running), force=True)

    def _tasks(self, job: Job, files: Sequence[File]) -> Iterator[_Task]:
        """All that is to be done: a small image is one task, any other one for each of its blocks."""
        assert job.ledger is not None, "what workers compute is kept where the ledger says"
        for file in files:
            if job.at_once(file):
                job.begin(file)
                place = job.ledger.files_of(file[0].path)
                about = plain_page(file[0]), _plain_where(job, file[0]), str(place.absolute())
                yield _Task(file, self._submitted(predict_image, *about, self._wanted), place)
                continue
            kept = job.begin(file, in_blocks=True)
            missing = [(unfinished, number) for unfinished in kept.values() for number in unfinished.missing()]
            if not missing:  # all were there before
                self._complete.append((file, kept))
            for of, number in missing:
                about = plain_page(of.page), _plain_where(job, of.page), str(of.folder.absolute())
                future = self._submitted(compute_block, *about, of.keeps_probability, number)
                yield _Task(file, future, None, of, number, kept)

    def _submitted(self, function: Callable[..., Plain], *values: object) -> Future:
        future = self._client.submit(function, self._order, *values, pure=False)
        future.add_done_callback(lambda _: self._ended.set())
        return future

    def _deal(self, running: dict[Future, _Task], coming: Iterator[_Task]) -> bool:
        """Give workers as much as they need to be busy; whether anything is under way."""
        self._require_connection()
        with _lost_connection_told():
            room = _IN_HAND * max(1, len(self._client.nthreads())) - len(running)
            running.update((task.future, task) for task in islice(coming, max(0, room)))
        return bool(running)

    def _note(self, task: _Task) -> None:
        """Whose last block is there is ready to be put together."""
        if task.of is not None:
            task.of.there.add(task.number)
            if all(len(each.there) == len(each.blocks) for each in task.kept.values()):
                self._complete.append((task.file, task.kept))

    @staticmethod
    def _taken(job: Job, task: _Task, done: Mapping[str, Any]) -> MaskWritten:
        assert task.place is not None, "a whole image has a place for its files"
        job.take(task.file, task.place)
        return job.told(task.file, done)

    def _ready(self, futures: Sequence[Future]) -> list[Future]:
        """Those that have ended, or lost their scheduler; waits until there is one."""
        while futures:
            self._ended.clear()
            ready = [future for future in futures if future.status != "pending"]
            if ready:
                return ready
            self._require_connection()
            self._ended.wait(_SECONDS_BETWEEN_LOOKS)
        return []

    def _require_connection(self) -> None:
        if self._client.status != "running" or self._client.scheduler is None:
            raise ClusterError(_GONE)

    def _result(self, future: Future) -> Plain:
        with _lost_connection_told():
            if future.status == "finished":
                answer: Plain = future.result()
                if "error" in answer:
                    raise ClusterError(f"{answer['error']} {_GO_ON}")
                done: Plain = answer["done"]
                return done
            error = future.exception() if future.status == "error" else None
        if error is None:
            raise ClusterError(_GONE)
        if type(error).__name__ == "KilledWorker":
            raise ClusterError(
                "Worker after worker died on the same piece of work, perhaps for want of memory. Allow each less with "
                f"--memory, or have fewer on a machine. {_GO_ON}"
            ) from error
        if isinstance(error, ImportError):
            raise ClusterError(f"{_not_installed(str(error))} {_GO_ON}") from error
        raise error


@dataclass(frozen=True)
class _Task:
    """A piece of work that is under way: a block `of` a page, or a whole image, whose files go to this place."""

    file: File
    future: Future
    place: Path | None
    of: Unfinished | None = None
    number: int = 0
    kept: Mapping[Page, Unfinished] = field(default_factory=dict)


@contextmanager
def local_workers(number: int, *, threads: int | None = None) -> Iterator[Client]:
    """So many worker processes on this machine, which share its cores, until the context is left."""
    distributed = _library()
    cluster = distributed.LocalCluster(
        n_workers=number,
        threads_per_worker=threads or max(1, _cores() // number),
        memory_limit=0,  # what a pass takes is planned; Dask would pause workers for memory that PyTorch keeps
        dashboard_address="127.0.0.1:0",  # without one, Dask serves its pages to all of the network
        preload=["ushape.predict.worker"],
        silence_logs=logging.CRITICAL,
    )
    with cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(number)
        yield client


@contextmanager
def workers_at(address: str) -> Iterator[Client]:
    """The workers of a scheduler, which go on when the context is left.

    ClusterError where there is none, or where its workers have no ushape, or another version of it or of PyTorch.
    """
    distributed = _library()
    try:
        client = distributed.Client(address)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"There is no Dask scheduler at {address}: {error}. Give the address that `dask scheduler` says when it "
            "starts, such as tcp://10.0.0.1:8786."
        ) from error
    with client:
        _require_same_versions(client)
        yield client


def _require_same_versions(client: Client) -> None:
    """Of the workers that are there now; later ones are asked when they get work."""
    faults = []
    for package in ("ushape", "torch"):
        for worker, found in client.run(importlib.metadata.version, package, on_error="return").items():
            if isinstance(found, Exception):
                faults.append(f"{worker}: {_not_installed(package)}")
            elif found != importlib.metadata.version(package):
                faults.append(f"{worker} has {package} {found}, and here is {importlib.metadata.version(package)}.")
    if faults:
        raise ClusterError(
            "These workers would not compute the same:\n"
            + "\n".join(faults)
            + "\nInstall the same versions everywhere."
        )


def _plain_where(job: Job, page: Page) -> Plain | None:
    where = job.where.get(page)
    return plain_page(where.page) if where and where.page else None


@contextmanager
def _lost_connection_told() -> Iterator[None]:
    try:
        yield
    except UshapeError:
        raise
    except Exception as error:
        if isinstance(error, _LOST) or type(error).__name__ == "ClosedClientError":  # a class of Dask's
            raise ClusterError(_GONE) from error
        raise


def _not_installed(what: str) -> str:
    return f"A worker cannot do this work, since something is not installed there ({what})."


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _library() -> Any:  # Any: Dask's own module, known only where it is installed
    try:
        import distributed
    except ImportError as error:
        raise MissingExtra(
            'Sharing a prediction needs Dask. Install it, on all machines: pip install "ushape[cluster]"'
        ) from error
    return distributed
