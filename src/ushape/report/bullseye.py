"""The thickness of a ventricle's wall by segment → the bull's-eye of the American Heart Association, as SVG text.

The base is outside and the apex in the middle, as seen from the apex: anterior above, septum at the left (Cerqueira et
al. 2002, Circulation 105:539, Figures 3 and 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ushape.report.colour_scale import coloured
from ushape.report.markup import escaped

_WALLS_OF_6 = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")
_WALLS_OF_4 = ("anterior", "septal", "inferior", "lateral")
NAMES = (
    *(f"basal {wall}" for wall in _WALLS_OF_6),
    *(f"mid {wall}" for wall in _WALLS_OF_6),
    *(f"apical {wall}" for wall in _WALLS_OF_4),
    "apex",
)
"""Of the 17 segments, the first one first."""

_RINGS = ((0, 6, 135, 100), (6, 6, 100, 64), (12, 4, 64, 28))  # first segment, how many, outer and inner radius
_APEX_RADIUS = 28
_CENTRE = 150
_ANTERIOR = 90.0  # degrees, counter-clockwise from the right


def bullseye(thickness: Sequence[float], unit: str, *, low: float, high: float) -> str:
    """The 17 segments, coloured from `low` (dark) to `high` (light), with their numbers; NaN is left blank."""
    assert len(thickness) == len(NAMES), len(thickness)
    parts = []
    for first, count, outer, inner in _RINGS:
        for number in range(count):
            middle = _ANTERIOR + number * 360 / count
            shape = _sector(middle - 180 / count, middle + 180 / count, outer, inner)
            parts.append(
                _segment(first + number, thickness, (low, high), unit, shape, _place(middle, (outer + inner) / 2))
            )
    circle = f'<circle cx="{_CENTRE}" cy="{_CENTRE}" r="{_APEX_RADIUS}"'
    parts.append(_segment(16, thickness, (low, high), unit, circle, (_CENTRE, _CENTRE)))
    title = f"Thickness of the wall by segment, in {unit}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 410 300" width="100%" role="img" '
        f'aria-label="{escaped(title)}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"<title>{escaped(title)}</title>{''.join(parts)}{_key(low, high, unit)}</svg>"
    )


def _segment(
    number: int,
    thickness: Sequence[float],
    span: tuple[float, float],
    unit: str,
    shape: str,
    place: tuple[float, float],
) -> str:
    value = thickness[number]
    words = f"{number + 1} {NAMES[number]}: " + ("not measured" if math.isnan(value) else f"{value:.1f} {unit}")
    fill, ink, text = "none", "currentColor", "–"
    if not math.isnan(value):
        red, green, blue = coloured(np.array([value]), *span)[0].tolist()
        fill, text = f"rgb({red},{green},{blue})", f"{value:.1f}"
        ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#fff"
    label = f'<text x="{place[0]:.1f}" y="{place[1] + 4:.1f}" text-anchor="middle" fill="{ink}">{text}</text>'
    drawn = f'{shape} fill="{fill}" stroke="currentColor" stroke-width="1"/>'
    return f"<g><title>{escaped(words)}</title>{drawn}{label}</g>"


def _sector(begin: float, end: float, outer: float, inner: float) -> str:
    """A piece of a ring, from one direction counter-clockwise to another; the tag is left open."""
    (x1, y1), (x2, y2) = _place(begin, outer), _place(end, outer)
    (x3, y3), (x4, y4) = _place(end, inner), _place(begin, inner)
    return (
        f'<path d="M{x1:.1f} {y1:.1f}A{outer} {outer} 0 0 0 {x2:.1f} {y2:.1f}'
        f'L{x3:.1f} {y3:.1f}A{inner} {inner} 0 0 1 {x4:.1f} {y4:.1f}Z"'
    )


def _place(degrees: float, radius: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return _CENTRE + radius * math.cos(angle), _CENTRE - radius * math.sin(angle)


def _key(low: float, high: float, unit: str) -> str:
    """What the colours mean, from below to above."""
    steps = 20
    bars = []
    for step, (red, green, blue) in enumerate(coloured(np.linspace(low, high, steps), low, high).tolist()):
        y = 250 - (step + 1) * 200 / steps
        bars.append(f'<path d="M310 {y:.1f}h16v{200 / steps + 0.5:.1f}h-16Z" fill="rgb({red},{green},{blue})"/>')
    ends = "".join(f'<text x="332" y="{y}">{value:.1f} {escaped(unit)}</text>' for y, value in ((254, low), (58, high)))
    return "".join(bars) + ends
