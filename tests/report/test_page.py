"""The page: whole, well-formed, self-contained, small, and safe from the names of others."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ushape.errors import ImageError, OutputError
from ushape.metrics.families import Measures
from ushape.metrics.table import Row, Table
from ushape.report.charts import Series, line_chart
from ushape.report.page import LONGEST_SIDE_PX, Page, Picture, html, write

FOUL = "<script>alert('x')</script>\" onload=\"y"


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)


def whole_page(name: str = "cell 7.tif") -> Page:
    """Every part filled, with `name` wherever a name of the user's may stand."""
    chart = line_chart([Series(name, [0, 1], [1, 0.5])], x_label="step", y_label=name)
    table = Table([Row(name, "rat1", np.array([[9, 1], [1, 9]])), Row("b", "rat2", np.eye(2))], ("background", name))
    return Page(
        title=f"Run {name}",
        headline=[("Dice " + name, "0.951 " + name)],
        sections=[("Findings " + name, "<p>one <b>bold</b> thing</p>")],
        facts=[("Folder " + name, name)],
        charts=[("Loss " + name, chart)],
        tables=[("Scores " + name, table)],
        measures=[("Boundary " + name, Measures("boundary", ("a",), ("a",), ({f"hd95 {name}": 1.5},), {}))],
        galleries=[("Worst " + name, [Picture(name, noise(20, 30))]), ("Best", [Picture("b", noise(30, 20))])],
        command=f"ushape train '{name}'",
        notes=["Left out: " + name],
        legend=[(name, (255, 128, 0)), ("truth", (255, 255, 255))],
    )


WHOLE_PAGE = html(whole_page())


# --- the whole


def test_every_part_is_on_the_page_in_its_order(read):
    seen = read(WHOLE_PAGE)
    place, expected = (
        0,
        "Run cell 7.tif|Dice cell|0.951|Findings|one bold thing|What was done|Folder|Charts|Loss|Scores|Image by image",
    )
    expected += "|Boundary|hd95 cell 7.tif|Worst|truth|Best|To repeat this|ushape train 'cell 7.tif'|Notes"
    expected += "|Left out: cell 7.tif"
    for words in expected.split("|"):
        assert words in seen.text[place:], words
        place = seen.text.index(words, place) + len(words)
    assert seen.tags.count("svg") == 1 and seen.tags.count("img") == 2 and seen.tags.count("details") == 1


def test_what_is_empty_is_left_out(read):
    seen = read(html(Page(title="Nothing yet")))
    assert seen.text.split() == ["Nothing", "yet", "Nothing", "yet"]
    assert not {"section", "dl", "h2", "ul", "pre"} & set(seen.tags)
    assert "img" not in read(html(Page("a", galleries=[("none", [])], legend=[("x", (0, 0, 0))]))).tags
    assert not seen.faults


def test_the_page_needs_nothing_else(read):
    text = WHOLE_PAGE
    seen = read(text)
    assert not {"script", "link", "iframe", "object", "a"} & set(seen.tags)
    sources = [value for _, name, value in seen.attributes if name in ("src", "href", "srcset", "data")]
    assert len(sources) == 2 and all(source.startswith("data:image/") for source in sources)
    assert set(re.findall(r"https?://[^\"' )]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_the_page_is_well_formed_and_follows_light_and_dark(read):
    text = WHOLE_PAGE
    assert read(text).faults == []
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "prefers-color-scheme: dark" in text and "@media print" in text and '<meta charset="utf-8">' in text
    assert "$" not in text


def test_an_interval_stands_small_beside_its_figure():
    assert "<dd>0.951 <small>(0.93–0.97)</small></dd>" in html(Page("a", headline=[("Dice", "0.951 (0.93–0.97)")]))


def test_equal_pages_make_equal_text():
    assert html(whole_page()) == WHOLE_PAGE


def test_names_of_others_are_text_wherever_they_stand(read):
    text = html(whole_page(FOUL))
    seen = read(text)
    assert "script" not in seen.tags and "<script" not in text
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert seen.faults == []
    assert seen.text.count(FOUL) >= 16
    assert [value for tag, name, value in seen.attributes if (tag, name) == ("img", "alt")] == [FOUL, "b"]


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=8)
def test_any_name_makes_a_well_formed_page_that_can_be_stored(read, name: str):
    seen = read(html(whole_page(name)).encode("utf-8").decode("utf-8"))
    assert seen.faults == []
    assert len(seen.tags) == len(read(WHOLE_PAGE).tags)


def test_dollars_and_braces_in_names_are_themselves(read):
    assert "$title ${style} {x} $$" in read(html(Page("$title ${style} {x} $$"))).text


def test_the_page_is_written_whole_and_replaces_another(tmp_path: Path):
    foreign = os.fsdecode(b"caf\xe9 \x00")
    path = tmp_path / "report.html"
    path.write_text("old")
    write(path, whole_page("Zürich " + foreign))
    assert "Zürich caf\ufffd \ufffd" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(OutputError, match=r"report\.html cannot be written: there is no folder .*missing"):
        write(tmp_path / "missing" / "report.html", Page("a"))


# --- pictures


def test_a_small_picture_keeps_its_pixels_and_a_large_one_its_shape(read):
    coarse, large = noise(20, 30), np.zeros((1000, 2000, 3), dtype=np.uint8)
    small, shrunk = read(html(Page("a", galleries=[("x", [Picture("s", coarse), Picture("l", large)])]))).images()
    assert small.size == (30, 20)
    assert shrunk.size == (LONGEST_SIDE_PX, LONGEST_SIDE_PX // 2)
    assert np.abs(np.asarray(small.convert("RGB")).astype(int) - coarse).mean() < 12


def test_a_thin_line_keeps_its_colour(read):
    pixels = (
        np.random.default_rng(0).normal(120, 20, size=(640, 640, 1)).clip(0, 255).repeat(3, axis=2).astype(np.uint8)
    )
    pixels[300] = 255, 152, 38
    (seen,) = read(html(Page("a", galleries=[("x", [Picture("s", pixels)])]))).images()
    line = np.asarray(seen.convert("RGB"))[300].mean(axis=0)
    assert np.abs(line - (255, 152, 38)).max() < 25


def test_small_pictures_are_shown_as_squares(read):
    page = Page("a", galleries=[("x", [Picture("s", noise(64, 64)), Picture("l", noise(400, 100))])])
    assert [value for tag, name, value in read(html(page)).attributes if (tag, name) == ("img", "class")] == ["coarse"]


def test_many_large_pictures_are_shrunk_until_the_page_is_below_5_megabytes(read):
    many = [Picture(str(i), noise(640, 640, i)) for i in range(12)]
    text = html(Page("a", galleries=[("worst", many[:6]), ("best", many[6:])]))
    seen = read(text)
    assert 2_000_000 < len(text) < 5_000_000
    assert len(seen.images()) == 12
    assert {image.size for image in seen.images()} == {seen.images()[0].size}
    assert 100 < seen.images()[0].size[1] < 640


def test_each_picture_stands_above_its_caption(read):
    pictures = [Picture(colour, np.full((4, 4, 3), level, dtype=np.uint8)) for colour, level in (("a", 9), ("b", 200))]
    seen = read(html(Page("t", galleries=[("x", pictures[:1]), ("y", pictures[1:])])))
    assert [np.asarray(image.convert("RGB"))[0, 0, 0] for image in seen.images()] == [9, 200]
    assert seen.tags.count("figcaption") == 2


def test_the_legend_stands_once_with_its_colours():
    text = WHOLE_PAGE
    assert text.count('class="legend"') == 1
    assert '<i style="background:rgb(255, 128, 0)"></i>cell 7.tif' in text
    assert 'class="legend"' not in html(replace(whole_page(), legend=()))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4)), np.zeros((4, 4, 1), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_pixels_that_no_screen_shows_are_refused(pixels: NDArray[np.generic]):
    with pytest.raises(ImageError, match=r"“cell 7” is (float64|uint8) \(.*takes uint8 \(height, width, 3\).*overlay"):
        Picture("cell 7", pixels)
