"""What a worker of a cluster does: a block of an image, or a small image whole. Plain values in, plain values out.

Nothing is pickled but names and numbers: the network travels as the path of its file, with a digest by which the worker
knows that it is the one that is meant, and pixels stay on the disk that all machines share.
"""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from ushape.errors import CheckpointError, ClusterError, UshapeError
from ushape.images.source import Page, open_image
from ushape.predict.conditions import digest_of
from ushape.predict.files import Job, MaskWritten
from ushape.predict.tiled import Predictor, load
from ushape.predict.unfinished import Unfinished
from ushape.predict.where import Where, read_where

Plain = dict[str, Any]  # Any: JSON

_ONE_AT_A_TIME = Lock()  # a pass takes the memory that was allowed, and all threads of the worker
_LOADED: dict[str, Predictor] = {}


def order_for(predictor: Predictor, run: Path, *, threads: int | None = None) -> Plain:
    """What a worker has to know to predict as this predictor of a run does.

    threads: with which a worker computes; those that Dask gave it where left out.
    """
    return {
        "run": str(run.absolute()),
        "digest": digest_of(*predictor.members),
        "options": {
            "device": predictor.trained.model.device.type,
            "flips": predictor.flips,
            "precision": predictor.precision,
            "memory_bytes": predictor.memory_bytes,
            "keep_px": predictor.keep_px,
            "by_rows": predictor.by_rows,
            "engine": predictor.engines[0].name,
            "one_piece": [region.name for region in predictor.one_piece],
            "pieces_in": predictor.pieces_in,
        },
        "ushape": version("ushape"),
        "torch": torch.__version__,
        "threads": threads,
    }


def compute_block(order: Plain, page: Plain, where: Plain | None, folder: str, probability: bool, number: int) -> Plain:
    """One block of a page, into what is kept of its answer in `folder`. What went wrong, if anything did.

    where: the page of a mask that says where to predict.
    """

    def compute(predictor: Predictor) -> Plain:
        inside = _where(page, where)
        Unfinished(Path(folder), predictor, _page(page), probability=probability, where=inside).compute(number)
        return {}

    return _done(order, compute)


def predict_image(order: Plain, page: Plain, where: Plain | None, folder: str, wanted: Plain) -> Plain:
    """All files of a small image, into `folder`, and what MaskWritten tells of them; or what went wrong."""

    def compute(predictor: Predictor) -> Plain:
        inside, image = _where(page, where), _page(page)
        chosen = {image: inside} if inside else None
        *_, written = Job(predictor, [image], Path(folder), where=chosen, overwrite=True, **wanted).events()
        assert isinstance(written, MaskWritten)
        return written.to_dict()

    return _done(order, compute)


def dask_setup(_: object) -> None:
    """Called by Dask as a worker of this machine starts: Ctrl-C is for the process that leads, and ends the others."""
    with suppress(ValueError):  # where Dask runs it beside the main thread, which alone hears signals
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def plain_page(page: Page) -> Plain:
    """A page as plain values, whose path another process can open."""
    return {"path": str(page.path.absolute()), "index": page.index, "pages": page.pages}


def _page(values: Mapping[str, Any]) -> Page:
    return Page(Path(values["path"]), values["index"], values["pages"])


def _where(page: Plain, where: Plain | None) -> Where | None:
    image = _page(page)
    return read_where(_page(where), open_image(image.path, image.index).shape) if where else None


def _done(order: Plain, compute: Callable[[Predictor], Plain]) -> Plain:
    """Errors that the user can mend come back as words: not every exception survives a journey between processes."""
    with _ONE_AT_A_TIME:
        torch.set_num_threads(order["threads"] or _threads_of_worker())
        try:
            return {"done": compute(_predictor(order))}
        except UshapeError as error:
            return {"error": f"{error} (told by the worker on {platform.node()}, process {os.getpid()})"}


def _predictor(order: Plain) -> Predictor:
    """Loaded once. ClusterError where versions, CheckpointError where the network is not that of the order."""
    here = {"ushape": version("ushape"), "torch": torch.__version__}
    others = [f"{name} {here[name]} in place of {order[name]}" for name in here if here[name] != order[name]]
    if others:
        raise ClusterError(
            f"A worker has {', '.join(others)}, and would not compute the same. Install the same versions everywhere."
        )
    key = repr(order)
    if key not in _LOADED:
        predictor = load(order["run"], **order["options"])
        if digest_of(*predictor.members) != order["digest"]:
            raise CheckpointError(
                f"{order['run']} is another network for a worker than for the process that leads. Give a folder that "
                "all machines share, and do not train into it meanwhile."
            )
        _LOADED.clear()
        _LOADED[key] = predictor
    return _LOADED[key]


def _threads_of_worker() -> int:
    from distributed import get_worker

    return int(get_worker().state.nthreads)
