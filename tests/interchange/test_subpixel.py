"""Smooth contours hold exactly the mask's pixels, are simple, and lie nearer to the truth than pixels do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import measure
from skimage.draw import polygon2mask

from ushape.interchange.subpixel import SmoothPolygon, margin_of, signed_area, smooth_polygons


def disc(radius: float, centre: tuple[float, float], shape: tuple[int, int] = (48, 48), width: float = 1.0):
    """Margins of a network that is sure beyond `width` pixels from a circle around (y, x), pixels at whole numbers."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.clip((radius - np.hypot(y - centre[0], x - centre[1])) / width, -1, 1).astype(np.float32)


def filled(pieces: list[SmoothPolygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose middles the polygons hold, by scikit-image."""
    mask = np.zeros(shape, bool)
    for piece in pieces:
        mask ^= polygon2mask(shape, piece.outer - 0.5)
        for hole in piece.holes:
            mask ^= polygon2mask(shape, hole - 0.5)
    return mask


def crossings(ring: NDArray[np.float64]) -> int:
    """How many pairs of sides of a closed polygon cross, by the signs of the triangles that their ends make."""

    def turn(a, b, c):
        return np.sign(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    start, stop = ring[:, None], np.roll(ring, -1, axis=0)[:, None]
    other, end = ring[None], np.roll(ring, -1, axis=0)[None]
    cross = (turn(start, stop, other) * turn(start, stop, end) < 0) & (
        turn(other, end, start) * turn(other, end, stop) < 0
    )
    return int(cross.sum()) // 2


@pytest.mark.parametrize("seed", range(12))
def test_of_any_mask_and_margins_polygons_hold_its_pixels_and_are_simple(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random((14, 17)) < (0.3, 0.5, 0.7)[seed % 3]
    margin = rng.uniform(-1, 1, inside.shape).astype(np.float32)  # agrees with the mask or not
    pieces = smooth_polygons(margin, inside)
    assert (filled(pieces, inside.shape) == inside).all()
    assert len(pieces) == measure.label(inside, connectivity=1).max()
    rings = [(piece.outer, *piece.holes) for piece in pieces]
    assert all(crossings(ring) == 0 for of_piece in rings for ring in of_piece)
    assert all(signed_area(outer) > 0 and all(signed_area(hole) < 0 for hole in holes) for outer, *holes in rings)
    outside = measure.label(~np.pad(inside, 1), connectivity=2).max()
    assert sum(len(piece.holes) for piece in pieces) == outside - 1


@pytest.mark.parametrize("radius", [4.0, 7.3, 12.6])
@pytest.mark.parametrize("width", [0.01, 1.0, 4.0])
def test_a_circle_has_its_area_length_and_place(radius: float, width: float) -> None:
    centre = (22.3, 24.6)
    margin = disc(radius, centre, width=width)
    (piece,) = smooth_polygons(margin, margin > 0)
    sides = np.linalg.norm(piece.outer - np.roll(piece.outer, -1, axis=0), axis=1)
    assert piece.area_px == pytest.approx(math.pi * radius**2, rel=0.03)
    assert piece.area_px == pytest.approx((margin > 0).sum(), rel=0.05)
    # that of the pixels' edges is 4/π times as long
    assert sides.sum() == pytest.approx(2 * math.pi * radius, rel=0.04 if width < 1 else 0.02)
    away = np.hypot(*(piece.outer - 0.5 - centre).T)
    assert np.abs(away - radius).max() < (0.55 if width < 1 else 0.1)
    assert sides.min() > 0 and piece.holes == ()


def test_one_pixel_and_the_end_of_the_image() -> None:
    inside = np.zeros((3, 4), bool)
    inside[1, 2] = True
    (piece,) = smooth_polygons(np.where(inside, 1.0, -1.0).astype(np.float32), inside)
    assert piece.area_px == pytest.approx(0.75, abs=0.3)
    np.testing.assert_allclose(piece.outer.mean(axis=0), (1.5, 2.5))
    whole = np.ones((5, 6), bool)
    (piece,) = smooth_polygons(np.ones((5, 6), np.float32), whole)
    assert piece.outer.min(axis=0).tolist() == [0, 0] and piece.outer.max(axis=0).tolist() == [5, 6]
    assert 28 < piece.area_px < 30  # corners are cut
    assert smooth_polygons(np.ones((5, 6), np.float32), ~whole) == []


def test_what_the_mask_says_is_right() -> None:
    margin = disc(8, (20, 20), (40, 40))
    mended = margin > 0
    mended[20, 20] = False
    mended[2:5, 2:5] = True
    pieces = smooth_polygons(margin, mended)
    assert [len(piece.holes) for piece in pieces] == [0, 1]
    assert (filled(pieces, mended.shape) == mended).all()


def test_margins_are_of_the_decision() -> None:
    probability = np.random.default_rng(1).dirichlet((1, 1, 1, 1), (6, 7)).transpose(2, 0, 1)
    decided = probability.argmax(axis=0)
    for numbers in ((3,), (2, 3), (1,)):
        assert ((margin_of(probability, numbers) > 0) == np.isin(decided, numbers)).all()
