"""Charts as SVG: well-formed whatever the numbers, with round ticks, and true to the points."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushape.report.charts import Dot, Series, dot_chart, level_chart, line_chart

NAN = math.nan
SVG = "{http://www.w3.org/2000/svg}"


class Chart:
    """A chart read back from its SVG."""

    def __init__(self, *series: Series, log_y: bool = False, x_label: str = "step", y_label: str = "loss") -> None:
        self.text = line_chart(series, x_label=x_label, y_label=y_label, log_y=log_y)
        self.root = ElementTree.fromstring(self.text)
        _, _, self.width, self.height = map(float, self.root.attrib["viewBox"].split())
        self.words = [element.text or "" for element in self.root.iter(f"{SVG}text")]
        self.y_ticks = [e.text for e in self.root.iter(f"{SVG}text") if e.attrib["text-anchor"] == "end"]
        middle = [e for e in self.root.iter(f"{SVG}text") if e.attrib["text-anchor"] == "middle"]
        self.x_ticks = [e.text for e in middle if e.text not in (x_label, y_label)]
        self.lines = [
            [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
            for line in self.root.iter(f"{SVG}polyline")
        ]
        self.dots = [(float(e.attrib["cx"]), float(e.attrib["cy"])) for e in self.root.iter(f"{SVG}circle")]


def test_points_lie_where_the_ticks_say():
    chart = Chart(Series("a", [0, 5, 10], [0, 1, 4]))
    assert chart.y_ticks == ["0", "1", "2", "3", "4"]
    assert chart.x_ticks == ["0", "2", "4", "6", "8", "10"]
    heights = [float(e.attrib["y"]) - 4 for e in chart.root.iter(f"{SVG}text") if e.text in chart.y_ticks][:5]
    (line,) = chart.lines
    assert [y for _, y in line] == pytest.approx([heights[0], heights[1], heights[4]], abs=0.1)
    assert line[1][0] - line[0][0] == pytest.approx(line[2][0] - line[1][0], abs=0.2)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.31, 0.96, ["0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.912, 0.931, ["0.910", "0.915", "0.920", "0.925", "0.930", "0.935"]),
        (-1, 1, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        (0, 0.05, ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]),
        (0, 90_000, ["0", "20\u202f000", "40\u202f000", "60\u202f000", "80\u202f000", "100\u202f000"]),
        (0, 3.2e9, ["0", "1e9", "2e9", "3e9", "4e9"]),
        (9.7e8, 1.02e9, ["9.7e8", "9.8e8", "9.9e8", "1.00e9", "1.01e9", "1.02e9"]),
        (0, 4e-6, ["0", "1e−6", "2e−6", "3e−6", "4e−6"]),
        (0.5, 0.5, ["0.44", "0.46", "0.48", "0.50", "0.52", "0.54", "0.56"]),
    ],
)
def test_ticks_are_round_and_few_and_hold_all_numbers(low: float, high: float, ticks: list[str]):
    assert Chart(Series("a", [0.5, 1.5], [low, high])).y_ticks == ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.03, 1.7, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]),
        (1e-6, 1, ["1e−6", "1e−5", "0.0001", "0.001", "0.01", "0.1", "1"]),
        (1e-12, 1, ["1e−12", "1e−10", "1e−8", "1e−6", "0.0001", "0.01", "1"]),
        (3, 3, ["2", "5"]),
    ],
)
def test_logarithmic_ticks_are_powers_of_ten_or_1_2_and_5_times_them(low: float, high: float, ticks: list[str]):
    assert Chart(Series("a", [0, 1], [low, high]), log_y=True).y_ticks == ticks


def test_equal_factors_are_equal_distances_on_a_logarithmic_axis():
    (line,) = Chart(Series("a", [0, 1, 2], [1, 10, 100]), log_y=True).lines
    assert line[0][1] - line[1][1] == pytest.approx(line[1][1] - line[2][1], abs=0.1)


def test_steps_and_epochs_have_whole_ticks():
    assert Chart(Series("a", [1, 2, 3], [0.1, 0.2, 0.3])).x_ticks == ["1", "2", "3"]
    assert Chart(Series("a", [5], [0.1])).x_ticks == ["5"]


def test_an_axis_of_steps_begins_at_zero_where_that_is_near():
    assert Chart(Series("a", [500, 4000], [1, 2])).x_ticks[0] == "0"
    assert Chart(Series("a", [3000, 4000], [1, 2])).x_ticks[0] == "3\u202f000"


def test_numbers_that_are_none_leave_gaps_and_one_between_gaps_is_a_dot():
    chart = Chart(Series("a", range(7), [1, 2, NAN, 3, math.inf, 4, 5]))
    assert [len(line) for line in chart.lines] == [2, 2]
    assert len(chart.dots) == 1


def test_what_a_logarithm_does_not_take_leaves_a_gap():
    chart = Chart(Series("a", range(5), [1, 2, 0, -3, 4]), log_y=True)
    assert [len(line) for line in chart.lines] == [2]
    assert len(chart.dots) == 1


@pytest.mark.parametrize(
    "series", [[], [Series("a", [], [])], [Series("a", [1, NAN], [NAN, 1])]], ids=["no series", "no points", "all NaN"]
)
@pytest.mark.parametrize("log_y", [False, True])
def test_a_chart_of_nothing_says_so(series: list[Series], log_y: bool):
    chart = Chart(*series, log_y=log_y)
    assert "no numbers to draw" in chart.words
    assert not chart.lines and not chart.dots


def test_one_point_is_a_dot_within_the_chart():
    for log_y in (False, True):
        ((x, y),) = Chart(Series("a", [3], [0.2]), log_y=log_y).dots
        assert 0 < x < 640 and 0 < y < 300


def test_a_long_line_is_thinned_but_keeps_its_ends_and_extremes():
    steps = np.arange(100_000)
    values = np.sin(steps / 9000) + 0.01 * np.random.default_rng(0).normal(size=steps.size)
    values[54_321] = 9
    chart = Chart(Series("loss", steps, values))
    (line,) = chart.lines
    assert len(line) < 700 and len(chart.text) < 20_000
    assert min(y for _, y in line) == pytest.approx(next(y for x, y in line if abs(x - (70 + 546 * 0.54321)) < 0.2))
    assert line[0][0] == 70 and line[-1][0] == pytest.approx(616, abs=0.1)
    assert [x for x, _ in line] == sorted(x for x, _ in line)


def test_the_legend_names_each_line_in_its_colour_and_the_seventh_is_dashed():
    chart = Chart(*(Series(f"model {i}", [0, 1], [i, i + 1]) for i in range(7)))
    assert [word for word in chart.words if word.startswith("model")] == [f"model {i}" for i in range(7)]
    looks = [e.attrib["style"] + e.attrib.get("stroke-dasharray", "") for e in chart.root.iter(f"{SVG}g")]
    assert len(set(looks)) == 7
    assert looks[0].startswith("color:var(--series-1,#") and looks[6] == looks[0] + "6 3"


def test_a_legend_that_is_too_long_for_a_line_takes_several_and_the_chart_grows():
    few = Chart(Series("a", [0], [0]))
    many = Chart(*(Series("a name of some forty letters, number " + str(i), [0], [0]) for i in range(8)))
    assert many.height > few.height
    places = [(e.attrib["x"], e.attrib["y"]) for e in many.root.iter(f"{SVG}text") if "forty" in (e.text or "")]
    assert len(set(places)) == 8
    shortened = Chart(Series("x" * 500, [0], [0]))
    assert max(map(len, shortened.words)) == 60


def test_a_chart_can_be_read_aloud_and_follows_the_colours_of_its_page():
    chart = Chart(Series("training", [0, 1], [1, 2]), Series("validation", [0, 1], [1, 2]))
    assert chart.root.attrib["role"] == "img"
    title = chart.root.find(f"{SVG}title")
    assert title is not None
    assert chart.root.attrib["aria-label"] == title.text == "loss against step: training, validation"
    assert chart.root.attrib["fill"] == "currentColor"
    assert "black" not in chart.text and "white" not in chart.text and " id=" not in chart.text


def test_names_are_escaped():
    foul = "<script>alert(\"1\")</script> & 'co' \x00\udce9"
    chart = Chart(Series(foul, [0], [1]), x_label=foul + "x", y_label=foul + "y")
    assert "<script" not in chart.text
    assert chart.words.count("<script>alert(\"1\")</script> & 'co' \ufffd\ufffd") == 1
    chart.text.encode("utf-8")


def test_as_many_x_as_y():
    with pytest.raises(AssertionError, match="'a', 2, 1"):
        Series("a", [0, 1], [1])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.floats(), st.floats()), max_size=12),
    st.lists(st.tuples(st.integers(0, 1000), st.floats(1e-5, 10)), max_size=12),
    st.booleans(),
)
def test_any_numbers_make_a_well_formed_chart_that_stays_within_its_frame(first, second, log_y):
    series = [
        Series(name, [x for x, _ in points], [y for _, y in points]) for name, points in (("a", first), ("b", second))
    ]
    chart = Chart(*series, log_y=log_y)
    for x, y in [*chart.dots, *(place for line in chart.lines for place in line)]:
        assert 69 <= x <= 617 and 0 <= y <= chart.height
    assert len(chart.y_ticks) <= 8 and len(chart.x_ticks) <= 10
    assert "nan" not in chart.text.replace("nance", "") and "inf" not in chart.text
    assert chart.text == Chart(*series, log_y=log_y).text


# --- dots


class Dots:
    """A chart of dots read back: places of the large and the small ones, and the bars."""

    def __init__(self, *dots: Dot) -> None:
        self.text = dot_chart(dots, x_label="parameters", y_label="Dice")
        root = ElementTree.fromstring(self.text)
        circles = list(root.iter(f"{SVG}circle"))
        self.large, self.small = (
            [(float(e.attrib["cx"]), float(e.attrib["cy"])) for e in circles if (e.attrib["r"] == "4.5") is large]
            for large in (True, False)
        )
        self.fills = [e.attrib["fill"] for e in circles if e.attrib["r"] == "4.5"]
        self.bars = [e.attrib["d"] for e in root.iter(f"{SVG}path") if e.attrib.get("stroke-width") == "1.5"]
        self.words = [e.text for e in root.iter(f"{SVG}text")]


def test_dots_lie_by_the_logarithm_of_x_and_evenly_by_y():
    chart = Dots(Dot("a", 1e5, 0.5), Dot("b", 1e6, 0.6), Dot("c", 1e7, 0.8))
    (xa, ya), (xb, yb), (xc, yc) = chart.large
    assert xb - xa == pytest.approx(xc - xb, abs=0.2)
    assert yb - yc == pytest.approx(2 * (ya - yb), abs=0.2)
    assert {"parameters", "Dice", "a", "b", "c"} <= set(chart.words)


def test_a_dot_has_its_bar_and_the_others_beside_it():
    chart = Dots(Dot("a", 1e5, 0.5, 0.4, 0.6, (0.45, 0.55, NAN)))
    ((x, y),) = chart.large
    assert [left > x for left, _ in chart.small] == [True, True]
    assert sum(height for _, height in chart.small) / 2 == pytest.approx(y, abs=0.1)
    (bar,) = chart.bars
    ends = [float(end) for end in bar.removeprefix(f"M{x:.1f} ").split("V")]
    assert sum(ends) / 2 == pytest.approx(y, abs=0.1) and ends[0] > y > ends[1]


def test_after_six_colours_dots_are_hollow():
    assert Dots(*(Dot(str(n), n + 1, n) for n in range(7))).fills == ["currentColor"] * 6 + ["none"]


@given(st.lists(st.tuples(*[st.floats()] * 5), max_size=4))
@settings(max_examples=50)
def test_any_dots_make_a_well_formed_chart(numbers: list[tuple[float, ...]]):
    chart = Dots(*(Dot("<a>", x, y, low, high, (other,)) for x, y, low, high, other in numbers))
    assert "nan" not in chart.text and "inf" not in chart.text
    assert chart.large or "no numbers to draw" in chart.words


def test_levels_run_across_and_dots_lie_between_them():
    dots = [Dot("a", 100, -2), Dot("b", 200, 4), Dot("c", NAN, 1), Dot("d", 150, NAN)]
    text = level_chart(dots, [("bias", 1.0), ("limit", 6.0), ("none", NAN)], x_label="mean", y_label="difference")
    root = ElementTree.fromstring(text)
    circles = [(float(e.attrib["cx"]), float(e.attrib["cy"])) for e in root.iter(f"{SVG}circle")]
    assert len(circles) == 2
    lines = [
        float(e.attrib["d"].split()[1].split("H")[0]) for e in root.iter(f"{SVG}path") if "stroke-dasharray" in e.attrib
    ]
    assert len(lines) == 2
    (_, low), (_, high) = circles
    assert low > lines[0] > high > lines[1]
    assert low - lines[0] == pytest.approx(lines[0] - high, abs=0.2)  # -2, 1, 4
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert "bias" in words and "limit" in words and "none" not in words
    assert "no numbers to draw" in level_chart([], [("bias", 1.0)], x_label="x", y_label="y")
