"""What the network will be shown, for eyes: augmented patches side by side, the outlines of their truth over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ushape.data.patches import Batch
from ushape.errors import SizeError
from ushape.labels import IGNORED, Labels
from ushape.predict.overlay import legend

_SMALLEST_CELL, _LARGEST_CELL = 300, 600  # pixels along a patch in the picture
_PIXELS_PER_LINE_WIDTH = 250
_SEEN_PERCENTILES = (0.5, 99.5)
_LEAST_SPAN = 0.25  # between a patch's black and white, as a share of that of all patches: mere noise stays grey
_CONTEXT_LIGHT, _STRIPE_LIGHT = 0.4, 0.4  # what is left of the light
_PAPER, _INK = (255, 255, 255), (40, 40, 40)
_GAP, _LONGEST_NAME = 10, 40
_SMALLEST_TEXT, _WIDTH_PER_TEXT = 16, 90  # height of the text in pixels, and in widths of the sheet

Pixels = NDArray[np.float32]
Classes = NDArray[np.uint8]
Picture = NDArray[np.uint8]
Meaning = tuple[str, tuple[int, int, int] | None]  # what is said, and the colour it is said of


def contact_sheet(batches: Iterable[Batch], labels: Labels, *, count: int = 12, columns: int = 4) -> Picture:
    """The first `count` patches of the batches → (H, W, 3): row by row, and below them what the colours mean.

    batches: as many as there are, or without end: `iter(sampler.draw, None)`; none is drawn that is not shown.
    Each patch goes from black to white between its own 0.5 and 99.5 percentiles, so that augmented contrast and
    brightness hardly show; where these are close, it stays grey. The context that unpadded networks see, and are not
    asked about, is darker, and ignored pixels are striped. SizeError where there is nothing to show.
    """
    patches = list(islice(_patches(batches), count))
    if not patches:
        raise SizeError(f"A sheet of {count} patches was asked for, and there is none to show; give at least one.")
    low, high = np.percentile(np.stack([pixels for pixels, _ in patches]), _SEEN_PERCENTILES)
    cells = [_cell(_seen(pixels, low, high), classes, labels) for pixels, classes in patches]
    step, columns = cells[0].width + _GAP, min(columns, len(cells))
    sheet = Image.new("RGB", (_GAP + step * columns, _GAP + step * math.ceil(len(cells) / columns)), _PAPER)
    for number, cell in enumerate(cells):
        sheet.paste(cell, (_GAP + step * (number % columns), _GAP + step * (number // columns)))
    return np.concatenate([np.asarray(sheet), _written(_meanings(patches, labels), sheet.width)])


def _patches(batches: Iterable[Batch]) -> Iterator[tuple[Pixels, Classes]]:
    """Of each patch (H, W, 1 or 3) pixels and (h, w) classes: of two channels the first, of many the first three."""
    for batch in batches:
        shown = 3 if batch.image.shape[1] >= 3 else 1
        images, classes = batch.image[:, :shown].permute(0, 2, 3, 1).cpu().numpy(), batch.classes.cpu().numpy()
        yield from zip(images, classes, strict=True)


def _seen(pixels: Pixels, low: float, high: float) -> Picture:
    """(H, W, 1 or 3) → (H, W, 3): black to white between the percentiles, unless close as to `low` … `high` of all."""
    black, white = np.percentile(pixels, _SEEN_PERCENTILES)
    span = max(white - black, _LEAST_SPAN * (high - low)) or 1
    share = (black - low) / ((high - low) or 1)  # where there is room, a dark patch stays dark and a bright one bright
    light = (pixels - black + np.clip(share, 0, 1) * (span - (white - black))) / span
    return np.broadcast_to((255 * np.clip(light, 0, 1)).round().astype(np.uint8), (*pixels.shape[:2], 3))


def _cell(seen: Picture, classes: Classes, labels: Labels) -> Image.Image:
    """One patch with its outlines, enlarged by a whole factor where it is small, and made smaller where it is large."""
    times, margin = math.ceil(_SMALLEST_CELL / len(seen)), (len(seen) - len(classes)) // 2
    canvas = seen.repeat(times, axis=0).repeat(times, axis=1)
    asked = slice(margin * times, len(canvas) - margin * times)
    inner = canvas[asked, asked].copy()
    truth = classes.repeat(times, axis=0).repeat(times, axis=1)
    line_px = max(1, round(len(canvas) / _PIXELS_PER_LINE_WIDTH))
    for number in labels.foreground:
        inner[_outline(truth, number, line_px)] = labels.colour(number)
    y, x = np.ogrid[: len(truth), : len(truth)]
    striped = (truth == IGNORED) & ((y + x) // (4 * line_px) % 2 == 0)
    inner[striped] = (_STRIPE_LIGHT * inner[striped]).astype(np.uint8)
    canvas = (_CONTEXT_LIGHT * canvas).astype(np.uint8)
    canvas[asked, asked] = inner
    cell = Image.fromarray(canvas)
    cell.thumbnail((_LARGEST_CELL, _LARGEST_CELL), Image.Resampling.LANCZOS)
    return cell


def _outline(truth: Classes, number: int, line_px: int) -> NDArray[np.bool_]:
    """The outermost pixels of a class; neither the end of the patch nor that of ignored pixels is an edge."""
    inside = (truth == number) | (truth == IGNORED)
    outline: NDArray[np.bool_] = ~ndimage.binary_erosion(inside, iterations=line_px, border_value=1)
    outline &= truth == number
    return outline


def _meanings(patches: Sequence[tuple[Pixels, Classes]], labels: Labels) -> Iterator[Meaning]:
    """Each class by its name, or by its number where the only font that is always there lacks its letters."""
    for number, (name, colour) in zip(labels.foreground, legend(labels), strict=True):
        short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."
        yield short if name.isascii() else f"class {number}", colour
    if any(len(pixels) > len(classes) for pixels, classes in patches):
        yield "darker: context, not asked about", None
    if any((classes == IGNORED).any() for _, classes in patches):
        yield "striped: ignored", None


def _written(meanings: Iterable[Meaning], width: int) -> Picture:
    """(h, width, 3): the meanings in one line after another."""
    height = max(_SMALLEST_TEXT, width // _WIDTH_PER_TEXT)
    font, left, line, places = ImageFont.load_default(height), _GAP, 0, []
    for text, colour in meanings:
        indent = 3 * height // 2 if colour else 0
        needed = indent + math.ceil(font.getlength(text)) + 2 * height
        if left > _GAP and left + needed > width:
            left, line = _GAP, line + 1
        places.append((left, (2 * line + 1) * height, indent, text, colour))
        left += needed
    strip = Image.new("RGB", (width, 2 * (line + 1) * height), _PAPER)
    draw = ImageDraw.Draw(strip)
    for left, middle, indent, text, colour in places:
        if colour:
            draw.rectangle([left, middle - height // 2, left + height, middle + height // 2], colour, _INK)
        draw.text((left + indent, middle), text, _INK, font, anchor="lm")
    return np.asarray(strip)
