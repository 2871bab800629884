"""The compiled part of minimal filtering: 6×6 tiles of a map → 36 matrix products → 4×4 tiles of the answer.

The loops over tiles are Numba's. What a loop does in its middle, on eight channels at once, is written here as LLVM's
instructions on vectors, since no compiler finds them by itself in loops over 36 places. A processor with wider or
narrower registers gets them split or joined by LLVM.

All that the compiled functions call is in this file: numba compiles a cached one anew when its own file has changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

SMALL, LARGE = math.sqrt(0.5), math.sqrt(2)
"""A parabola's worth of filters is evaluated at 0, ±SMALL, ±LARGE and infinity. Points whose products are 1 round a
quarter as much as the usual 0, ±1, ±2."""
LANES = 8  # channels in one vector
PANEL = 16  # output channels that one matrix kernel makes, for six tiles: 12 of 16 vector registers
TILE, SPAN = 4, 6  # pixels a side of a tile of the answer, and of what it looks at

_TILES = 6  # in one matrix kernel
_TERMS = 128  # products that are summed in a row; more in a row, and the sum loses digits
_GAP = 16  # floats between two planes: planes a power of two apart would share the same few places of the cache
_SMALL_FILTERS = 1 << 15  # in channels × channels: beyond, filters come from memory, and more tiles at a time pay

_FLOAT, _INT64, _INT32 = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_FUSED = ("contract",)  # a product and a sum may round once

Pixels = NDArray[np.float32]


@njit(cache=True, nogil=True)
def filter_tiles(
    above: Pixels,
    rows: Pixels,
    filters: Pixels,
    bias: Pixels,
    answer: Pixels,
    left: int,
    rectified: bool,
    first: int,
    last: int,
) -> None:
    """Writes the tiles first ≤ number < last, in reading order, of a 3×3 convolution.

    above, rows: (h, w, C) upper and lower rows of the map, below which are zeros. filters: (36, K / PANEL, C, PANEL).
    answer: (h', w', K). left: columns of zeros at the map's left; as many as are missing are at its right.
    """
    channels, made, width = rows.shape[2], answer.shape[2], rows.shape[1]
    across = (answer.shape[1] + TILE - 1) // TILE
    at_once = 24 if channels * made <= _SMALL_FILTERS else 72
    apart, made_apart = at_once * channels + _GAP, at_once * made + _GAP
    tiles, products = np.empty(36 * apart, np.float32), np.empty(36 * made_apart, np.float32)
    nothing, patch = np.zeros((width, channels), np.float32), np.zeros((SPAN, SPAN, channels), np.float32)
    spare = np.empty((TILE, TILE, made), np.float32)
    for block in range(first, last, at_once):
        number = min(at_once, last - block)
        for n in range(number):
            down, right = divmod(block + n, across)
            _take_tile(above, rows, nothing, patch, TILE * down, TILE * right - left, tiles, n * channels, apart)
        _multiply(tiles, apart, filters, products, made_apart, number)
        for n in range(number):
            down, right = divmod(block + n, across)
            _give_tile(products, n * made, made_apart, bias, answer, spare, TILE * down, TILE * right, rectified)


@njit(cache=True, nogil=True)
def _take_tile(
    above: Pixels,
    rows: Pixels,
    nothing: Pixels,
    patch: Pixels,
    top: int,
    left: int,
    tiles: Pixels,
    place: int,
    apart: int,
) -> None:
    """One tile of the map, transformed, into its place in each plane."""
    width, channels = rows.shape[1], rows.shape[2]
    target = tiles.ctypes.data + 4 * place
    if left >= 0 and left + SPAN <= width:
        shift = 4 * left * channels
        r0 = _row(above, rows, nothing, top) + shift
        r1 = _row(above, rows, nothing, top + 1) + shift
        r2 = _row(above, rows, nothing, top + 2) + shift
        r3 = _row(above, rows, nothing, top + 3) + shift
        r4 = _row(above, rows, nothing, top + 4) + shift
        r5 = _row(above, rows, nothing, top + 5) + shift
    else:
        for y in range(SPAN):
            for x in range(SPAN):
                here = 0 <= left + x < width and top + y < above.shape[0] + rows.shape[0]
                for c in range(channels):
                    if not here:
                        patch[y, x, c] = 0
                    elif top + y < above.shape[0]:
                        patch[y, x, c] = above[top + y, left + x, c]
                    else:
                        patch[y, x, c] = rows[top + y - above.shape[0], left + x, c]
        r0, step = patch.ctypes.data, 4 * SPAN * channels
        r1, r2, r3, r4, r5 = r0 + step, r0 + 2 * step, r0 + 3 * step, r0 + 4 * step, r0 + 5 * step
    for channel in range(0, channels, LANES):
        c = 4 * channel
        _transform(r0 + c, r1 + c, r2 + c, r3 + c, r4 + c, r5 + c, 4 * channels, target + c, 4 * apart)


@njit(cache=True, nogil=True)
def _row(above: Pixels, rows: Pixels, nothing: Pixels, y: int) -> int:
    """The address of a row of the map."""
    size: int = 4 * rows.shape[1] * rows.shape[2]
    if y < above.shape[0]:
        return int(above.ctypes.data + y * size)
    if y < above.shape[0] + rows.shape[0]:
        return int(rows.ctypes.data + (y - above.shape[0]) * size)
    return int(nothing.ctypes.data)


@njit(cache=True, nogil=True)
def _multiply(tiles: Pixels, apart: int, filters: Pixels, products: Pixels, made_apart: int, number: int) -> None:
    """In each of the 36 planes, (tiles, C) times (C, K). What stands behind the last tile is multiplied along."""
    planes, panels, channels, panel = filters.shape
    for plane in range(planes):
        for p in range(panels):
            weights = filters.ctypes.data + 4 * panel * channels * (plane * panels + p)
            for n in range(0, number, _TILES):
                tile = tiles.ctypes.data + 4 * (plane * apart + n * channels)
                product = products.ctypes.data + 4 * (plane * made_apart + (n * panels + p) * panel)
                for term in range(0, channels, _TERMS):
                    terms = min(_TERMS, channels - term)
                    w = weights + 4 * panel * term
                    _add_products(tile + 4 * term, 4 * channels, w, terms, product, 4 * panels * panel, term > 0)


@njit(cache=True, nogil=True)
def _give_tile(
    products: Pixels,
    place: int,
    made_apart: int,
    bias: Pixels,
    answer: Pixels,
    spare: Pixels,
    top: int,
    left: int,
    rectified: bool,
) -> None:
    """One tile of the answer, from its place in each plane; what is beyond the answer's edges is left out."""
    height, width, made = answer.shape
    source = products.ctypes.data + 4 * place
    whole = top + TILE <= height and left + TILE <= width
    target = answer.ctypes.data + 4 * made * (top * width + left) if whole else spare.ctypes.data
    step = 4 * made * (width if whole else TILE)
    for channel in range(0, made, LANES):
        c = 4 * channel
        _transform_back(source + c, 4 * made_apart, bias.ctypes.data + c, rectified, target + c, step, 4 * made)
    if not whole:
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                for c in range(made):
                    answer[top + y, left + x, c] = spare[y, x, c]


class _Writer:
    """Writes instructions on vectors of float32."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.fadd(x, y, flags=_FUSED)

    def subtract(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.fsub(x, y, flags=_FUSED)

    def times(self, factor: float, x: ir.Value) -> ir.Value:
        factor = float(np.float32(factor))
        return x if factor == 1 else self.builder.fmul(_everywhere(factor), x, flags=_FUSED)

    def multiple(self, number: int, of: ir.Value) -> ir.Value:
        return self.builder.mul(ir.Constant(_INT64, number), of)

    def offset(self, address: ir.Value, *by: ir.Value) -> ir.Value:
        for each in by:
            address = self.builder.add(address, each)
        return address

    def load(self, address: ir.Value, kind: ir.Type = _VECTOR) -> ir.Value:
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=4)

    def store(self, value: ir.Value, address: ir.Value) -> None:
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=4)

    def spread(self, scalar: ir.Value) -> ir.Value:
        """A number in all lanes."""
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        one = self.builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))


def _everywhere(number: float) -> ir.Constant:
    return ir.Constant(_VECTOR, [number] * LANES)


def _six_points(write: _Writer, d: list[ir.Value]) -> list[ir.Value]:
    """Bᵀ d of six pixels in a line: what is multiplied with a filter's values at the six points."""

    def at_zero_or_infinity(near: ir.Value, middle: ir.Value, far: ir.Value) -> ir.Value:
        outer = write.add(write.times(SMALL**2 * LARGE**2, near), far)
        return write.subtract(outer, write.times(SMALL**2 + LARGE**2, middle))

    points = [at_zero_or_infinity(d[0], d[2], d[4])]
    for point, other in ((SMALL, LARGE), (LARGE, SMALL)):
        even = write.subtract(d[4], write.times(other**2, d[2]))
        odd = write.subtract(write.times(point, d[3]), write.times(point * other**2, d[1]))
        points += [write.add(even, odd), write.subtract(even, odd)]
    return [*points, at_zero_or_infinity(d[1], d[3], d[5])]


def _four_pixels(write: _Writer, m: list[ir.Value]) -> list[ir.Value]:
    """Aᵀ m of the products at the six points: four pixels of the answer."""
    sums = [write.add(m[1], m[2]), write.add(m[3], m[4])]
    differences = [write.subtract(m[1], m[2]), write.subtract(m[3], m[4])]

    def weighted(power: int, of: list[ir.Value]) -> ir.Value:
        return write.add(write.times(SMALL**power, of[0]), write.times(LARGE**power, of[1]))

    return [
        write.add(m[0], weighted(0, sums)),
        weighted(1, differences),
        weighted(2, sums),
        write.add(weighted(3, differences), m[5]),
    ]


Along = Callable[[_Writer, list[ir.Value]], list[ir.Value]]


def _along_both_axes(write: _Writer, along: Along, square: list[list[ir.Value]]) -> list[list[ir.Value]]:
    """A square of vectors, transformed down its columns and then along its rows."""
    columns = [along(write, list(column)) for column in zip(*square, strict=True)]
    return [along(write, list(row)) for row in zip(*columns, strict=True)]


def _transform_typed(
    context: Any, r0: Any, r1: Any, r2: Any, r3: Any, r4: Any, r5: Any, step: Any, target: Any, apart: Any
) -> Any:
    """Eight channels of 6×6 pixels, whose rows begin at r0 … r5, into 36 planes; all numbers are bytes."""

    def generate(target_context: Any, builder: ir.IRBuilder, _: Any, arguments: list[ir.Value]) -> ir.Value:
        *rows, step, target, apart = arguments
        write = _Writer(builder)
        pixels = [[write.load(write.offset(row, write.multiple(x, step))) for x in range(SPAN)] for row in rows]
        transformed = _along_both_axes(write, _six_points, pixels)
        for plane, value in enumerate(value for row in transformed for value in row):
            write.store(value, write.offset(target, write.multiple(plane, apart)))
        return target_context.get_dummy_value()

    return types.void(*[types.intp] * 9), generate


def _transform_back_typed(
    context: Any, source: Any, apart: Any, bias: Any, rectified: Any, target: Any, row: Any, step: Any
) -> Any:
    """36 planes of products → eight channels of 4×4 pixels, with their bias, below zero cut off if so wished."""

    def generate(target_context: Any, builder: ir.IRBuilder, _: Any, arguments: list[ir.Value]) -> ir.Value:
        source, apart, bias, rectified, target, row, step = arguments
        write = _Writer(builder)
        planes = [
            [write.load(write.offset(source, write.multiple(SPAN * y + x, apart))) for x in range(SPAN)]
            for y in range(SPAN)
        ]
        shift, floor = write.load(bias), builder.select(rectified, _everywhere(0.0), _everywhere(-math.inf))
        for y, line in enumerate(_along_both_axes(write, _four_pixels, planes)):
            for x, value in enumerate(line):
                value = write.add(value, shift)
                value = builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
                write.store(value, write.offset(target, write.multiple(y, row), write.multiple(x, step)))
        return target_context.get_dummy_value()

    signature = types.void(*[types.intp] * 3, types.boolean, *[types.intp] * 3)
    return signature, generate


def _add_products_typed(
    context: Any, tiles: Any, step: Any, weights: Any, terms: Any, product: Any, row: Any, more: Any
) -> Any:
    """(6, terms) times (terms, PANEL), written, or, where there are products already, added to them."""

    def generate(target_context: Any, builder: ir.IRBuilder, _: Any, arguments: list[ir.Value]) -> ir.Value:
        tiles, step, weights, terms, product, row, more = arguments
        write, vectors = _Writer(builder), range(PANEL // LANES)
        places = [
            [write.offset(product, write.multiple(n, row), ir.Constant(_INT64, 4 * LANES * v)) for v in vectors]
            for n in range(_TILES)
        ]
        sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in vectors] for _ in range(_TILES)]  # type: ignore[no-untyped-call]
        with builder.if_else(more) as (some, none):
            for branch, begun in ((some, True), (none, False)):
                with branch:
                    for n in range(_TILES):
                        for v in vectors:
                            builder.store(write.load(places[n][v]) if begun else _everywhere(0.0), sums[n][v])
        lines = [write.offset(tiles, write.multiple(n, step)) for n in range(_TILES)]
        with cgutils.for_range(builder, terms) as loop:
            at = write.offset(weights, write.multiple(4 * PANEL, loop.index))
            panel = [write.load(write.offset(at, ir.Constant(_INT64, 4 * LANES * v))) for v in vectors]
            for n in range(_TILES):
                value = write.spread(write.load(write.offset(lines[n], write.multiple(4, loop.index)), _FLOAT))
                for v in vectors:
                    product_of = builder.fmul(value, panel[v], flags=_FUSED)
                    builder.store(write.add(builder.load(sums[n][v]), product_of), sums[n][v])
        for n in range(_TILES):
            for v in vectors:
                write.store(builder.load(sums[n][v]), places[n][v])
        return target_context.get_dummy_value()

    signature = types.void(*[types.intp] * 6, types.boolean)
    return signature, generate


# What Numba calls them with is typed by itself, and lacks the context.
_transform: Any = intrinsic(_transform_typed)
_transform_back: Any = intrinsic(_transform_back_typed)
_add_products: Any = intrinsic(_add_products_typed)
