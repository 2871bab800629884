"""How much each pixel counts in the loss, for eyes: colours, outlines of the objects, a bar of what colours mean."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ushape.errors import SizeError
from ushape.report.colour_scale import coloured, scale

_PAPER, _INK, _OUTLINE = (255, 255, 255), (40, 40, 40), (255, 255, 255)

_SMALLEST_SIDE = 512  # of the map in the picture
_FAINT = 0.75  # share of its own colour in an outline
_TEXT_PX, _GAP, _BAR_WIDTH, _TICK = 15, 16, 20, 5
_NUMBERS_APART = 2.5  # heights of a line of text between two numbers along the bar, at least


def weight_map(weights: NDArray[np.floating], objects: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(H, W) weights and (H, W) objects → (H', W', 3): the weights in colour, outlines over them, a bar beside them.

    objects: 0 where there is none, else its number. The smallest weight is darkest, the largest lightest; one that is
    no number is as dark as the smallest. Images below 512 px are enlarged by a whole factor; outlines lie within their
    objects and are one pixel of the picture wide.
    """
    if weights.ndim != 2 or weights.shape != objects.shape or not weights.size:
        raise SizeError(
            f"The weights are {weights.shape} and the objects {objects.shape}; give both as (height, width), alike."
        )
    times = math.ceil(_SMALLEST_SIDE / max(weights.shape))
    finite = weights[np.isfinite(weights)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    shown = coloured(weights, low, high).repeat(times, axis=0).repeat(times, axis=1)
    edge = _edges(objects.repeat(times, axis=0).repeat(times, axis=1))
    shown[edge] = (_FAINT * np.array(_OUTLINE) + (1 - _FAINT) * shown[edge]).round()
    return _with_bar(Image.fromarray(shown), low, high)


def _edges(objects: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The pixels of objects beside a pixel that is not of the same object; the end of the image is no edge."""
    edge: NDArray[np.bool_] = np.zeros(objects.shape, dtype=np.bool_)
    for numbers, found in ((objects, edge), (objects.T, edge.T)):
        differ = numbers[1:] != numbers[:-1]
        found[1:] |= differ
        found[:-1] |= differ
    edge &= objects != 0
    return edge


def _with_bar(picture: Image.Image, low: float, high: float) -> NDArray[np.uint8]:
    font = ImageFont.load_default(_TEXT_PX)
    numbers = _numbers(low, high, most=int(picture.height / (_NUMBERS_APART * _TEXT_PX)))
    text_width = math.ceil(max(font.getlength(text) for _, text in numbers))
    left = picture.width + 2 * _GAP
    sheet = Image.new("RGB", (left + _BAR_WIDTH + 2 * _TICK + text_width + _GAP, picture.height + 2 * _GAP), _PAPER)
    sheet.paste(picture, (_GAP, _GAP))
    bar = Image.fromarray(scale()[::-1, None]).resize((_BAR_WIDTH, picture.height), Image.Resampling.BILINEAR)
    sheet.paste(bar, (left, _GAP))
    draw = ImageDraw.Draw(sheet)
    for number, text in numbers:
        share = (number - low) / ((high - low) or 1)
        y, right = _GAP + (1 - share) * (picture.height - 1), left + _BAR_WIDTH
        draw.line([(right, y), (right + _TICK - 1, y)], _INK)
        draw.text((right + 2 * _TICK, y), text, _INK, font, anchor="lm")
    return np.asarray(sheet)


def _numbers(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """The two ends and round numbers between them, at most so many and no two close to each other.

    >>> [text for _, text in _numbers(1, 11.3, most=6)]
    ['1.0', '4', '6', '8', '11.3']
    """
    if not low < high:
        return [(low, f"{low:.3g}")]
    least = (high - low) / max(most, 2)
    power = math.floor(math.log10(least))
    step = next(n * 10.0**power for n in (1, 2, 5, 10) if n * 10.0**power >= least)
    digits = max(0, -math.floor(math.log10(step)))
    multiples = (n * step for n in range(math.floor(low / step), math.ceil(high / step) + 1))
    between = [(n, f"{n:.{digits}f}") for n in multiples if low + least < n < high - least]
    return [(low, f"{low:.{digits + 1}f}"), *between, (high, f"{high:.{digits + 1}f}")]
