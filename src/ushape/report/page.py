"""A run, an evaluation or a comparison as one HTML page that needs nothing else: no network, no script, no folder.

    write(path, Page(title="Cells", headline=[("Dice", "0.951")], tables=[("Validation", table)], …))

The frame is page.html, the looks are page.css, and each part below is a function from its data to HTML. All text is
escaped here, so that a file named <script> is a name.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ushape.atomic import write_whole
from ushape.errors import ImageError
from ushape.metrics.families import Measures
from ushape.metrics.table import Table
from ushape.report.markup import escaped
from ushape.report.scores import measures_table, score_table

LONGEST_SIDE_PX = 640
"""Larger pictures are shrunk to it."""

_PICTURES_BYTES = 3_500_000  # of all pictures together, which base64 makes 4.7 MB: a page that can be sent by mail
_SMALLEST_SIDE_PX = 64
_COARSE_PX = 320  # smaller pictures are shown with their pixels as squares, not blurred to fill their place
_JPEG_QUALITY = 88  # at which thin coloured lines stay clean, if colour keeps its full resolution

Colour = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Picture:
    """(H, W, 3) uint8 pixels and what they show."""

    caption: str
    pixels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or not self.pixels.size:
            raise ImageError(
                f"The picture “{self.caption}” is {self.pixels.dtype} {self.pixels.shape}; a page takes uint8 "
                "(height, width, 3). Make it with predict.overlay.displayed or overlay."
            )


@dataclass(frozen=True, eq=False)
class Page:
    """What a page tells, from top to bottom; what is empty is left out.

    headline: the few numbers to remember, each a label and a figure. sections: titles, and HTML that another module of
    this folder made; it is not escaped again. facts: what was done with what, label and text. charts: titles and SVG
    from charts.py, which is not escaped either. tables: scores of pixels;
    measures: of other families. legend: what the colours in the pictures mean. command: what makes all this again.
    """

    title: str
    headline: Sequence[tuple[str, str]] = ()
    sections: Sequence[tuple[str, str]] = ()
    facts: Sequence[tuple[str, str]] = ()
    charts: Sequence[tuple[str, str]] = ()
    tables: Sequence[tuple[str, Table]] = ()
    measures: Sequence[tuple[str, Measures]] = ()
    galleries: Sequence[tuple[str, Sequence[Picture]]] = ()
    command: str = ""
    notes: Sequence[str] = ()
    legend: Sequence[tuple[str, Colour]] = ()


def html(page: Page) -> str:
    """The whole page as text; equal pages make equal text."""
    sections = [
        *(_section(title, body) for title, body in page.sections),
        _section("What was done", _facts(page.facts)),
        _section("Charts", _charts(page.charts)),
        *(_section(title, score_table(table)) for title, table in page.tables),
        *(_section(title, measures_table(measures)) for title, measures in page.measures),
        *_galleries(page),
        _section("To repeat this", f"<pre><code>{escaped(page.command)}</code></pre>" if page.command else ""),
        _section("Notes", _list("notes", map(escaped, page.notes))),
    ]
    return Template(_part("page.html")).substitute(
        title=escaped(page.title),
        style=_part("page.css").strip(),
        headline=_headline(page.headline),
        sections="\n".join(filter(None, sections)),
    )


def write(path: Path, page: Page) -> None:
    """The page as a file, complete or not there."""
    write_whole(path, html(page))


def _part(name: str) -> str:
    return (files("ushape.report") / name).read_text(encoding="utf-8")


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escaped(title)}</h2>\n{body}\n</section>" if body else ""


def _headline(figures: Sequence[tuple[str, str]]) -> str:
    """Big figures; what follows one in brackets, as an interval does, stands small below it."""
    cards = []
    for label, text in figures:
        figure, bracket, rest = text.partition(" (")
        aside = f" <small>{escaped(bracket[1:] + rest)}</small>" if bracket else ""
        cards.append(f"<div><dt>{escaped(label)}</dt><dd>{escaped(figure)}{aside}</dd></div>")
    return f'<dl class="headline">{"".join(cards)}</dl>' if cards else ""


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escaped(label)}</dt><dd>{escaped(text)}</dd>" for label, text in facts)
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def _list(kind: str, items: Iterable[str]) -> str:
    """Items that are HTML already."""
    rows = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="{kind}">{rows}</ul>' if rows else ""


def _charts(charts: Sequence[tuple[str, str]]) -> str:
    figures = "".join(f"<figure><h3>{escaped(title)}</h3>{svg}</figure>" for title, svg in charts)
    return f'<div class="charts">{figures}</div>' if figures else ""


def _galleries(page: Page) -> Iterator[str]:
    """One section each, the legend in the first."""
    galleries = [(title, pictures) for title, pictures in page.galleries if pictures]
    files_of_all = iter(_encoded([picture.pixels for _, pictures in galleries for picture in pictures]))
    legend = _list("legend", (f'<i style="background:rgb{colour}"></i>{escaped(name)}' for name, colour in page.legend))
    for title, pictures in galleries:
        figures = "".join(_figure(picture, next(files_of_all)) for picture in pictures)
        yield _section(title, f'{legend}<div class="gallery">{figures}</div>')
        legend = ""


def _figure(picture: Picture, encoded: bytes) -> str:
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    looks = ' class="coarse"' if max(picture.pixels.shape) <= _COARSE_PX else ""
    caption = escaped(picture.caption)
    source = f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
    return f'<figure><img{looks} src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _encoded(pictures: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """Each as PNG or JPEG, all of them shrunk further until together they are no larger than a page may be."""
    side_px = LONGEST_SIDE_PX
    while True:
        encoded = [_picture_file(pixels, side_px) for pixels in pictures]
        size = sum(map(len, encoded))
        if size <= _PICTURES_BYTES or side_px == _SMALLEST_SIDE_PX:
            return encoded
        side_px = max(_SMALLEST_SIDE_PX, int(0.95 * side_px * math.sqrt(_PICTURES_BYTES / size)))


def _picture_file(pixels: NDArray[np.uint8], side_px: int) -> bytes:
    """PNG or JPEG, whichever is smaller."""
    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG", optimize=True)
    image.save(jpeg, "JPEG", quality=_JPEG_QUALITY, subsampling=0)  # `optimize` fails on large noisy pictures in Pillow
    return min(png.getvalue(), jpeg.getvalue(), key=len)
