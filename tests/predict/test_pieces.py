"""Regions in one piece: what is kept, what fills holes, and that regions stay nested whatever the network answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import measure

from ushape.errors import RecipeError
from ushape.predict.pieces import changes, in_one_piece, require_nested
from ushape.regions import Region

ENDO, EPI, RIGHT = Region("endocardium", (3,)), Region("epicardium", (2, 3)), Region("right ventricle", (1,))


def heart(shape: tuple[int, int] = (40, 40), centre: tuple[float, float] = (20, 22)) -> NDArray[np.uint8]:
    """A cavity of radius 6 within a wall out to 10, and a right ventricle at its left."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    radius = np.hypot(y - centre[0], x - centre[1])
    classes = np.zeros(shape, dtype=np.uint8)
    classes[np.hypot(y - 20, x - 6) < 5] = 1
    classes[radius < 10] = 2
    classes[radius < 6] = 3
    return classes


def test_what_is_in_one_piece_stays_as_it_is() -> None:
    assert (in_one_piece(heart(), [ENDO, EPI, RIGHT]) == heart()).all()


def test_specks_go_holes_are_filled_and_the_argument_is_left_alone() -> None:
    spoilt = heart()
    spoilt[1:3, 1:3] = 3  # cavity and wall far away
    spoilt[1, 4] = 2
    spoilt[20, 20:22] = 2  # wall within the cavity
    spoilt[20, 23] = 0  # a hole in the cavity
    spoilt[12, 22] = 0  # and in the wall
    spoilt[14, 15:17] = 3  # cavity within the wall
    before = spoilt.copy()
    assert (in_one_piece(spoilt, [ENDO, EPI]) == heart()).all()
    assert (spoilt == before).all()


def test_what_a_region_loses_is_the_next_ones_own_class() -> None:
    classes = np.array([[2, 2, 2, 2, 2, 2, 2], [2, 3, 3, 2, 3, 2, 2], [2, 2, 2, 2, 2, 2, 2]], dtype=np.uint8)
    expected = classes.copy()
    expected[1, 4] = 2
    assert in_one_piece(classes, [EPI, ENDO]).tolist() == expected.tolist()
    alone = classes.copy()
    alone[1, 4] = 0
    assert in_one_piece(classes, [ENDO]).tolist() == alone.tolist()


def test_cavity_alone_becomes_wall_where_there_is_no_wall_to_be_near() -> None:
    classes = np.array([[3, 3, 3, 0, 0, 3]], dtype=np.uint8)
    assert in_one_piece(classes, [EPI, ENDO]).tolist() == [[3, 3, 3, 0, 0, 0]]


def test_a_hole_that_holds_another_kept_region_is_left() -> None:
    ring = np.zeros((9, 9), dtype=np.uint8)
    ring[1:8, 1:8], ring[2:7, 2:7], ring[4, 4] = 2, 0, 1
    assert (in_one_piece(ring, [EPI, RIGHT]) == ring).all()
    assert (in_one_piece(ring, [EPI])[1:8, 1:8] == 2).all()


def test_of_equal_pieces_the_first_in_reading_order_is_kept() -> None:
    assert in_one_piece(np.array([[3, 0, 3]], dtype=np.uint8), [ENDO]).tolist() == [[3, 0, 0]]


def test_corners_do_not_connect_and_volumes_connect_across_slices() -> None:
    corner = np.array([[3, 3, 0], [0, 0, 3]], dtype=np.uint8)
    assert in_one_piece(corner, [ENDO]).tolist() == [[3, 3, 0], [0, 0, 0]]
    volume = np.zeros((3, 1, 4), dtype=np.uint8)
    volume[0, 0, 0] = volume[1, 0, 0] = volume[1, 0, 2] = 3
    assert in_one_piece(volume, [ENDO])[:, 0].tolist() == [[3, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", [(24, 30), (5, 12, 14)])
def test_of_any_answer_regions_are_whole_and_nested(seed: int, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(seed).choice(4, size=shape, p=[0.35, 0.15, 0.25, 0.25]).astype(np.uint8)
    found = in_one_piece(noise, [ENDO, EPI])
    assert (found == in_one_piece(noise, [EPI, ENDO])).all(), "the order of naming says nothing"
    for region in (ENDO, EPI):
        inside = region.of(found)
        assert measure.label(inside, connectivity=1).max() == 1
        outside = measure.label(~np.pad(inside, 1), connectivity=1)
        assert outside.max() == 1, f"a hole in the {region.name}"
    largest = measure.label(EPI.of(noise), connectivity=1)
    biggest = largest == 1 + np.bincount(largest.ravel())[1:].argmax()
    assert EPI.of(found)[biggest].all()


def test_regions_that_cannot_both_be_whole_are_refused() -> None:
    with pytest.raises(RecipeError, match="The regions a and b share classes, and neither holds the other"):
        require_nested([Region("a", (1, 2)), Region("b", (2, 3))])
    with pytest.raises(RecipeError, match="The region all is made of a, b alone"):
        require_nested([Region("a", (1,)), Region("b", (2,)), Region("all", (1, 2))])
    require_nested([ENDO, EPI, RIGHT, Region("heart", (1, 2, 3, 4))])


def test_changes_count_what_mending_did() -> None:
    before = np.zeros((3, 4, 6), dtype=np.uint8)
    before[0:2, :3, :3], before[0, 1, 1] = 2, 3
    before[2, 0, 5], before[1, 3, 4:6], before[1, 1, 1] = 2, 2, 0
    after = in_one_piece(before, [EPI])
    (found,) = changes(before, after, [ENDO, EPI, RIGHT])
    assert (found.region, found.pieces, found.lost, found.gained, found.slices) == ("epicardium", 2, 3, 0, (1, 2))
    hole = heart()
    hole[12, 22] = 0
    (found,) = changes(hole[None], in_one_piece(hole, [EPI])[None], [EPI])
    assert found.in_words() == "epicardium: 1 pixel more"
    assert changes(before, before, [ENDO, EPI]) == []
