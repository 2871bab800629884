"""A slice with the contours of two readers over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ushape.cardiac.contours import outlines
from ushape.cardiac.ventricle import Mask, Ventricle
from ushape.predict.overlay import displayed

MANUAL_COLOUR = (255, 208, 48)
PREDICTED_COLOUR = (48, 196, 255)
LEGEND = [("manual", MANUAL_COLOUR), ("predicted", PREDICTED_COLOUR)]

_SIDE_PX = 320  # of a picture, about
_FINER = 2  # lines are drawn so many times finer, and shrunk
_MANUAL_WIDTH, _PREDICTED_WIDTH = 7, 3  # the thinner above, so that both show where they agree
_AROUND = 0.4  # of the ventricle's side, what is shown around it
_LEAST_PX = 48

Window = tuple[slice, slice]


def window_around(ventricles: Sequence[Ventricle]) -> Window:
    """The part of every slice that shows all of the ventricles, and some of what is around them."""
    seen = np.logical_or.reduce([ventricle.outer.any(axis=0) for ventricle in ventricles])
    sides = []
    for axis, length in enumerate(seen.shape):
        inside = np.flatnonzero(seen.any(axis=1 - axis))
        first, last = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, length)
        around = max(int(_AROUND * (last - first)), (_LEAST_PX - (last - first)) // 2)
        sides.append(slice(max(0, first - around), min(length, last + around)))
    return sides[0], sides[1]


def contour_picture(
    pixels: NDArray[np.generic], manual: Mapping[str, Mask], predicted: Mapping[str, Mask], window: Window
) -> NDArray[np.uint8]:
    """(H, W, C) pixels of a slice, (H, W) masks of its regions by each reader → (h, w, 3), enlarged."""
    seen = Image.fromarray(displayed(pixels[window]))  # its own contrast: bright fat lies outside
    times = max(1, round(_SIDE_PX / max(seen.size))) * _FINER
    canvas = seen.resize((seen.width * times, seen.height * times), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    top, left = window[0].start, window[1].start
    for masks, colour, width in (
        (manual, MANUAL_COLOUR, _MANUAL_WIDTH),
        (predicted, PREDICTED_COLOUR, _PREDICTED_WIDTH),
    ):
        for outline in (line for mask in masks.values() for line in outlines(mask)):
            places = (outline - (top, left) + 0.5) * times  # pixels are at whole numbers, their corners half way
            draw.line([(float(x), float(y)) for y, x in places], colour, width, joint="curve")
    small = canvas.resize((canvas.width // _FINER, canvas.height // _FINER), Image.Resampling.BOX)
    return np.asarray(small)
