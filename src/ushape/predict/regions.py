"""Regions of the foreground that reach a border between strips of an image, and are whole only at its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ushape.geometry.tiles import Window

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """Its number among all regions, and the smallest window that holds it."""

    number: int
    box: Window


class CrossingRegions:
    """Collects, strip after strip, the parts that reach a border between strips, and joins those that meet there."""

    def __init__(self, height: int) -> None:
        self._height, self._count = height, 0
        self._tops_and_lefts: list[NDArray[np.intp]] = []
        self._ends: list[NDArray[np.intp]] = []
        self._meetings: list[Ids] = []
        self._last_row: Ids | None = None

    def parts(self, inside: NDArray[np.bool_], top: int) -> Ids:
        """(h, W) foreground of the strip that begins at row `top` → the ids, from 1, of the parts that do; else 0.

        Strips come from top to bottom. A part is all that connects within the strip.
        """
        connected, count = ndimage.label(inside)
        crosses = np.zeros(count + 1, dtype=bool)
        if top > 0:
            crosses[connected[0]] = True
        if top + len(inside) < self._height:
            crosses[connected[-1]] = True
        crosses[0] = False
        id_of = np.where(crosses, self._count + np.cumsum(crosses), 0)
        ids: Ids = id_of[connected]
        self._note_boxes(np.where(crosses, np.cumsum(crosses), 0)[connected], top)
        if self._last_row is not None:
            meeting = (self._last_row > 0) & (ids[0] > 0)
            self._meetings.append(np.unique([self._last_row[meeting], ids[0][meeting]], axis=1))
        self._last_row = ids[-1].copy()
        self._count += int(crosses.sum())
        return ids

    def joined(self) -> tuple[list[Region], NDArray[np.intp]]:
        """All regions, what one encloses before itself; and for each id of a part the number of its region."""
        if not self._count:
            return [], np.zeros(1, dtype=np.intp)
        above, below = np.concatenate(self._meetings, axis=1)
        graph = coo_array((np.ones(len(above), dtype=bool), (above, below)), shape=(self._count + 1,) * 2)
        regions, region_of = connected_components(graph, directed=False)
        starts = np.full((regions, 2), np.iinfo(np.intp).max)
        stops = np.zeros((regions, 2), dtype=np.intp)
        np.minimum.at(starts, region_of[1:], np.concatenate(self._tops_and_lefts))
        np.maximum.at(stops, region_of[1:], np.concatenate(self._ends))
        inner_first = [n for n in np.argsort(stops[:, 0], kind="stable").tolist() if n != region_of[0]]
        return [Region(n, Window(tuple(starts[n].tolist()), tuple(stops[n].tolist()))) for n in inner_first], region_of

    def _note_boxes(self, parts: Ids, top: int) -> None:
        boxes = ndimage.find_objects(parts)
        ends = np.array([[(s.start, s.stop) for s in box] for box in boxes], dtype=np.intp).reshape(-1, 2, 2)
        ends[:, 0] += top
        self._tops_and_lefts.append(ends[..., 0])
        self._ends.append(ends[..., 1])
