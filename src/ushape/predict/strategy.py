"""How a network goes over images: small ones at once, larger ones row by row in bands, or in tiles, as volumes are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ushape.geometry.footprint import Footprint
from ushape.models.segmenter import Segmenter
from ushape.predict.bands import BandPlanner, Bands
from ushape.predict.blocks import Blocks, blocks_of_bands, blocks_of_tiles
from ushape.predict.tile_memory import (
    bytes_per_pixel,
    largest_keep,
    largest_keep_of_image,
    largest_keep_of_volume,
)

_AT_ONCE = 1 << 20  # pixels of input: a smaller image is one tile, which is as quick and needs no plan


class Strategy:
    """What is chosen for one network, or several of its kind, and a memory.

    networks: how many go over an image side by side. by_rows: whether rows may be pushed through what computes them,
    and are no part of a mean over flips and turns. keep_px: tiles whose kept part has this side, whatever the memory.
    RecipeError where the memory is too little for any image.
    """

    def __init__(
        self,
        model: Segmenter,
        memory_bytes: int,
        *,
        networks: int = 1,
        by_rows: bool = True,
        keep_px: int | None = None,
    ) -> None:
        self.footprints: Sequence[Footprint] = model.footprints
        self._model, self._memory_bytes, self._networks = model, memory_bytes, networks
        self._keep: tuple[int, ...] | None = None if keep_px is None else (keep_px,) * model.axes
        self._planner: BandPlanner | None = None
        if self._keep is not None or model.axes != 2:
            return
        on_processor = model.device.type in ("cpu", "meta")  # tiles keep a GPU busy
        if by_rows and on_processor and BandPlanner.of(model).possible:
            self._planner = BandPlanner.of(model)
            self._planner.require(memory_bytes // networks)
        elif not model.footprint.sees_edges:
            self._keep = largest_keep(model, self.footprints, memory_bytes)

    def bands(self, shape: tuple[int, ...]) -> Bands | None:
        """Of an image of this shape; None where it is cut into tiles."""
        if self._planner is None or self._fits_at_once(shape):
            return None
        height, width = shape
        return self._planner.plan((height, width), self._memory_bytes // self._networks)

    def blocks(self, shape: tuple[int, ...]) -> Blocks:
        """How an image of this shape is divided; one block where it goes over it at once."""
        bands = self.bands(shape)
        if bands is not None:
            height, width = shape
            return blocks_of_bands((height, width), self.footprints[0], bands)
        return blocks_of_tiles(shape, self.footprints, self.keep(shape))

    def keep(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The kept size of tiles, per axis. RecipeError where even the smallest is too large for the memory."""
        if self._keep is not None:
            return self._keep
        if self._planner is not None:
            return tuple(-(-n // f.multiple) * f.multiple for f, n in zip(self.footprints, shape, strict=True))
        if len(shape) != 2:
            return largest_keep_of_volume(self._model, self._memory_bytes, shape)
        height, width = shape
        return largest_keep_of_image(self._model, self.footprints, self._memory_bytes, (height, width))

    def _fits_at_once(self, shape: tuple[int, ...]) -> bool:
        pixels = math.prod(f.input_for(n) for f, n in zip(self.footprints, shape, strict=True))
        return pixels <= _AT_ONCE and pixels * bytes_per_pixel(self._model) <= self._memory_bytes
