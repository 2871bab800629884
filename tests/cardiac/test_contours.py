"""Distances of contours against circles, and against polygons and lines between their points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ushape.cardiac.contours import (
    GOOD_MM,
    ContourFigures,
    average_perpendicular_distance,
    outlines,
    slice_scores,
    volume_scores,
)
from ushape.cardiac.levels import levels
from ushape.cardiac.ventricle import Mask, Ventricle
from ushape.metrics.boundary import SurfaceDistances

Phantom = Callable[..., Ventricle]


def disc(radius: float, *, y: float = 40, x: float = 40) -> Mask:
    yy, xx = np.ogrid[:81, :81]
    return np.asarray(np.hypot(yy - y, xx - x) < radius)


def of_discs(truth: Mask, answer: Mask, voxel_mm: tuple[float, float, float] | None = (8, 1, 1)) -> ContourFigures:
    manual, predicted = Ventricle(truth[None], voxel_mm=voxel_mm), Ventricle(answer[None], voxel_mm=voxel_mm)
    return ContourFigures.of(slice_scores(manual, predicted, levels(manual)))


@pytest.mark.parametrize(("inner", "outer"), [(15, 18), (20, 26.5), (25, 33)])
def test_between_circles_it_is_the_difference_of_their_radii(inner: float, outer: float) -> None:
    for truth, answer in ((inner, outer), (outer, inner)):
        assert of_discs(disc(truth), disc(answer)).apd == pytest.approx(outer - inner, abs=0.2)


def test_squares_by_hand() -> None:
    truth, answer = (np.zeros((30, 40), dtype=bool) for _ in range(2))
    truth[10:20, 10:30] = True
    answer[10:20, 14:34] = True
    # Its right side is 4 away, its long sides 0 to 4 where they stand out, its left side min(4, y, 10 - y)
    found = average_perpendicular_distance(truth, answer, (1.0, 1.0))
    assert found == pytest.approx((4 * 10 + 2 * 8 + 24) / 60, abs=0.02)
    assert average_perpendicular_distance(truth, truth, (1.0, 1.0)) == 0
    assert average_perpendicular_distance(truth, answer, (3.0, 3.0)) == pytest.approx(3 * found)
    wide = average_perpendicular_distance(truth, answer, (1.0, 2.0))
    assert wide == pytest.approx((8 * 10 + 2 * 32 + 25) / 100, abs=0.02)


@pytest.mark.parametrize("moved", [(0, 3), (5, 0), (4, 4), (1, 0), (2.5, -7)])
def test_it_is_about_that_of_the_corners_between_pixels(moved: tuple[float, float]) -> None:
    truth, answer = disc(22), disc(20, y=40 + moved[0], x=40 + moved[1])
    corners = SurfaceDistances.of(truth, answer, (1.0, 1.0)).directed_means()[1]
    assert of_discs(truth, answer).apd == pytest.approx(corners, abs=0.2)


def test_outlines_run_half_way_between_pixels() -> None:
    one = np.zeros((3, 4), dtype=bool)
    one[0, 3] = True
    (outline,) = outlines(one)
    assert sorted(map(tuple, outline[:-1].tolist())) == [(-0.5, 3), (0, 2.5), (0, 3.5), (0.5, 3)]
    ring = disc(20) & ~disc(9)
    assert len(outlines(ring)) == 2


def test_it_is_the_predicted_contours_distance_and_not_the_manual_ones() -> None:
    truth, answer = disc(12), disc(12)
    answer[40:42, 52:70] = True  # a spur of the answer, which is far from the truth
    there, back = of_discs(truth, answer).apd, of_discs(answer, truth).apd
    assert there > 2 * back > 0


def test_lengths_are_in_millimetres_and_slices_have_their_levels(tube: Phantom) -> None:
    manual, predicted = tube(20, 26, slices=4, voxel_mm=(8, 1.5, 1.5)), tube(22, 26, slices=4, voxel_mm=(8, 1.5, 1.5))
    scores = slice_scores(manual, predicted, levels(manual))
    assert [(s.region, s.slice, s.level) for s in scores[:4]] == [
        ("endocardium", 1, "base"),
        ("endocardium", 2, "base"),
        ("endocardium", 3, "mid"),
        ("endocardium", 4, "apex"),
    ]
    assert scores[0].apd == pytest.approx(3, abs=0.3)
    assert all(s.apd == 0 and s.dice == 1 for s in scores if s.region == "epicardium")


def test_a_contour_is_good_below_five_millimetres() -> None:
    assert GOOD_MM == 5
    assert of_discs(disc(20), disc(24.5)).good == 1
    assert of_discs(disc(20), disc(25.5)).good == 0
    assert of_discs(disc(20), disc(22.8), voxel_mm=(8, 2, 2)).good == 0


def test_contours_that_one_has_alone_are_counted_and_a_missed_one_is_not_good(tube: Phantom) -> None:
    manual, predicted = tube(8, 12, slices=4, voxel_mm=(8, 1, 1)), tube(8, 12, slices=4, voxel_mm=(8, 1, 1))
    manual.endocardium[0] = False
    predicted.endocardium[3] = False
    found = ContourFigures.of([s for s in slice_scores(manual, predicted, levels(manual)) if s.region == "endocardium"])
    assert (found.drawn, found.missed, found.added) == (3, 1, 1)
    assert found.good == pytest.approx(2 / 3)
    assert (found.dice, found.apd) == (1, 0)


def test_without_millimetres_nothing_is_good_or_bad() -> None:
    found = of_discs(disc(20), disc(30), voxel_mm=None)
    assert found.apd == pytest.approx(10, abs=0.3)
    assert math.isnan(found.good)
    empty = ContourFigures.of([])
    assert empty.drawn == 0 and math.isnan(empty.dice)


def test_surfaces_are_held_against_each_other_in_three_dimensions(heart: Phantom) -> None:
    manual, predicted = heart((40, 24, 24)), heart((40, 24, 24))
    same = volume_scores(manual, predicted)
    assert [(s.region, s.dice, s.hd_mm) for s in same] == [("endocardium", 1, 0), ("epicardium", 1, 0)]
    smaller = volume_scores(manual, heart((34, 20, 20)))[0]
    assert smaller.hd_mm == pytest.approx(6, abs=1.5)  # along the axis, where slices are 2 mm
    assert 3.5 < smaller.assd_mm < 6
    overlap = math.prod((34, 20, 20)) / math.prod((40, 24, 24))
    assert smaller.dice == pytest.approx(2 * overlap / (1 + overlap), abs=0.01)
    (unknown, _) = volume_scores(replace(manual, voxel_mm=None), predicted)
    assert unknown.dice == 1 and math.isnan(unknown.hd_mm)
