"""HTML read back: what the tests of the report ask a page."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import pytest
from PIL import Image

VOID = {"meta", "img", "br", "path", "circle", "polyline"}


class Read(HTMLParser):
    """Elements, text and sources of a page; `faults` holds tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.faults, self.open = "", [], [], []
        self.attributes: list[tuple[str, str, str]] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data

    def images(self) -> list[Image.Image]:
        sources = [value for tag, name, value in self.attributes if (tag, name) == ("img", "src")]
        return [Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))) for source in sources]


@pytest.fixture(scope="session")
def read() -> type[Read]:
    return Read
