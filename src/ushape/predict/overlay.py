"""Mask over image, for eyes: nothing here is measured, and nothing measured may come from here.

The image is stretched to be seen, every foreground class is tinted so lightly that the pixels beneath stay readable,
and its outline is drawn inside it in the full colour. Where the truth is given too, its outline lies beneath that of
the prediction: white shows only where the two part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ushape.errors import ImageError, SizeError
from ushape.labels import IGNORED, Labels

TRUTH_COLOUR = (255, 255, 255)
"""Of the truth's outline; no class colour of ours is white."""

_SEEN_PERCENTILES = (0.5, 99.5)
_LOW_CONTRAST = 128  # grey levels between the two percentiles; below, an 8-bit image is stretched like any other
_TINT = 0.2  # share of the class colour inside an outline
_PIXELS_PER_LINE_WIDTH = 512  # so that lines keep their look when images of any size are shown at one size
_SHADE = 0.5  # of the line along the inside of a white one, without which it is lost on white nuclei
_STRIPES = (0.35, 0.6)  # what is left of the light of an ignored pixel, in one stripe and the next


def displayed(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(H, W, C) of any range → (H, W, 3) for the screen.

    One channel, or the first of two, becomes grey; three are red, green and blue, and so are the first three of more.
    The 0.5 and 99.5 percentiles become black and white, but for 8-bit images that span half their range between them:
    those are shown as they are. Three channels share one stretch, which keeps their hue; the first three of more,
    which are no photograph, have one each. NaN is black.

    >>> displayed(np.array([[[0.0], [0.5], [2.0]]]))[0, :, 0].tolist()
    [0, 63, 255]
    """
    if pixels.ndim != 3 or not pixels.shape[2]:
        raise SizeError(f"Pixels of shape {pixels.shape} cannot be shown; give (height, width, channels).")
    channels = pixels.shape[2]
    if channels < 3:
        return np.repeat(_stretched(pixels[:, :, :1]), 3, axis=2)
    if channels == 3:
        return _stretched(pixels)
    return np.concatenate([_stretched(pixels[:, :, c : c + 1]) for c in range(3)], axis=2)


def overlay(
    pixels: NDArray[np.generic],
    classes: NDArray[np.uint8],
    labels: Labels,
    *,
    truth: NDArray[np.uint8] | None = None,
    enlarge: int = 1,
) -> NDArray[np.uint8]:
    """(H, W, C) pixels under their (H, W) class map → (H, W, 3): classes tinted and outlined, ignored pixels striped.

    truth: another class map, outlined in white beneath the outlines of `classes`; what it ignores is striped too.
    enlarge: canvas pixels along the side of an image pixel, so that lines over a small image are finer than its pixels.
    """
    _must_fit("mask", classes, pixels, labels)
    canvas = _enlarged(displayed(pixels), enlarge).astype(np.float32)
    classes = _enlarged(classes, enlarge)
    line_px = max(1, round(max(classes.shape) / _PIXELS_PER_LINE_WIDTH))
    ignored = classes == IGNORED
    for number in labels.foreground:
        _paint(canvas, labels.colour(number), _TINT * (classes == number))
    if truth is not None:
        _must_fit("truth", truth, pixels, labels)
        truth = _enlarged(truth, enlarge)
        ignored |= truth == IGNORED
        depths = [_depth(truth, number) for number in labels.foreground]
        for depth in depths:
            _paint(canvas, (0, 0, 0), _SHADE * _line(depth - line_px, line_px))
        for depth in depths:
            _paint(canvas, TRUTH_COLOUR, _line(depth, line_px))
    for number in labels.foreground:
        _paint(canvas, labels.colour(number), _line(_depth(classes, number), line_px))
    _stripe(canvas, ignored, stripe_px=4 * line_px)
    return canvas.round().astype(np.uint8)


def legend(labels: Labels, *, truth: bool = False) -> list[tuple[str, tuple[int, int, int]]]:
    """What the colours of an overlay mean: each foreground class by its name, and the truth where it is drawn too."""
    meanings = [(labels.names[number], labels.colour(number)) for number in labels.foreground]
    return [*meanings, ("truth, where it differs", TRUTH_COLOUR)] if truth else meanings


def _stretched(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    values = pixels.astype(np.float64)
    low, high = _seen_range(values)
    if pixels.dtype == np.uint8 and not 0 < high - low < _LOW_CONTRAST:
        return pixels.astype(np.uint8)
    scaled = (values - low) / (high - low or 1)
    return (np.nan_to_num(np.clip(scaled, 0, 1)) * 255).astype(np.uint8)


def _seen_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """The two percentiles; the extremes where these are one number, as over a few beads on black."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, _SEEN_PERCENTILES)
    return (float(low), float(high)) if low < high else (float(finite.min()), float(finite.max()))


def _enlarged(array: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    return array.repeat(times, axis=0).repeat(times, axis=1)


def _depth(classes: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
    """How many pixels deep each pixel lies inside its class, 1 along the edge; infinite outside.

    Neither the end of the image nor that of ignored pixels is an edge. The distance is octagonal, the larger of two
    cheap ones: within 8 % of the Euclidean, which takes seven times as long.
    """
    inside = (classes == number) | (classes == IGNORED)
    if inside.all() or not (classes == number).any():
        return np.full(classes.shape, np.inf, dtype=np.float32)
    across = ndimage.distance_transform_cdt(inside, "chessboard").astype(np.float32)
    stepwise = ndimage.distance_transform_cdt(inside, "taxicab").astype(np.float32)
    depth: NDArray[np.float32] = np.maximum(across, stepwise / np.float32(np.sqrt(2)))
    depth[classes != number] = np.inf
    return depth


def _line(depth: NDArray[np.float32], line_px: int) -> NDArray[np.float32]:
    """How much of each pixel, 0 to 1, a line along the edge covers."""
    covered: NDArray[np.float32] = np.clip(line_px + 1 - depth, 0, 1) * (depth > 0)
    return covered


def _paint(canvas: NDArray[np.float32], colour: tuple[int, int, int], share: NDArray[np.floating]) -> None:
    """Lays a colour over the canvas, in place."""
    canvas += share.astype(np.float32)[:, :, None] * (np.array(colour, dtype=np.float32) - canvas)


def _stripe(canvas: NDArray[np.float32], ignored: NDArray[np.bool_], stripe_px: int) -> None:
    """Darkens the ignored pixels in diagonal stripes, in place."""
    y, x = np.ogrid[: ignored.shape[0], : ignored.shape[1]]
    light = np.where((y + x) // stripe_px % 2, *_STRIPES)
    canvas *= np.where(ignored, light, 1).astype(np.float32)[:, :, None]


def _must_fit(name: str, classes: NDArray[np.uint8], pixels: NDArray[np.generic], labels: Labels) -> None:
    if classes.shape != pixels.shape[:2]:
        raise SizeError(
            f"The {name} is {classes.shape} and the image {pixels.shape[:2]}; give both on the same pixels, unscaled."
        )
    foreign = np.setdiff1d(classes, [*range(labels.classes), IGNORED])
    if foreign.size:
        raise ImageError(
            f"The {name} holds {foreign[0]}, which is none of the {labels.classes} classes; "
            "map mask values to class numbers with Labels.encode."
        )
