"""Confidence → a reliability diagram: how often pixels are right that a network calls so sure."""

from __future__ import annotations

from ushape.evaluate.confidence import Confidence
from ushape.report.charts import Series, line_chart


def reliability_chart(confidence: Confidence) -> tuple[str, str]:
    """Title and SVG. Below the line of what should be, a network is surer than it is right; above it, less sure."""
    bins = confidence.calibration.reliability()
    sure = [each.confidence for each in bins]
    least = min(sure, default=0.0)
    series = [
        Series("right", sure, [each.right for each in bins]),
        Series("as it should be", [least, 1.0], [least, 1.0]),
        Series("share of pixels", sure, [each.share for each in bins]),
    ]
    if confidence.temperature != 1:
        before = confidence.untempered.reliability()
        series.append(Series("right, at temperature 1", [b.confidence for b in before], [b.right for b in before]))
    chart = line_chart(series, x_label="probability of the most probable class", y_label="share")
    return "Reliability", chart
