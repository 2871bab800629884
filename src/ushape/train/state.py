"""The state of a training on disk: written while the training goes on, the newest one beside the one before it.

RUN/state.safetensors           the newest
RUN/state-before.safetensors    the one before, for when the newest is damaged
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ushape.atomic import replacing
from ushape.checkpoint import put_tensors, read_tensors
from ushape.errors import CheckpointError

NEWEST, BEFORE = "state.safetensors", "state-before.safetensors"
FORMAT = "ushape state 1"

State = tuple[dict[str, Tensor], dict[str, str]]  # tensors and metadata


@dataclass(frozen=True)
class WentBack:
    """The newest state was missing or damaged: the training goes on from the one before, which is of this step."""

    step: int


class States:
    """The two states in a run's folder. A write that failed is told, as OutputError, by the next call of any method."""

    def __init__(self, folder: Path) -> None:
        self._newest, self._before = folder / NEWEST, folder / BEFORE
        self._newest_is_whole = False
        self._copies: dict[str, Tensor] = {}
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._write: Future[None] | None = None

    def load(self) -> State:
        """The newest state that is whole; CheckpointError where none is."""
        try:
            found = _whole(self._newest)
        except CheckpointError as error:
            try:
                found = _whole(self._before)
            except CheckpointError:
                raise error from None
            return found
        self._newest_is_whole = True
        return found

    @property
    def went_back(self) -> bool:
        """Whether what was loaded, or is on disk, is the state before the newest."""
        return not self._newest_is_whole and self._before.exists()

    @property
    def writing(self) -> bool:
        """Whether a write is under way."""
        return self._write is not None and not self._write.done()

    def save(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Copy a state, and write the copy while the training goes on; a write under way is waited for."""
        self.finish()
        for name, tensor in tensors.items():
            copy = self._copies.get(name)
            if copy is None or copy.shape != tensor.shape:
                self._copies[name] = tensor.detach().to("cpu", copy=True)
            else:
                copy.copy_(tensor)  # into memory that is there already, which is several times as fast
        copies = {name: self._copies[name] for name in tensors}
        self._write = self._thread.submit(self._put, copies, dict(metadata))

    def save_now(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Write a state before anything else; OutputError where this write, or one under way, fails.

        No thread is asked: an iterator that is given up may be closed while Python is tidying up, at any place.
        """
        self.finish()
        self._put(tensors, metadata)

    def check(self) -> None:
        """OutputError where the last write has failed."""
        if self._write is not None and self._write.done():
            self.finish()

    def finish(self) -> None:
        """Wait until what was saved is on disk; OutputError where that failed."""
        write, self._write = self._write, None
        if write is not None:
            write.result()

    def settle(self) -> None:
        """Wait until nothing is being written, be it a success or not."""
        write, self._write = self._write, None
        if write is not None:
            write.exception()

    def _put(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        about = {**metadata, "format": FORMAT, "checksum": _checksum(whole)}
        with replacing(self._newest) as temporary:
            put_tensors(temporary, whole, about)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # before the newest one makes way
            if self._newest_is_whole:
                os.replace(self._newest, self._before)
        self._newest_is_whole = True


def is_resumable(folder: Path) -> bool:
    """Whether there is a state in a folder, whole or not."""
    return (folder / NEWEST).exists() or (folder / BEFORE).exists()


def _whole(path: Path) -> State:
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a state that this version of ushape can go on from ({FORMAT!r} is missing from its "
            "metadata). Resume with the version that wrote it, or start anew with --overwrite."
        )
    if metadata.get("checksum") != _checksum(tensors):
        raise CheckpointError(
            f"{path} is damaged: its checksum is not that of its content. Start the training anew with --overwrite."
        )
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of names and bytes, in the order of the names; the lengths alone do not show blocks that a crash left empty."""
    value = 0
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"
