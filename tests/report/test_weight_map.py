from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ushape.errors import SizeError
from ushape.report.colour_scale import scale
from ushape.report.weight_map import _numbers, weight_map

MARGIN = 16


def map_alone(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return picture[MARGIN : MARGIN + height, MARGIN : MARGIN + width]


def test_weights_become_colours_from_the_smallest_to_the_largest() -> None:
    weights = np.linspace(1, 11, 600 * 600).reshape(600, 600)
    picture = weight_map(weights, np.zeros((600, 600), dtype=np.int32))
    assert picture.dtype == np.uint8 and picture.shape[0] == 600 + 2 * MARGIN
    shown = map_alone(picture, 600, 600)
    assert np.array_equal(shown[0, 0], scale()[0]) and np.array_equal(shown[-1, -1], scale()[-1])
    assert np.array_equal(np.unique(shown.reshape(-1, 3), axis=0), np.unique(scale(), axis=0))


def test_small_images_are_enlarged_by_a_whole_factor() -> None:
    weights = np.arange(100 * 90.0).reshape(100, 90)
    shown = map_alone(weight_map(weights, np.zeros((100, 90), dtype=np.uint8)), 600, 540)
    assert np.array_equal(shown, shown[::6, ::6].repeat(6, axis=0).repeat(6, axis=1))


def test_outlines_lie_within_the_objects_also_where_two_touch_and_not_at_the_end_of_the_image() -> None:
    objects = np.zeros((600, 600), dtype=np.uint16)
    objects[100:200, 100:200] = 7
    objects[100:200, 200:300] = 900
    objects[500:, 500:] = 3
    shown = map_alone(weight_map(np.ones((600, 600)), objects), 600, 600)
    light = shown[..., 1] > 150
    expected = np.zeros((600, 600), dtype=bool)
    for rows, columns in ((slice(100, 200), slice(100, 200)), (slice(100, 200), slice(200, 300))):
        expected[rows, columns] = True
        expected[rows.start + 1 : rows.stop - 1, columns.start + 1 : columns.stop - 1] = False
    expected[500, 500:] = expected[500:, 500] = True
    assert np.array_equal(light, expected)


def test_the_bar_holds_all_colours_from_light_above_to_dark_below_and_has_numbers_beside_it() -> None:
    weights = np.linspace(0, 3, 600 * 600).reshape(600, 600)
    picture = weight_map(weights, np.zeros((600, 600), dtype=np.uint8))
    bar = picture[MARGIN : MARGIN + 600, 600 + 2 * MARGIN + 3]
    assert np.abs(bar[0].astype(int) - scale()[-1]).max() <= 2 and np.abs(bar[-1].astype(int) - scale()[0]).max() <= 2
    beside = picture[:, 600 + 2 * MARGIN + 30 :]
    assert (beside < 100).all(axis=-1).sum() > 100


def test_one_weight_everywhere_and_no_numbers_at_all_are_shown_too() -> None:
    for value in (1.0, np.nan, np.inf):
        picture = weight_map(np.full((20, 30), value), np.zeros((20, 30), dtype=np.uint8))
        assert picture[MARGIN, MARGIN].tolist() in (scale()[0].tolist(), scale()[-1].tolist())


def test_what_is_handed_in_is_left_alone() -> None:
    weights, objects = np.random.default_rng(0).random((40, 40)), np.eye(40, dtype=np.int32)
    copies = weights.copy(), objects.copy()
    weight_map(weights, objects)
    assert np.array_equal(weights, copies[0]) and np.array_equal(objects, copies[1])


@pytest.mark.parametrize(
    ("weights", "objects"), [((4, 5), (5, 4)), ((4, 5, 1), (4, 5, 1)), ((0, 5), (0, 5)), ((4, 5), (4, 5, 3))]
)
def test_maps_that_do_not_fit_are_refused_with_their_shapes(weights: tuple[int, ...], objects: tuple[int, ...]) -> None:
    with pytest.raises(SizeError, match=r"The weights are \(.*\) and the objects \(.*; give both as \(height, width\)"):
        weight_map(np.ones(weights), np.zeros(objects, dtype=np.int32))


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.integers(1, 30),
)
def test_numbers_along_the_bar_are_the_ends_and_round_ones_between_that_keep_their_distance(
    low: float, span: float, most: int
) -> None:
    high = low + span
    if not low < high:
        return
    numbers = [number for number, _ in _numbers(low, high, most)]
    assert numbers[0] == low and numbers[-1] == high and len(numbers) <= max(most, 2) + 1
    assert (np.diff(numbers) >= 0.99 * (high - low) / max(most, 2)).all()


def test_numbers_are_written_with_the_digits_they_need() -> None:
    assert [text for _, text in _numbers(0.1, 48.3, 8)] == ["0.1", "10", "20", "30", "40", "48.3"]
    assert [text for _, text in _numbers(0.98, 1.04, 5)] == ["0.980", "1.00", "1.02", "1.040"]
    assert [text for _, text in _numbers(2.5, 2.5, 5)] == ["2.5"]
