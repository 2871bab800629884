"""The ground plan of a simulated micrograph: ellipses that compete for pixels, and the noise that bends them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from ushape.images.territories import (
    Seeds,
    depth_px,
    largest_pieces,
    sealed,
    smooth_noise,
    territories,
    warped_grid,
    without_specks,
)


def seeds_at(
    places: list[tuple[float, float]], radius_px: float = 5, slenderness: float = 1, angle: float = 0
) -> Seeds:
    y, x = np.array(places, dtype=float).T
    ones = np.ones(len(places))
    return Seeds(y, x, radius_px * ones, slenderness * ones, angle * ones)


def plain_grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return warped_grid(np.random.default_rng(0), (height, width), [])


def test_equal_circles_share_the_plane_as_a_voronoi_diagram() -> None:
    places = [tuple(p) for p in np.random.default_rng(1).uniform(0, 40, (12, 2))]
    y, x = plain_grid(40, 50)
    owner, distance = territories(seeds_at(places), y, x, reach=20.0)
    expected_distance, expected = cKDTree(places).query(np.stack([y, x], axis=-1))
    assert (owner == expected).all()
    np.testing.assert_allclose(distance, expected_distance / 5)


def test_boxes_miss_no_pixel_of_bent_slanting_ellipses() -> None:
    y, x = warped_grid(np.random.default_rng(2), (60, 70), [(20, 5.0)])
    seeds = seeds_at([(20, 30), (-4, 66), (63, 1)], radius_px=9, slenderness=3, angle=0.6)
    owner, distance = territories(seeds, y, x, reach=1.2)
    everywhere = np.stack([np.hypot(*seeds.local(k, y, x)) for k in range(seeds.count)])
    np.testing.assert_array_equal(distance, np.minimum(everywhere.min(axis=0), 1.2))
    np.testing.assert_array_equal(owner, np.where(everywhere.min(axis=0) < 1.2, everywhere.argmin(axis=0), -1))


def test_a_slender_seed_has_the_area_of_its_circle_and_the_slenderness_asked_for() -> None:
    y, x = plain_grid(120, 120)
    inside = territories(seeds_at([(60, 60)], radius_px=20, slenderness=2.25), y, x, reach=1.0)[0] == 0
    assert inside.sum() == pytest.approx(np.pi * 20**2, rel=0.01)
    assert np.ptp(x[inside]) / np.ptp(y[inside]) == pytest.approx(2.25, rel=0.05)  # angle 0: long along x


def test_seeds_apart_keep_the_first_of_a_crowd() -> None:
    crowd = seeds_at([(0, 0), (0, 4), (0, 11), (0, 12)])
    assert crowd.apart(1.0).x.tolist() == [0, 11]
    assert crowd.apart(0.35).x.tolist() == [0, 4, 11]


def test_depth_is_the_distance_to_the_nearest_border_and_unlimited_without_one() -> None:
    owner = np.repeat([[0, 0, 0, 1, 1]], 3, axis=0)
    assert depth_px(owner)[1].tolist() == [2.5, 1.5, 0.5, 0.5, 1.5]
    assert (depth_px(np.zeros((4, 6), dtype=np.intp)) == 6).all()


def test_only_the_largest_piece_of_a_territory_is_kept_and_numbers_close_up() -> None:
    owner = np.array([[0, 0, -1, 0], [1, -1, -1, -1], [-1, 2, 2, 2]])
    expected = [[1, 1, 0, 0], [0, 0, 0, 0], [0, 2, 2, 2]]
    assert largest_pieces(owner, smallest_area_px=2).tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_sealed_pieces_are_the_same_at_4_and_8_neighbours(seed: int) -> None:
    inside = np.random.default_rng(seed).random((30, 37)) < 0.6
    before = inside.copy()
    closed = sealed(inside)
    assert (inside == before).all()
    assert (closed <= inside).all()
    assert ndimage.label(closed)[1] == ndimage.label(closed, structure=np.ones((3, 3)))[1]


def test_specks_go_and_larger_pieces_stay() -> None:
    inside = np.array([[1, 1, 0, 1], [1, 0, 0, 0]], dtype=bool)
    assert without_specks(inside, smallest_area_px=3).tolist() == [
        [True, True, False, False],
        [True, False, False, False],
    ]
    assert not without_specks(np.zeros((3, 3), dtype=bool), smallest_area_px=1).any()


@pytest.mark.parametrize("scale_px", [1.6, 7, 40])
def test_smooth_noise_has_mean_0_deviation_1_and_the_scale_asked_for(scale_px: float) -> None:
    fields = np.stack([smooth_noise(np.random.default_rng(s), (64, 80), scale_px) for s in range(400)])
    assert fields.mean() == pytest.approx(0, abs=0.1)
    assert fields.std() == pytest.approx(1, abs=0.1)
    lag = round(scale_px)
    assert np.mean(fields[:, :, lag:] * fields[:, :, :-lag]) == pytest.approx(0.49, abs=0.2)  # B-spline: 1191/2416
    if 4 * lag < 80:
        assert np.mean(fields[:, :, 4 * lag :] * fields[:, :, : -4 * lag]) == pytest.approx(0, abs=0.1)


def test_noise_longer_than_the_picture_is_still_finite() -> None:
    assert np.isfinite(smooth_noise(np.random.default_rng(0), (32, 33), 500.0)).all()
