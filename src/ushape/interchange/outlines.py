"""Object map → exact outlines: polygons along the edges of pixels, which fill exactly the pixels of each object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ushape.errors import ImageError

LARGEST_NUMBER = 2**32 - 1
"""The largest number that an object may have: the largest of a 32-bit mask file."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """One connected piece: rings of (n, 2) corners (y, x); pixel (y, x) reaches from corner (y, x) to (y+1, x+1).

    Every corner is a turn, and the last joins the first. `outer` runs clockwise on the screen, where y points down, and
    holes the other way; in the numbers (x, y) that is the positive sense, which GeoJSON asks for (RFC 7946, 3.1.6). No
    ring meets itself; two rings may touch in corners.
    """

    outer: NDArray[np.int32]
    holes: tuple[NDArray[np.int32], ...] = ()

    @property
    def rings(self) -> tuple[NDArray[np.int32], ...]:
        return self.outer, *self.holes

    @property
    def area_px(self) -> int:
        """How many pixels it fills, by the shoelace formula: holes run the other way and count off."""
        return sum(_signed_area(ring) for ring in self.rings)


def outlines(objects: NDArray[np.integer]) -> Iterator[tuple[int, list[Polygon]]]:
    """(H, W) object map → (number, its pieces) of each object, in the order of the numbers.

    Pixels that share an edge are one piece; pixels that share only a corner are two, whose polygons touch there. Raises
    ImageError for what is no object map.

    >>> [(number, pieces[0].outer.tolist()) for number, pieces in outlines(np.array([[0, 7]]))]
    [(7, [[0, 1], [0, 2], [1, 2], [1, 1]])]
    """
    if fault := fault_of(objects):
        raise ImageError(f"No outlines can be drawn of {fault}")
    return _gathered(np.ascontiguousarray(objects, dtype=np.uint32))


def fault_of(objects: NDArray[np.generic]) -> str:
    """Why an array is no object map, and what to do; empty where it is one."""
    if objects.ndim != 2 or not np.issubdtype(objects.dtype, np.integer):
        return (
            f"an array of {objects.dtype} with shape {objects.shape}; an object map holds whole numbers and has the "
            "shape (height, width). Number the objects first, as skimage.measure.label does."
        )
    if objects.size and (objects.min() < 0 or objects.max() > LARGEST_NUMBER):
        return (
            f"an array with values from {objects.min()} to {objects.max()}; objects have numbers from 1 to "
            f"{LARGEST_NUMBER}, and 0 is no object. Number them anew."
        )
    return ""


def _gathered(objects: NDArray[np.uint32]) -> Iterator[tuple[int, list[Polygon]]]:
    pieces = _pieces(objects)
    corners: NDArray[np.int32]
    corners, ends, owners = _trace(pieces, _count_corners(pieces))
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    numbers = objects[tuple(corners[starts].T)]  # a ring starts at the upper left of one of its object's pixels

    def ring(index: np.intp) -> NDArray[np.int32]:
        return corners[starts[index] : ends[index]]

    order = np.lexsort((owners, numbers))  # stable: a piece's outer ring was met before its holes, and stays first
    for number, of_object in groupby(order, key=numbers.__getitem__):
        found = []
        for _, of_piece in groupby(of_object, key=owners.__getitem__):
            outer, *holes = map(ring, of_piece)
            found.append(Polygon(outer, tuple(holes)))
        yield int(number), found


@njit(cache=True, nogil=True)
def _pieces(objects):  # type: ignore[no-untyped-def]
    """(H, W) object map → (H + 2, W + 2) int32: pixels joined by edges share a number; 0 elsewhere and in the frame."""
    height, width = objects.shape
    pieces = np.zeros((height + 2, width + 2), np.int32)
    parent = np.zeros(height * width + 1, np.int32)  # every pixel may be a piece
    count = 0
    for y in range(height):
        for x in range(width):
            number = objects[y, x]
            if number == 0:
                continue
            above = pieces[y, x + 1] if y > 0 and objects[y - 1, x] == number else 0
            left = pieces[y + 1, x] if x > 0 and objects[y, x - 1] == number else 0
            if above and left:
                first, second = _root(parent, above), _root(parent, left)
                parent[max(first, second)] = min(first, second)
            elif not above and not left:
                count += 1
                parent[count] = above = count
            pieces[y + 1, x + 1] = max(above, left)
    for piece in range(1, count + 1):  # parents come first, so that each is final when it is looked up
        parent[piece] = parent[parent[piece]]
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            pieces[y, x] = parent[pieces[y, x]]
    return pieces


@njit(cache=True, nogil=True)
def _root(parent, piece):  # type: ignore[no-untyped-def]
    while parent[piece] != piece:
        parent[piece] = parent[parent[piece]]
        piece = parent[piece]
    return piece


@njit(cache=True, nogil=True)
def _count_corners(pieces):  # type: ignore[no-untyped-def]
    """How many corners all rings have: a pixel has one where both neighbours differ, or both agree around another."""
    height, width = pieces.shape
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            piece = pieces[y, x]
            if piece == 0:
                continue
            for dy in (-1, 1):
                for dx in (-1, 1):
                    vertical, horizontal = pieces[y + dy, x] == piece, pieces[y, x + dx] == piece
                    if vertical == horizontal and not (vertical and pieces[y + dy, x + dx] == piece):
                        count += 1
    return count


@njit(cache=True, nogil=True)
def _trace(pieces, count):  # type: ignore[no-untyped-def]
    """Framed pieces with `count` corners → corners (count, 2) ring after ring, the end of each ring, and its piece.

    Walks with the piece on the right. Where two of its pixels meet in a corner, it turns left, from one to the other:
    within a piece they are joined elsewhere, so that the ring closes around what they enclose and never meets itself.
    """
    height, width = pieces.shape
    corners = np.empty((count, 2), np.int32)
    ends = np.empty(count // 4, np.int64)
    owners = np.empty(count // 4, np.int32)
    walked = np.zeros((height, width), np.bool_)  # upper edges of pixels: every ring has one
    filled = rings = 0
    for top in range(1, height - 1):
        for start in range(1, width - 1):
            piece = pieces[top, start]
            if piece == 0 or pieces[top - 1, start] == piece or walked[top, start]:
                continue
            first = filled
            y, x, dy, dx = top, start, 0, 1
            while filled == first or y != top or x != start:
                corners[filled, 0], corners[filled, 1] = y - 1, x - 1  # without the frame
                filled += 1
                turn = 0
                while turn == 0:
                    if dx == 1:
                        walked[y, x] = True
                    y, x = y + dy, x + dx
                    if pieces[y + (dy - dx - 1) // 2, x + (dy + dx - 1) // 2] == piece:  # ahead on the left
                        turn = -1
                    elif pieces[y + (dy + dx - 1) // 2, x + (dx - dy - 1) // 2] != piece:  # ahead on the right
                        turn = 1
                dy, dx = turn * dx, -turn * dy
            ends[rings] = filled
            owners[rings] = piece
            rings += 1
    return corners, ends[:rings], owners[:rings]


def _signed_area(ring: NDArray[np.int32]) -> int:
    y, x = ring.T.astype(np.int64)
    return int(x @ np.roll(y, -1) - y @ np.roll(x, -1)) // 2
