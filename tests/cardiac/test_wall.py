"""Thickness of rings, the segments' places, and where the septum lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ushape.cardiac.levels import levels
from ushape.cardiac.ventricle import Ventricle
from ushape.cardiac.wall import SEGMENTS, septum_degrees, thickness

Phantom = Callable[..., Ventricle]


def test_a_ring_is_as_thick_as_its_radii_differ(tube: Phantom) -> None:
    ring = tube(20, 29.5, voxel_mm=(8, 1, 1))
    found = thickness(ring, levels(ring), None)
    assert len(found) == SEGMENTS
    assert found[:16] == pytest.approx([9.5] * 16, abs=0.2)
    assert math.isnan(found[16]), "the apex beyond the cavity cannot be measured"
    assert thickness(replace(ring, voxel_mm=(8, 2, 2)), levels(ring), None)[:16] == pytest.approx([19] * 16, abs=0.4)


def test_pixels_that_are_not_square_keep_a_round_wall() -> None:
    y, x = np.ogrid[:60, :120]
    radius = np.hypot(2 * (y - 30), x - 60)
    endo, epi = (np.repeat((radius < r)[None], 3, axis=0) for r in (30, 42))
    ring = Ventricle(endo, epi, None, (8.0, 2.0, 1.0))
    assert thickness(ring, levels(ring), None)[:6] == pytest.approx([12] * 6, abs=0.5)


@pytest.mark.parametrize(
    ("towards", "thick"),
    [
        ((-1, 0), (1, 7, 13)),  # up: anterior
        ((1, 0), (4, 10, 15)),  # down: inferior
        ((-0.5, -1), (2, 8)),  # left and up: anteroseptal
        ((0.5, -1), (3, 9)),  # left and down: inferoseptal
        ((0.5, 1), (5, 11)),  # right and down: inferolateral
        ((-0.5, 1), (6, 12)),  # right and up: anterolateral
        ((0, -1), (14,)),  # left: septal
        ((0, 1), (16,)),  # right: lateral
    ],
)
def test_segments_are_where_the_association_has_them(
    tube: Phantom, towards: tuple[float, float], thick: tuple[int, ...]
) -> None:
    ring = tube(18, 22)
    y, x = np.mgrid[: ring.endocardium.shape[1], : ring.endocardium.shape[2]] - 40
    length = math.hypot(*towards)
    cosine = (y * towards[0] + x * towards[1]) / length / np.maximum(np.hypot(y, x), 1)
    bulge = (cosine > math.cos(math.radians(15))) & (np.hypot(y, x) < 30)
    ring = replace(ring, epicardium=ring.epicardium | bulge)
    found = thickness(ring, levels(ring), None)
    rings = {"base": range(1, 7), "mid": range(7, 13), "apex": range(13, 17)}
    for segments in rings.values():
        thickest = max(segments, key=lambda segment: found[segment - 1])
        expected = [segment for segment in segments if segment in thick]
        assert not expected or thickest == expected[0]


@pytest.mark.parametrize("degrees", [0, 75, 180, 300])
def test_the_septum_lies_where_the_right_ventricle_borders(tube: Phantom, degrees: float) -> None:
    ring = tube(14, 20, voxel_mm=(8, 1.5, 1.5))
    y, x = np.mgrid[:81, :81] - 40
    angle = np.degrees(np.arctan2(-y, x))
    near = np.abs((angle - degrees + 180) % 360 - 180) < 40
    radius = np.hypot(y, x)
    right = np.repeat((near & (radius >= 20) & (radius < 28))[None], 6, axis=0)
    found = septum_degrees(replace(ring, right_ventricle=right))
    assert found is not None
    assert abs((found - degrees + 180) % 360 - 180) < 2
    wall = replace(ring, epicardium=ring.epicardium | (near & (radius < 26)))
    thick = thickness(replace(wall, voxel_mm=None), levels(ring), found)
    assert np.argmax(thick[12:16]) == 1, "segment 14 is the septum, wherever that lies"
    clockwise = (angle - (degrees - 90) + 180) % 360 - 180
    wall = replace(ring, epicardium=ring.epicardium | ((np.abs(clockwise) < 40) & (radius < 26)))
    for from_base, anterior in ((False, 0), (True, 2)):
        thick = thickness(wall, levels(ring), found, from_base=from_base)
        assert np.argmax(thick[12:16]) == anterior, "seen from the base, what follows clockwise is the inferior wall"


def test_without_a_right_ventricle_nothing_says_where_the_septum_is(tube: Phantom) -> None:
    assert septum_degrees(tube(14, 20)) is None
    far = np.zeros((6, 81, 81), dtype=bool)
    far[:, 0, 0] = True
    assert septum_degrees(replace(tube(14, 20), right_ventricle=far)) is None


def test_a_wall_with_a_gap_is_measured_where_it_is(tube: Phantom) -> None:
    ring = tube(14, 20)
    ring.endocardium[:, :36] |= ring.epicardium[:, :36]  # no wall above: an outflow tract
    found = thickness(ring, levels(ring), None)
    assert math.isnan(found[0])
    assert found[3] == pytest.approx(6, abs=0.3)
    assert all(math.isnan(value) for value in thickness(replace(ring, epicardium=None), levels(ring), None))
