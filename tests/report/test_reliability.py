"""The reliability diagram: what was found, what should be, and what it was before."""

from __future__ import annotations

import re

import numpy as np

from ushape.evaluate.confidence import Confidence
from ushape.metrics.calibration import Calibration
from ushape.report.reliability import reliability_chart


def calibration(*foreground: float) -> Calibration:
    p = np.array([foreground])
    return Calibration.of(np.array([[1, 1, 0, 1]]), np.stack([1 - p, p]))


SURE, LESS_SURE = calibration(0.99, 0.98, 0.97, 0.55), calibration(0.9, 0.8, 0.7, 0.55)


def names(chart: str) -> list[str]:
    return re.findall(r'<g fill="none"[^>]*><title>([^<]*)</title>', chart)


def test_what_was_found_lies_beside_what_should_be_and_what_was():
    title, chart = reliability_chart(Confidence(2.0, SURE, LESS_SURE))
    assert title == "Reliability"
    assert names(chart) == ["right", "as it should be", "share of pixels", "right, at temperature 1"]
    lines = re.findall(r'<polyline points="([^"]+)"', chart)
    assert [len(line.split()) for line in lines] == [4, 2, 4, 2]


def test_without_a_temperature_there_is_nothing_before():
    assert names(reliability_chart(Confidence(1.0, SURE, SURE))[1]) == ["right", "as it should be", "share of pixels"]


def test_of_no_pixel_the_line_of_what_should_be_is_drawn_alone():
    nothing = Calibration.none(2)
    lines = re.findall(r'<polyline points="([^"]+)"', reliability_chart(Confidence(1.0, nothing, nothing))[1])
    assert len(lines) == 1
