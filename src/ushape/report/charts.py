"""Numbers → a chart of lines or of dots as SVG text, to stand in a page; no script, no library.

Text and axes take the colour of the text around the chart. A page may set --series-1 … --series-6 to its own colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ushape.report.markup import escaped

# Okabe and Ito's colours, which all kinds of colour vision tell apart, less black and yellow, which vanish on some page
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

_WIDTH, _PLOT_HEIGHT = 640, 236
_LEFT, _RIGHT, _BOTTOM = 70, 24, 46  # room for the y ticks and their label, the end of the last x tick, the x ticks
_LEGEND_LINE = 20
_LETTER = 6.4  # how wide a letter is on average, about
_LONGEST_NAME = 60
_MOST_TICKS_X, _MOST_TICKS_Y = 8, 6
_BUCKETS = _WIDTH // 2  # a line of many points is drawn through the lowest and highest of each of so many buckets
_LARGEST = 1e300  # beyond it, and its inverse on logarithmic axes, sums overflow

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: equally many x and y, in the order in which they are joined; NaN leaves a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        assert len(self.x) == len(self.y), (self.name, len(self.x), len(self.y))


def line_chart(series: Sequence[Series], *, x_label: str, y_label: str, log_y: bool = False) -> str:
    """The chart as one <svg> element, as wide as its place allows.

    Numbers that are not finite, and on a logarithmic axis those that are not positive, leave gaps; a number alone
    between two gaps is a dot. Where nothing is left to draw, the chart says so.
    """
    legend, legend_lines = _legend([one.name for one in series])
    top = 8 + _LEGEND_LINE * legend_lines
    bottom = top + _PLOT_HEIGHT
    runs = [list(_runs(one, log_y)) for one in series]
    points = [point for of_one in runs for run in of_one for point in run]
    if points:
        x = _linear_axis(_from_zero([x for x, _ in points]), _LEFT, _WIDTH - _RIGHT, _MOST_TICKS_X, rounded=False)
        y = (_log_axis if log_y else _linear_axis)([y for _, y in points], bottom, top, _MOST_TICKS_Y)
        plot = _grid(x, y) + "".join(
            _line(one.name, of_one, x, y, _look(i)) for i, (one, of_one) in enumerate(zip(series, runs, strict=True))
        )
    else:
        plot = _nothing(top, bottom)
    return _framed(legend, plot, top, bottom, x_label, y_label, [one.name for one in series])


@dataclass(frozen=True)
class Dot:
    """One thing with two numbers: a dot, a bar from low to high through it, and small dots beside it for `others`."""

    name: str
    x: float
    y: float
    low: float = math.nan
    high: float = math.nan
    others: Sequence[float] = ()


def dot_chart(dots: Sequence[Dot], *, x_label: str, y_label: str) -> str:
    """The chart as one <svg> element like line_chart's, its x axis logarithmic.

    A dot without a finite y and a positive x is left out, and so is what else of it is not finite.
    """
    legend, legend_lines = _legend([dot.name for dot in dots])
    top = 8 + _LEGEND_LINE * legend_lines
    bottom = top + _PLOT_HEIGHT
    drawn = [(i, dot) for i, dot in enumerate(dots) if _LARGEST > dot.x > 1 / _LARGEST and abs(dot.y) < _LARGEST]
    plot = _nothing(top, bottom)
    if drawn:
        heights = [n for _, dot in drawn for n in (dot.y, dot.low, dot.high, *dot.others) if abs(n) < _LARGEST]
        x = _log_axis([dot.x for _, dot in drawn], _LEFT, _WIDTH - _RIGHT, _MOST_TICKS_X)
        y = _linear_axis(heights, bottom, top, _MOST_TICKS_Y)
        plot = _grid(x, y) + "".join(_dot(dot, x, y, _look(i)) for i, dot in drawn)
    return _framed(legend, plot, top, bottom, x_label, y_label, [dot.name for dot in dots])


def level_chart(dots: Sequence[Dot], levels: Sequence[tuple[str, float]], *, x_label: str, y_label: str) -> str:
    """Dots of one kind over a linear x axis, and lines across at levels with a name, as one <svg> element.

    Dots and levels that are not finite are left out.
    """
    drawn = [dot for dot in dots if abs(dot.x) < _LARGEST and abs(dot.y) < _LARGEST]
    lines = [(name, height) for name, height in levels if abs(height) < _LARGEST]
    top, bottom = 8, 8 + _PLOT_HEIGHT
    plot = _nothing(top, bottom)
    if drawn:
        x = _linear_axis([dot.x for dot in drawn], _LEFT, _WIDTH - _RIGHT, _MOST_TICKS_X)
        y = _linear_axis([*(dot.y for dot in drawn), *(height for _, height in lines)], bottom, top, _MOST_TICKS_Y)
        plot = _grid(x, y) + "".join(_level(name, height, x, y) for name, height in lines)
        plot += "".join(_dot(dot, x, y, _look(0)) for dot in drawn)
    return _framed("", plot, top, bottom, x_label, y_label, [name for name, _ in lines])


@dataclass(frozen=True)
class _Axis:
    """From numbers to pixels: `low` lies at `start_px`, `high` at `end_px`; ticks are numbers with their labels."""

    low: float
    high: float
    start_px: float
    end_px: float
    ticks: tuple[tuple[float, str], ...]
    scale: Callable[[float], float] = float

    def place(self, number: float) -> float:
        low, high, here = self.scale(self.low), self.scale(self.high), self.scale(number)
        return self.start_px + (here - low) / (high - low) * (self.end_px - self.start_px)


def _framed(legend: str, plot: str, top: float, bottom: float, x_label: str, y_label: str, names: Sequence[str]) -> str:
    """The <svg> around legend and plot, with the labels of the axes."""
    title = f"{y_label} against {x_label}: {', '.join(names) or 'nothing'}"
    upright = f'transform="rotate(-90 14 {(top + bottom) / 2:.1f})"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + _BOTTOM}" width="100%" role="img" '
        f'aria-label="{escaped(title)}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"<title>{escaped(title)}</title>{legend}{plot}"
        f"{_text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 40, x_label, 'middle')}"
        f"{_text(14, (top + bottom) / 2, y_label, 'middle', upright)}</svg>"
    )


def _nothing(top: float, bottom: float) -> str:
    return _text((_LEFT + _WIDTH - _RIGHT) / 2, (top + bottom) / 2, "no numbers to draw", "middle", 'opacity=".6"')


def _linear_axis(numbers: Sequence[float], start_px: float, end_px: float, most: int, *, rounded: bool = True) -> _Axis:
    """Ticks at 1, 2 or 5 times a power of ten.

    `rounded` ends the axis on ticks; otherwise it ends on the numbers, and has whole ticks where they are whole.
    """
    low, high = min(numbers), max(numbers)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1 / _LARGEST):
        low, high = low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1)
    power = math.floor(math.log10((high - low) / most))
    if not rounded and power < 0 and all(number.is_integer() for number in numbers):
        power = 0
    mantissa = next((m for m in (1, 2, 5) if (high - low) / (m * 10.0**power) <= most), 10)
    step = mantissa * 10.0**power
    if rounded:
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    slack = 1e-9  # of a step, for ends that are ticks but for rounding
    counts = range(math.ceil(low / step - slack), math.floor(high / step + slack) + 1)
    decimals = -power if mantissa < 10 else -power - 1
    return _Axis(low, high, start_px, end_px, tuple((n * step, _number(n * step, decimals)) for n in counts))


def _from_zero(numbers: list[float]) -> list[float]:
    """With zero, where it is nearer than a quarter of the way: steps that begin at 1 or 500 are counted from there."""
    return [0.0, *numbers] if 0 < min(numbers) <= max(numbers) / 4 else numbers


def _log_axis(numbers: Sequence[float], start_px: float, end_px: float, most: int) -> _Axis:
    """Ticks at powers of ten, every n-th of many; at 1, 2 and 5 times them where there are few."""
    low, high = min(numbers), max(numbers)
    mantissas = (1, 2, 5) if high < 100 * low else (1,)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    round_numbers = [float(f"{m}e{power}") for power in powers for m in mantissas]
    first = max(i for i, number in enumerate(round_numbers) if number <= low)
    last = max(first + 1, min(i for i, number in enumerate(round_numbers) if number >= high))
    ticks = round_numbers[first : last + 1 : math.ceil((last - first) / most)]
    labels = [_number(tick, -math.floor(math.log10(tick))) for tick in ticks]
    ends = round_numbers[first], round_numbers[last]
    return _Axis(*ends, start_px, end_px, tuple(zip(ticks, labels, strict=True)), math.log10)


def _number(value: float, decimals: int) -> str:
    """A tick label, to so many decimals or, below zero, so many noughts before the point: 0.05, 20 000, 1.5e9."""
    if not value:
        return f"{0:.{decimals}f}" if 0 < decimals <= 4 else "0"
    if not 1e-4 <= abs(value) < 1e6:
        digits = max(0, math.floor(math.log10(abs(value))) + decimals)
        mantissa, _, power = f"{value:.{digits}e}".partition("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")
    return f"{value:,.{max(0, decimals)}f}".replace(",", "\u202f").replace("-", "−")


def _runs(series: Series, log_y: bool) -> Iterator[list[Point]]:
    """The stretches of a line between its gaps."""
    smallest = 1 / _LARGEST if log_y else -_LARGEST
    points = [(float(x), float(y)) for x, y in zip(series.x, series.y, strict=True)]
    for drawn, run in groupby(points, lambda p: abs(p[0]) < _LARGEST and smallest < p[1] < _LARGEST):
        if drawn:
            yield _thinned(list(run))


def _thinned(run: list[Point]) -> list[Point]:
    """The same picture of a long line: its ends, and the lowest and highest point of each bucket."""
    if len(run) <= 2 * _BUCKETS:
        return run
    kept = {0, len(run) - 1}
    for bucket in range(_BUCKETS):
        here = range(bucket * len(run) // _BUCKETS, (bucket + 1) * len(run) // _BUCKETS)
        kept |= {min(here, key=lambda i: run[i][1]), max(here, key=lambda i: run[i][1])}
    return [run[i] for i in sorted(kept)]


def _look(number: int) -> str:
    """Attributes that tell the lines apart: six colours, then the same dashed."""
    colour = number % len(_COLOURS)
    dashes = ' stroke-dasharray="6 3"' if number // len(_COLOURS) % 2 else ""
    return f'style="color:var(--series-{colour + 1},{_COLOURS[colour]})" stroke="currentColor"{dashes}'


def _line(name: str, runs: list[list[Point]], x: _Axis, y: _Axis, look: str) -> str:
    drawn = []
    for run in runs:
        places = [f"{x.place(px):.1f},{y.place(py):.1f}" for px, py in run]
        if len(places) == 1:
            across, down = places[0].split(",")
            drawn.append(f'<circle cx="{across}" cy="{down}" r="2" fill="currentColor"/>')
        else:
            width = 2 if len(run) <= _BUCKETS else 1  # crowded lines would be a blot
            drawn.append(f'<polyline points="{" ".join(places)}" stroke-width="{width}" stroke-linejoin="round"/>')
    return f'<g fill="none" {look}><title>{escaped(name)}</title>{"".join(drawn)}</g>'


def _dot(dot: Dot, x: _Axis, y: _Axis, look: str) -> str:
    """A dot that is hollow where a line would be dashed."""
    across, down = x.place(dot.x), y.place(dot.y)
    fill = "none" if "dasharray" in look else "currentColor"
    parts = [f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4.5" stroke-width="2" fill="{fill}"/>']
    if abs(dot.low) < _LARGEST and abs(dot.high) < _LARGEST:
        ends = f"{y.place(dot.low):.1f}V{y.place(dot.high):.1f}"
        parts.append(f'<path d="M{across:.1f} {ends}" stroke-width="1.5" fill="none"/>')
    for other in dot.others:
        if abs(other) < _LARGEST:
            parts.append(f'<circle cx="{across + 9:.1f}" cy="{y.place(other):.1f}" r="2" fill="currentColor"/>')
    solid = look.replace(' stroke-dasharray="6 3"', "")
    return f"<g {solid}><title>{escaped(dot.name)}</title>{''.join(parts)}</g>"


def _level(name: str, height: float, x: _Axis, y: _Axis) -> str:
    here = y.place(height)
    line = f'<path d="M{x.start_px:.1f} {here:.1f}H{x.end_px:.1f}" stroke-width="1.5" stroke-dasharray="6 3"/>'
    words = _text(x.end_px, here - 5, name, "end", 'stroke="none" fill="currentColor"')
    return f'<g style="color:var(--series-2,{_COLOURS[1]})" stroke="currentColor">{line}{words}</g>'


def _grid(x: _Axis, y: _Axis) -> str:
    """Ticks of both axes with their labels, lines across at those of y, and the line that x stands on."""
    parts = []
    for number, label in y.ticks:
        here = y.place(number)
        parts.append(_rule(x.start_px, here, x.end_px, here, 0.14))
        parts.append(_text(x.start_px - 8, here + 4, label, "end"))
    for number, label in x.ticks:
        here = x.place(number)
        parts.append(_rule(here, y.start_px, here, y.start_px + 5, 0.6))
        parts.append(_text(here, y.start_px + 19, label, "middle"))
    return "".join(parts) + _rule(x.start_px, y.start_px, x.end_px, y.start_px, 0.6)


def _legend(names: Sequence[str]) -> tuple[str, int]:
    """The names beside a piece of their lines, and how many lines of text they take."""
    parts, left, lines = [], float(_LEFT), 1
    for number, name in enumerate(names):
        shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
        width = 28 + _LETTER * len(shown) + 18
        if left > _LEFT and left + width > _WIDTH:
            left, lines = float(_LEFT), lines + 1
        middle = _LEGEND_LINE * lines - 10
        parts.append(f'<path d="M{left:.1f} {middle}h20" fill="none" stroke-width="2" {_look(number)}/>')
        parts.append(_text(left + 27, middle + 4, shown))
        left += width
    return "".join(parts), lines


def _rule(x1: float, y1: float, x2: float, y2: float, opacity: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" stroke-opacity="{opacity}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escaped(text)}</text>'
