"""The bull's-eye: every segment where the association has it, with its thickness."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from ushape.report.bullseye import NAMES, bullseye

SVG = "{http://www.w3.org/2000/svg}"
VALUES = [float(number) + 0.5 for number in range(1, 17)] + [math.nan]


def segments(values: list[float]) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(bullseye(values, "mm", low=1, high=17))
    return list(root.iter(f"{SVG}g"))


def place(segment: ElementTree.Element) -> tuple[float, float]:
    """Of its number, from the middle: to the right, and up."""
    (text,) = segment.iter(f"{SVG}text")
    return float(text.attrib["x"]) - 150, 150 - (float(text.attrib["y"]) - 4)


def test_each_segment_is_told_with_its_name_and_thickness() -> None:
    titles = ["".join(segment.find(f"{SVG}title").itertext()) for segment in segments(VALUES)]  # type: ignore[union-attr]
    assert len(titles) == len(NAMES) == 17
    assert titles[0] == "1 basal anterior: 1.5 mm"
    assert titles[8] == "9 mid inferoseptal: 9.5 mm"
    assert titles[13] == "14 apical septal: 14.5 mm"
    assert titles[16] == "17 apex: not measured"


@pytest.mark.parametrize(
    ("number", "degrees"),
    [
        (1, 90),
        (2, 150),
        (3, 210),
        (4, 270),
        (5, 330),
        (6, 30),
        (7, 90),
        (12, 30),
        (13, 90),
        (14, 180),
        (15, 270),
        (16, 0),
    ],
)
def test_segments_lie_where_the_association_has_them(number: int, degrees: float) -> None:
    x, y = place(segments(VALUES)[number - 1])
    assert (math.degrees(math.atan2(y, x)) - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1)


def test_the_base_is_outside_and_the_apex_in_the_middle() -> None:
    radii = [math.hypot(*place(segment)) for segment in segments(VALUES)]
    assert min(radii[:6]) > max(radii[6:12]) > max(radii[12:16]) > radii[16] == 0


def test_thin_is_dark_thick_is_light_and_what_is_not_measured_is_blank() -> None:
    fills = [next(iter(s.iter(f"{SVG}path")), s.find(f"{SVG}circle")).attrib["fill"] for s in segments(VALUES)]  # type: ignore[union-attr]
    assert fills[16] == "none"
    light = [sum(map(int, fill[4:-1].split(","))) for fill in (fills[0], fills[15])]
    assert light[0] < light[1]
    assert len(set(fills)) == 17
