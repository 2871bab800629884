"""The answer for one page while it is made: its blocks on the disk, as a Zarr group, each whole or not there.

    unfinished = Unfinished(folder, predictor, page, probability=False)
    unfinished.begin(made_by)                                     unless it was begun before
    for number in unfinished.missing(): unfinished.compute(number)        by anyone, anywhere, in any order
    for part in unfinished.parts(): …                             the whole answer, block after block

The arrays are `classes`, (H, W) uint8, and, where more than the classes is wanted, `probability`, (K, H, W) float32.
A chunk belongs to one block alone, so that no two processes write one, and ends with a checksum. A block is there once
its record `blocks/NUMBER.json` is, which is written last.
"""

from __future__ import annotations

import errno
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ushape.atomic import output_error, write_whole
from ushape.errors import OutputError
from ushape.geometry.tiles import Window
from ushape.images.damage import DamagedPiece
from ushape.images.source import Page, open_image
from ushape.images.zarr import zarr_library
from ushape.labels import IGNORED
from ushape.metrics.trust import ExpectedDice
from ushape.predict.answer import readable_by
from ushape.predict.blocks import Blocks
from ushape.predict.predicted import Predicted, no_pixels
from ushape.predict.tiled import Predictor
from ushape.predict.where import Where

if TYPE_CHECKING:
    import zarr

_MADE_BY = "made_by"
_UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError)  # Zarr's and its codecs', of damaged chunks


@dataclass(frozen=True)
class BlockDone:
    """What is known of a block beside its pixels."""

    expected: ExpectedDice
    damage: tuple[DamagedPiece, ...]

    def to_dict(self) -> dict[str, Any]:  # Any: JSON
        return {
            "expected_dice": [sums.tolist() for sums in vars(self.expected).values()],
            "damage": [[piece.kind, piece.window.start, piece.window.stop, piece.words] for piece in self.damage],
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any], path: Path) -> BlockDone:
        damage = [
            DamagedPiece(path, kind, Window(tuple(start), tuple(stop)), ValueError(words))
            for kind, start, stop, words in values["damage"]
        ]
        return BlockDone(ExpectedDice(*(np.array(sums) for sums in values["expected_dice"])), tuple(damage))


class Unfinished:
    """What there is in `folder` of the answer for a page; `begin` makes it where there is nothing yet.

    probability: whether they are kept beside the classes. It works as an Answer (answer.py) once no block is missing.
    """

    def __init__(
        self, folder: Path, predictor: Predictor, page: Page, *, probability: bool, where: Where | None = None
    ) -> None:
        self.folder, self.page, self._predictor = folder, page, predictor
        self.source = open_image(page.path, page.index)
        self.blocks: Blocks = predictor.blocks(self.source.shape)
        self.keeps_probability = probability
        self._there: set[int] | None = None
        self.readable = readable_by(predictor, self.source, where)
        self.expected = ExpectedDice.none(predictor.trained.labels.classes)

    def begin(self, made_by: Mapping[str, Any]) -> None:
        """An answer of which no block is there; what stood in the folder goes."""
        self.discard()
        height, width = self.source.shape
        classes = self._predictor.trained.labels.classes
        with self._failures_told():
            group = zarr_library().create_group(self.folder, attributes={_MADE_BY: dict(made_by)})
            self._create(group, "classes", (height, width), self.blocks.chunk, np.dtype(np.uint8))
            if self.keeps_probability:
                shape, chunk = (classes, height, width), (classes, *self.blocks.chunk)
                self._create(group, "probability", shape, chunk, np.dtype(np.float32))
            (self.folder / "blocks").mkdir()

    def made_by(self) -> Mapping[str, Any] | None:
        """What it was begun with; None where it was not."""
        try:
            found: Mapping[str, Any] = dict(zarr_library().open_group(self.folder, mode="r").attrs)[_MADE_BY]
        except _UNREADABLE:
            return None
        return found if (self.folder / "blocks").is_dir() else None

    @property
    def there(self) -> set[int]:
        """The blocks that are there, as far as this process knows: those that were when it first looked, and since."""
        if self._there is None:
            records = (self.folder / "blocks").glob("*.json")
            self._there = {int(record.stem) for record in records if record.stem.isdecimal()}
        return self._there

    def missing(self) -> list[int]:
        """The blocks that are not there."""
        return [number for number in range(len(self.blocks)) if number not in self.there]

    def drop_torn(self) -> None:
        """Forget blocks whose chunks cannot be read back, as a crash of the machine may leave the newest of them."""
        for number in sorted(self.there):
            try:
                self._done(number)
                for window in self._chunks(number):
                    for name, array in self._arrays().items():
                        if not self._chunk_file(name, window).is_file():
                            raise OSError("a chunk is missing")
                        self._read(array, window)
            except _UNREADABLE:
                self._record(number).unlink()
                self.there.discard(number)

    def compute(self, number: int) -> None:
        """One block, which is there when this ends. OutputError where it cannot be written."""
        labels, where = self._predictor.trained.labels, self.readable.where
        readable = readable_by(self._predictor, self.source, where)
        expected = ExpectedDice.none(labels.classes)
        with self._failures_told():
            chunks = _Chunks(self._arrays(), self._chunks(number))
            for window, pixels, probability in self._predictor.block(readable.source, self.blocks, number, where):
                classes = labels.decide(probability)
                chunks.put(window, {"classes": classes, "probability": probability})
                tile = readable.cleared(Predicted(window, pixels, probability, classes, done=0, total=0))
                expected += ExpectedDice.of(tile.classes, tile.probability)
            done = BlockDone(expected, readable.pieces)
            write_whole(self._record(number), json.dumps(done.to_dict()) + "\n")
        self.there.add(number)

    def parts(self, *, pixels: bool = False) -> Iterator[Predicted]:
        """The whole answer, in parts, once no block is missing.

        Where pixels are not asked for, or probabilities not kept, they are 0, and take no memory.
        """
        done = [self._done(number) for number in range(len(self.blocks))]
        for piece in (piece for block in done for piece in block.damage):
            self.readable.know(piece)
        sums = ExpectedDice.none(self._predictor.trained.labels.classes)
        self.expected = sum((block.expected for block in done), sums)
        stored = map(self.readable.cleared, self._stored(pixels))
        for part in self._predictor.mended(stored, self.source.shape):
            tile = self.readable.cleared(part)
            if self.keeps_probability:
                sums += ExpectedDice.of(tile.classes, tile.probability)
            yield tile
        if self.keeps_probability:
            self.expected = sums

    def discard(self) -> None:
        """Nothing is left of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._there = None

    def _stored(self, pixels: bool) -> Iterator[Predicted]:
        arrays, total = self._arrays(), self.blocks.total
        for number in range(len(self.blocks)):
            for window in self._chunks(number):
                classes = self._read(arrays["classes"], window)
                unknown = np.broadcast_to(np.float32(0), (self._predictor.trained.labels.classes, *window.shape))
                probability = self._read(arrays["probability"], window) if self.keeps_probability else unknown
                shown = self.readable.source.read(window) if pixels else no_pixels(self.source, window)
                yield Predicted(window, shown, probability, classes, total, total, self.blocks.unit)

    def _chunks(self, number: int) -> Iterator[Window]:
        """Those of a block."""
        (top, left), (bottom, right) = self.blocks.window(number).start, self.blocks.window(number).stop
        rows = self.blocks.chunk[0]
        for first in range(top, bottom, rows):
            yield Window((first, left), (min(first + rows, bottom), right))

    def _chunk_file(self, name: str, window: Window) -> Path:
        place = [start // size for start, size in zip(window.start, self.blocks.chunk, strict=True)]
        return self.folder.joinpath(name, "c", *(["0"] if name == "probability" else []), *map(str, place))

    def _done(self, number: int) -> BlockDone:
        return BlockDone.from_dict(json.loads(self._record(number).read_text(encoding="utf-8")), self.page.path)

    def _record(self, number: int) -> Path:
        return self.folder / "blocks" / f"{number}.json"

    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        group = zarr_library().open_group(self.folder, mode="r+")
        return {name: group[name] for name in ("classes", "probability")[: 1 + self.keeps_probability]}

    @staticmethod
    def _create(
        group: zarr.Group, name: str, shape: tuple[int, ...], chunk: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        codecs = zarr_library().codecs
        compressors = [codecs.ZstdCodec(level=1), codecs.Crc32cCodec()]
        nothing = math.nan if dtype.kind == "f" else IGNORED  # no answer: Zarr writes no chunk that holds it alone
        group.create_array(name, shape=shape, chunks=chunk, dtype=dtype, fill_value=nothing, compressors=compressors)

    @staticmethod
    def _read(array: zarr.Array[Any], window: Window) -> NDArray[Any]:
        y, x = window.slices
        return np.asarray(array[..., y, x])

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise output_error(self.folder, error) from error
            raise OutputError(
                f"The disk is full: {self.folder} could not be written. {len(self.there)} of the {len(self.blocks)} "
                f"blocks of {self.page} are there, whole. Free some space and go on with --resume."
            ) from error


class _Chunks:
    """Answers of one block, gathered until a chunk of the arrays is whole, and then written at once."""

    def __init__(self, arrays: Mapping[str, zarr.Array[Any]], windows: Iterable[Window]) -> None:
        self._arrays, self._missing = arrays, {window: math.prod(window.shape) for window in windows}
        self._gathered: dict[Window, dict[str, NDArray[Any]]] = {}

    def put(self, part: Window, answers: Mapping[str, NDArray[Any]]) -> None:
        """(…, h, w) values for a part of the block, by the names of their arrays; those of no array are left out."""
        for window in [window for window in self._missing if _shared(part, window) is not None]:
            shared = _shared(part, window)
            assert shared is not None
            (y, x), (of_y, of_x) = _within(shared, window), _within(shared, part)
            buffers = self._gathered.setdefault(window, {})
            for name in self._arrays:
                values = answers[name]
                if name not in buffers:
                    buffers[name] = np.empty((*values.shape[:-2], *window.shape), dtype=values.dtype)
                buffers[name][..., y, x] = values[..., of_y, of_x]
            self._missing[window] -= math.prod(shared.shape)
            if not self._missing[window]:
                self._write(window)

    def _write(self, window: Window) -> None:
        y, x = window.slices
        for name, values in self._gathered.pop(window).items():
            self._arrays[name][..., y, x] = values
        del self._missing[window]


def _shared(one: Window, other: Window) -> Window | None:
    """The pixels that lie in both."""
    start = tuple(map(max, one.start, other.start))
    stop = tuple(map(min, one.stop, other.stop))
    return Window(start, stop) if all(a < b for a, b in zip(start, stop, strict=True)) else None


def _within(part: Window, window: Window) -> tuple[slice, ...]:
    """Where a part of a window lies in it."""
    return tuple(slice(a - o, b - o) for a, b, o in zip(part.start, part.stop, window.start, strict=True))
