"""Foreground probability in windows → the object map of an image of any size, in bounded memory.

    with ObjectMap(path, source.shape, rule) as found:
        for tile in predictor.tiles(source):
            found.write(tile.window, tile.probability[1])
        yield from found.find()
        for window, numbers in found.windows():
            sink.write(window, numbers)

The objects are those of `find_objects`, number for number. The image is cut into strips. Regions within a strip are
divided into objects there; those that cross between strips are joined first, and divided one by one, each in its box.
Probabilities wait in a file, beside one of the map: 0 where no object is, -k on object k, and the id of a part on what
crosses. Both files have no name: the system removes them whatever happens.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ushape.atomic import output_error
from ushape.errors import OutputError, SizeError
from ushape.geometry.tiles import Window
from ushape.images.disk_array import DiskArray
from ushape.images.sink import MaskSink, create_mask
from ushape.object_rule import ObjectRule
from ushape.predict.objects import as_probability, grown, number_in_reading_order, objects_within
from ushape.predict.regions import CrossingRegions, Region

DEFAULT_MEMORY_BYTES = 2 * 2**30

_BYTES_PER_PIXEL = {"components": 40, "probability": 110, "distance": 140}
"""Of memory for a strip or a region, by its seeds; 33, 92 and 118 were the most that noise and smooth fields took."""

_MOST_IN_UINT16 = np.iinfo(np.uint16).max
_MOST_PIXELS_OF_INT32 = 2**32 - 2  # at most every second pixel is an object: any two have a pixel of neither between


@dataclass(frozen=True)
class Progress:
    """So many rows of the image, or of the regions across strips, are through with a step."""

    step: Literal["strips", "regions", "numbers", "file"]
    done: int
    total: int


@dataclass(frozen=True)
class ObjectsWritten:
    """The file is complete and holds so many objects."""

    path: Path
    objects: int


def find_objects_streamed(
    windows: Iterable[tuple[Window, NDArray[np.floating]]],
    shape: tuple[int, int],
    rule: ObjectRule,
    path: Path,
    *,
    spacing: tuple[float, float] | None = None,
    description: str = "",
    overwrite: bool = False,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Iterator[Progress | ObjectsWritten]:
    """Probabilities of windows that partition an image → a file of its objects: uint16, or uint32 beyond 65,535.

    Raises OutputError, before any work, for a file that cannot be there, and what ObjectMap raises; then no file is.
    """

    def sink(dtype: DTypeLike) -> MaskSink:
        return create_mask(path, shape, dtype, spacing=spacing, description=description, overwrite=overwrite)

    sink(np.uint16)  # nothing is opened yet: this raises what would be raised after all the work
    with ObjectMap(path, shape, rule, memory_bytes=memory_bytes) as found:
        for window, probability in windows:
            found.write(window, probability)
        yield from found.find()
        with sink(found.dtype) as file:
            for window, numbers in found.windows():
                file.write(window, numbers)
                yield Progress("file", window.stop[0], shape[0])
    yield ObjectsWritten(path, found.objects)


class ObjectMap:
    """The objects of one image, while they are found: a context manager; `write`, then `find`, then `windows`.

    path: the file to be made of them; what waits on the disk waits in its folder. memory_bytes: what strips and
    regions may take. strip_rows: of a strip, in place of as many as the memory allows. Raises OutputError where the
    disk has no room, ImageError for values that are no probabilities, SizeError for windows that do not cover the image
    and for a region that takes too much memory.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        rule: ObjectRule,
        *,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        strip_rows: int | None = None,
    ) -> None:
        self.path, self.shape, self.rule, self.memory_bytes = path, shape, rule, memory_bytes
        self.objects = self._last_id = self._pixels_written = 0
        small = shape[0] * shape[1] <= _MOST_PIXELS_OF_INT32
        self._id_type: np.dtype[np.signedinteger] = np.dtype(np.int32 if small else np.int64)
        self._pixel_bytes = _BYTES_PER_PIXEL["components" if rule.method == "components" else rule.seeds]
        self._strip_rows = strip_rows or max(1, memory_bytes // (self._pixel_bytes * shape[1]))
        self._require_disk()

    def __enter__(self) -> Self:
        with self._failures_told(), ExitStack() as files:
            first = files.enter_context(tempfile.TemporaryFile(dir=self.path.parent, buffering=0))
            second = files.enter_context(tempfile.TemporaryFile(dir=self.path.parent, buffering=0))
            self._probability = DiskArray(first, self.shape, np.dtype(np.float32))
            self._map: DiskArray[np.signedinteger] = DiskArray(second, self.shape, self._id_type)
            self._files = files.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def write(self, window: Window, probability: NDArray[np.floating]) -> None:
        """Takes the (h, w) probabilities of a window, in any order of windows, each pixel once."""
        checked = as_probability(probability, f"The foreground probability of {self.path.name}")
        if checked.shape != window.shape or min(window.start) < 0 or not window.inside(self.shape):
            raise SizeError(
                f"Probabilities of shape {checked.shape} came for rows and columns {window.start} to {window.stop} of "
                f"{self.path.name}, which has {self.shape[0]} x {self.shape[1]} pixels. Give windows of the image."
            )
        with self._failures_told():
            self._probability.put(window, checked)
        self._pixels_written += checked.size

    def find(self) -> Iterator[Progress]:
        """Finds and counts the objects."""
        self._require_whole()
        self.objects = self._last_id = 0
        crossing = CrossingRegions(self.shape[0])
        for strip in self._strips():
            self._divide_strip(strip, crossing)
            yield Progress("strips", strip.stop[0], self.shape[0])
        regions, region_of = crossing.joined()
        self._require_memory(regions)
        for done, region in enumerate(regions, start=1):
            self._divide_region(region, region_of)
            yield Progress("regions", done, len(regions))
        self._number_of = np.zeros(self._last_id + 1, dtype=self._id_type)
        for strip in self._strips():
            self.objects = number_in_reading_order(self._grown(strip), self._number_of, self.objects)
            yield Progress("numbers", strip.stop[0], self.shape[0])

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smaller of uint16 and uint32 that holds every number; known after `find`."""
        return np.dtype(np.uint16 if self.objects <= _MOST_IN_UINT16 else np.uint32)

    def windows(self) -> Iterator[tuple[Window, NDArray[np.unsignedinteger]]]:
        """Windows that partition the image, in reading order, with their (h, w) objects 1, 2, …; after `find`."""
        for strip in self._strips():
            yield strip, self._number_of[self._grown(strip)].astype(self.dtype)

    def _strips(self) -> Iterator[Window]:
        height, width = self.shape
        for top in range(0, height, self._strip_rows):
            yield Window((top, 0), (min(top + self._strip_rows, height), width))

    def _divide_strip(self, strip: Window, crossing: CrossingRegions) -> None:
        """Writes a strip of the map: objects where regions lie within it, ids of parts where they cross its border."""
        probability = self._probability.read(strip)
        inside: NDArray[np.bool_] = probability >= np.float32(self.rule.threshold)
        ids = crossing.parts(inside, top=strip.start[0])
        free = np.zeros(inside.shape, dtype=bool)
        found = objects_within(probability, inside & (ids == 0), free, self.rule)
        self._put(strip, found, ids)

    def _divide_region(self, region: Region, region_of: NDArray[np.intp]) -> None:
        ids = self._map.read(region.box)
        inside = region_of[np.maximum(ids, 0)] == region.number
        found = objects_within(self._probability.read(region.box), inside, ids < 0, self.rule)
        self._put(region.box, found, np.where(inside, 0, ids))

    def _put(self, window: Window, found: NDArray[np.int32], rest: NDArray[np.signedinteger]) -> None:
        """Into the map: the objects found, after all that were found before, and the rest as it is."""
        new = -self._last_id - found.astype(self._id_type)
        with self._failures_told():
            self._map.put(window, np.where(found > 0, new, rest.astype(self._id_type)))
        self._last_id += int(found.max(initial=0))

    def _grown(self, strip: Window) -> NDArray[np.signedinteger]:
        """The strip's objects, by the numbers under which they were found."""
        (top, _), (bottom, width) = strip.start, strip.stop
        first, last = max(0, top - self.rule.grow_px), min(self.shape[0], bottom + self.rule.grow_px)
        around = grown(-self._map.read(Window((first, 0), (last, width))), self.rule.grow_px)
        return around[top - first : bottom - first]

    def _require_disk(self) -> None:
        needed = self.shape[0] * self.shape[1] * (4 + 2 * self._id_type.itemsize)  # and the file made of them
        with self._failures_told():
            free = shutil.disk_usage(self.path.parent).free
        if free < needed:
            raise OutputError(
                f"Finding the objects of {self.path.name} takes {needed / 2**30:.2f} GiB in {self.path.parent}, and "
                f"{free / 2**30:.2f} GiB are free. Free some space, or choose a folder on another disk."
            )

    def _require_whole(self) -> None:
        pixels = self.shape[0] * self.shape[1]
        if self._pixels_written != pixels:
            raise SizeError(
                f"{self.path.name} got probabilities for {self._pixels_written} of its {pixels} pixels. "
                "Give windows that cover the image, each pixel once."
            )

    def _require_memory(self, regions: list[Region]) -> None:
        largest = max((r.box for r in regions), key=lambda box: box.shape[0] * box.shape[1], default=Window((), ()))
        needed = self._pixel_bytes * int(np.prod(largest.shape))
        if regions and needed > self.memory_bytes:
            raise SizeError(
                f"{self.path.name} has a connected region of {' x '.join(map(str, largest.shape))} pixels, from row "
                f"{largest.start[0]} and column {largest.start[1]}. Dividing it takes {-(-needed // 2**20)} MiB of "
                f"memory, and {self.memory_bytes / 2**20:.0f} MiB are allowed. Allow more, or raise the threshold of "
                f"the rule above {self.rule.threshold:g}, so that regions come apart."
            )

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            raise output_error(self.path, error) from error
