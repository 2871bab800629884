"""The surroundings of a pixel, or voxel, one box per patch, for a `Warp` to sample."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType

import torch
from torch import Tensor

from ushape.data.augment import Warp
from ushape.geometry.tiles import mirrored


def boxes(planes: Sequence[Tensor], centres: Sequence[tuple[int, ...]], warp: Warp) -> Tensor:
    """(…, H, W) of each example → (N, …, 2·half + 1, 2·half + 1) around its centre, mirrored outside the image; of
    volumes, D comes before H.

    centres: (y, x) of a pixel of each image. Only what the warp reads is filled; beyond, nothing is promised.
    """
    around = [(half, min(reach + 1, half)) for reach, half in zip(warp.reaches, warp.halves, strict=True)]
    read = [slice(half - reach, half + reach + 1) for half, reach in around]
    leading = planes[0].shape[: -warp.axes]
    result = planes[0].new_empty(len(planes), *leading, *(2 * half + 1 for half, _ in around))
    for box, plane, centre in zip(result, planes, centres, strict=True):
        _fill(box[_last(read)], plane, centre)
    return result


def _fill(box: Tensor, plane: Tensor, centre: tuple[int, ...]) -> None:
    """Makes a box of odd sides what lies around the pixel: copied where there is image, mirrored from there."""
    axes = len(centre)
    spans = [
        _Span(pixel - side // 2, side, size)
        for pixel, side, size in zip(centre, box.shape[-axes:], plane.shape[-axes:], strict=True)
    ]
    box[_last([span.inside for span in spans])] = plane[_last([span.shown for span in spans])]
    for axis in range(axes - 1, -1, -1):  # columns, slow to gather, first and in few rows
        band = box[_last([*(span.inside for span in spans[:axis]), *(slice(None) for _ in spans[axis:])])]
        spans[axis].mirror(band, axis - axes)


def _last(places: Sequence[slice]) -> tuple[EllipsisType | slice, ...]:
    """The index of places along the last axes."""
    return (..., *places)


class _Span:
    """Where a box lies along an axis of an image: from pixel `start`, which may be negative, over `side` pixels."""

    def __init__(self, start: int, side: int, size: int) -> None:
        self._start, self._side, self._size = start, side, size
        self.shown = slice(max(start, 0), min(start + side, size))
        self.inside = slice(self.shown.start - start, self.shown.stop - start)

    def mirror(self, box: Tensor, axis: int) -> None:
        """Fills the box outside the image from its part inside, which holds all that is wanted: the centre is there."""
        if self.inside == slice(0, self._side):
            return
        source = torch.from_numpy(mirrored(self._start, self._start + self._side, self._size) - self._start)
        source = source.to(box.device)
        for first, last in ((0, self.inside.start), (self.inside.stop, self._side)):
            if first < last:
                box.narrow(axis, first, last - first).copy_(box.index_select(axis, source[first:last]))
