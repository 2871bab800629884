"""A question on a page."""

from __future__ import annotations

from ushape.report.chapter import Chapter, Grid


def test_everything_stands_in_its_order(read):
    grid = Grid(("network", "Dice"), [("copy", "0.9"), ("none", "0.8")])
    chapter = Chapter("Why?", ["Because.", "And so."], "How we know.", [("A chart", "<svg></svg>")], [grid])
    title, body = chapter.section()
    page = read(body)
    assert title == "Why?"
    assert page.faults == []
    places = [page.text.index(words) for words in ("Because.", "And so.", "How we know.", "A chart", "network")]
    assert places == sorted(places)
    assert page.cells == [["network", "Dice"], ["copy", "0.9"], ["none", "0.8"]]
    assert "svg" in page.tags


def test_a_column_of_words_stands_on_the_left(read):
    page = read(Chapter("?", [], grids=[Grid(("a", "b", "c"), [("1", "2", "3")], worded=("c",))]).section()[1])
    assert [tag for tag, name, value in page.attributes if (name, value) == ("class", "name")] == ["th", "td"]


def test_what_is_empty_is_left_out(read):
    assert read(Chapter("Why?", ["Because."]).section()[1]).tags == ["p"]


def test_names_of_others_are_text(read):
    odd = "<b>&"
    body = Chapter(odd, [odd], odd, [(odd, "<svg></svg>")], [Grid((odd,), [(odd,)])]).section()[1]
    page = read(body)
    assert "b" not in page.tags
    assert page.text.count(odd) == 5
