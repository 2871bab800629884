from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from ushape.data.borders import BorderForm, border_weights, class_balance, reach_px, separated
from ushape.errors import DataError, ImageError, RecipeError, SizeError

FORMS: tuple[BorderForm, ...] = get_args(BorderForm)
EVERY_NEIGHBOUR = np.ones((3, 3), dtype=bool)

crowds = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 5))
"""Small maps in which nearly everything touches."""


def by_a_transform_per_object(objects: NDArray[np.integer], form: BorderForm) -> NDArray[np.float64]:
    """The formulas as they are written, class weights 1."""
    away = np.full(objects.shape, np.inf)
    numbers = np.unique(objects[objects > 0])
    distances = [away, away, *(ndimage.distance_transform_edt(objects != number) for number in numbers)]
    d1, d2 = np.sort(distances, axis=0)[:2]
    if form == "unet-2015":
        background = 1 + 10 * np.exp(-((d1 + d2) ** 2) / (2 * 5**2))
    else:
        background = 0.1 + 50 * np.exp(-((d1 + d2) ** 2) / (2 * 6**2)) + 0.9 * np.exp(-(d1**2) / (2 * 10**2))
    return np.where(objects > 0, 1.0, background)


def blobs(rng: np.random.Generator, height: int, width: int, count: int, radius_px: float) -> NDArray[np.int32]:
    """Discs in random places, the later above the earlier; their numbers leave gaps, up to the largest int32."""
    objects = np.zeros((height, width), dtype=np.int32)
    y, x = np.indices((height, width))
    for number in rng.choice([1, 2, 3, 255, 256, 70_000, 2**31 - 2, 2**31 - 1, *range(1000, 1200, 3)], count, False):
        centre, size = rng.uniform(0, (height, width)), rng.uniform(0.5, 1.5) * radius_px
        objects[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= size**2] = number
    return objects


def touching_pairs(objects: NDArray[np.integer]) -> int:
    height, width = objects.shape
    framed = np.pad(objects.astype(np.int64), 1)
    pairs = 0
    for dy, dx in itertools.product((-1, 0, 1), repeat=2):
        there = framed[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        pairs += int(((objects > 0) & (there > 0) & (objects != there)).sum())
    return pairs


def touches_another(objects: NDArray[np.integer], number: int) -> NDArray[np.bool_]:
    touched: NDArray[np.bool_] = ndimage.binary_dilation((objects > 0) & (objects != number), EVERY_NEIGHBOUR)
    return touched


# --- the weights


def test_the_weights_of_2015_in_the_gap_between_two_objects_are_those_computed_by_hand() -> None:
    weights = border_weights(np.array([[7, 0, 0, 0, 9]]), form="unet-2015", class_weights=(0.5, 2.0))
    border = 0.5 + 10 * math.exp(-(4**2) / 50)  # d_1 + d_2 is 4 everywhere between them
    assert weights[0].tolist() == pytest.approx([2, border, border, border, 2])


def test_the_weights_of_2019_in_the_gap_between_two_objects_are_those_computed_by_hand() -> None:
    weights = border_weights(np.array([[7, 0, 0, 0, 9]]), form="unet-2019")
    separation = 50 * math.exp(-(4**2) / 72)
    beside, between = (0.1 + separation + 0.9 * math.exp(-(d1**2) / 200) for d1 in (1, 2))
    assert weights[0].tolist() == pytest.approx([1, beside, between, beside, 1])


def test_distances_are_euclidean() -> None:
    objects = np.zeros((5, 6), dtype=np.uint8)
    objects[0, 0], objects[4, 5] = 1, 2
    weight = border_weights(objects, form="unet-2015")[1, 2]
    assert weight == pytest.approx(1 + 10 * math.exp(-((math.sqrt(5) + math.sqrt(18)) ** 2) / 50))


def test_pieces_of_one_number_are_one_object() -> None:
    assert (border_weights(np.array([[1, 0, 1]]), form="unet-2015") == 1).all()
    pieces = border_weights(np.array([[1, 0, 1, 0, 0, 2]]), form="unet-2015")
    assert pieces[0, 1] == pytest.approx(1 + 10 * math.exp(-((1 + 4) ** 2) / 50))


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_those_of_a_distance_transform_per_object(form: BorderForm) -> None:
    rng = np.random.default_rng(0)
    sides = [(1, 1), (1, 90), (90, 1), (2, 61), (33, 47), (64, 64), (120, 90)]
    for (height, width), count, radius_px in itertools.product(sides, (0, 1, 2, 7, 60), (0.8, 4.0, 15.0)):
        objects = blobs(rng, height, width, count, radius_px)
        for its_objects in (objects, separated(objects)):
            expected = by_a_transform_per_object(its_objects, form)
            np.testing.assert_allclose(border_weights(its_objects, form=form), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_those_of_a_distance_transform_per_object_where_every_pixel_is_another(form: BorderForm) -> None:
    rng = np.random.default_rng(1)
    for share in (0.003, 0.03, 0.3, 1.0):
        objects = np.where(rng.random((50, 70)) < share, rng.permutation(3500).reshape(50, 70) + 1, 0)
        expected = by_a_transform_per_object(objects[:30, :25], form)
        np.testing.assert_allclose(border_weights(objects[:30, :25], form=form), expected, rtol=0, atol=1e-5)


@given(crowds, st.sampled_from(FORMS))
def test_weights_of_crowds_are_those_of_a_distance_transform_per_object(
    objects: NDArray[np.int32], form: BorderForm
) -> None:
    expected = by_a_transform_per_object(objects, form)
    np.testing.assert_allclose(border_weights(objects, form=form), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_rim_is_seen_and_not_weighed(form: BorderForm) -> None:
    rng = np.random.default_rng(8)
    batch = np.stack([blobs(rng, 23, 31, count, 3.0) for count in (0, 1, 9)])
    ignored = rng.random(batch.shape) < 0.2
    whole = border_weights(batch, form=form, ignored=ignored)
    for rim_px in (1, 5, 11):
        inner = border_weights(batch, form=form, ignored=ignored, rim_px=rim_px)
        np.testing.assert_array_equal(inner, whole[:, rim_px:-rim_px, rim_px:-rim_px])
        np.testing.assert_array_equal(border_weights(batch[2], form=form, ignored=ignored[2], rim_px=rim_px), inner[2])


def test_without_a_second_object_there_is_no_border() -> None:
    for objects in (np.zeros((3, 4), dtype=int), np.ones((3, 4), dtype=int), np.eye(3, dtype=int)):
        weights = border_weights(objects, form="unet-2015", class_weights=(3.0, 2.0))
        np.testing.assert_array_equal(weights, np.where(objects > 0, 2, 3))
    assert (border_weights(np.zeros((3, 4), dtype=int), form="unet-2019") == np.float32(0.1)).all()


def test_ignored_pixels_weigh_nothing_and_their_objects_are_objects_all_the_same() -> None:
    objects = np.array([[1, 0, 0, 2]])
    ignored = np.array([[False, True, False, True]])
    weights = border_weights(objects, form="unet-2015", ignored=ignored)
    assert weights[0].tolist() == pytest.approx([1, 0, 1 + 10 * math.exp(-(3**2) / 50), 0])


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_weighed_as_its_images_are(form: BorderForm) -> None:
    rng = np.random.default_rng(2)
    batch = np.stack([blobs(rng, 20, 30, 12, 3.0) for _ in range(3)])
    ignored = rng.random(batch.shape) < 0.2
    weights = border_weights(batch, form=form, ignored=ignored)
    assert weights.shape == (3, 20, 30) and weights.dtype == np.float32
    for image, its_ignored, its_weights in zip(batch, ignored, weights, strict=True):
        np.testing.assert_array_equal(its_weights, border_weights(image, form=form, ignored=its_ignored))
    assert border_weights(batch[:0], form=form).shape == (0, 20, 30)
    assert border_weights(batch[:, :, :0], form=form).shape == (3, 20, 0)


@pytest.mark.parametrize("form", FORMS)
def test_weights_do_not_depend_on_numbers_type_or_memory_order(form: BorderForm) -> None:
    objects = blobs(np.random.default_rng(3), 25, 40, 20, 4.0)
    weights = border_weights(objects, form=form)
    before = objects.copy()
    for same in (
        objects.astype(np.int64) * 3,
        objects.astype(np.uint64) << 32,
        objects.astype(">i4"),
        np.asfortranarray(objects),
        np.unique(objects, return_inverse=True)[1].reshape(objects.shape).astype(np.uint8),
    ):
        np.testing.assert_array_equal(border_weights(same, form=form), weights)
    np.testing.assert_array_equal(border_weights(objects.T, form=form), weights.T)
    np.testing.assert_array_equal(objects, before)


@pytest.mark.parametrize("form", FORMS)
def test_objects_beyond_the_reach_change_no_weight(form: BorderForm) -> None:
    reach = reach_px(form)
    objects = np.zeros((3, 3 * reach), dtype=int)
    objects[1, 0] = 1
    alone = border_weights(objects, form=form)
    for distance in (1, reach // 2, reach):
        objects[1, distance + reach + 1] = 2
        np.testing.assert_allclose(border_weights(objects, form=form)[:, distance], alone[:, distance], atol=1e-6)
        objects[1, distance + reach + 1] = 0
    everything = blobs(np.random.default_rng(4), 2 * reach + 10, 2 * reach + 12, 40, 2.0)
    patch = border_weights(everything, form=form)[reach:-reach, reach:-reach]
    wider = border_weights(np.pad(everything, 9, constant_values=77), form=form)
    np.testing.assert_allclose(patch, wider[9:-9, 9:-9][reach:-reach, reach:-reach], rtol=0, atol=1e-6)


def test_the_reach_is_hardly_longer_than_it_must_be() -> None:
    gap = np.zeros((1, 60), dtype=int)
    gap[0, 0], gap[0, reach_px("unet-2015")] = 1, 2  # the second is a pixel less than the reach from the gap's first
    assert border_weights(gap, form="unet-2015")[0, 1] > 1 + 1e-6
    one = np.zeros((1, 60), dtype=int)
    one[0, 0] = 1
    assert border_weights(one, form="unet-2019")[0, reach_px("unet-2019") - 3] > 0.1 + 1e-6


# --- class weights


def test_balanced_classes_weigh_alike_and_the_mean_pixel_weighs_one() -> None:
    for counts in ([1, 1], [30, 10], [5, 700, 123_456_789]):
        weights = class_balance(counts)
        totals = [weight * count for weight, count in zip(weights, counts, strict=True)]
        assert totals == pytest.approx([sum(counts) / len(counts)] * len(counts))


def test_a_class_without_pixels_weighs_one_and_changes_no_other() -> None:
    assert class_balance([30, 0, 10]) == (*class_balance([30, 10])[:1], 1.0, *class_balance([30, 10])[1:])


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1]])
def test_nothing_cannot_be_balanced(counts: list[int]) -> None:
    with pytest.raises(DataError, match=r"cannot be balanced by .* pixels; give how many counted pixels"):
        class_balance(counts)


# --- separation


def test_of_two_that_touch_the_larger_gives_a_gap_one_pixel_wide() -> None:
    side_by_side = np.array([[4, 4, 4, 9, 9]] * 3)
    np.testing.assert_array_equal(separated(side_by_side), [[4, 4, 0, 9, 9]] * 3)
    np.testing.assert_array_equal(separated(side_by_side.T), separated(side_by_side).T)


def test_of_equals_the_higher_number_gives_the_gap() -> None:
    np.testing.assert_array_equal(separated(np.array([[8, 8, 3, 3]])), [[8, 0, 3, 3]])


def test_a_diagonal_gap_is_two_pixels_wide_as_one_would_leave_corners_touching() -> None:
    y, x = np.indices((5, 5))
    apart = separated(np.where(x > y, 1, 2))
    np.testing.assert_array_equal(apart, np.where(x > y, 1, np.where(x < y - 1, 2, 0)))


def test_an_island_within_another_object_keeps_its_pixels() -> None:
    objects = np.full((5, 5), 6)
    objects[2, 2] = 1
    expected = objects.copy()
    expected[1:4, 1:4] = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(separated(objects), expected)


def test_lines_between_two_objects_do_not_vanish() -> None:
    one_line = np.array([[1, 1, 5, 2, 2]] * 9)
    np.testing.assert_array_equal(separated(one_line), [[1, 0, 5, 0, 2]] * 9)
    two_lines = np.array([[1, 1, 5, 6, 2, 2]] * 9)
    assert set(np.unique(separated(two_lines))) == {0, 1, 2, 5, 6}
    lines_only = np.array([[1, 2, 3, 4]] * 7)
    assert set(np.unique(separated(lines_only))) == {0, 1, 2, 3, 4}


def test_where_four_objects_of_one_pixel_meet_one_is_left() -> None:
    np.testing.assert_array_equal(separated(np.array([[1, 2], [3, 4]])), [[1, 0], [0, 0]])


def test_objects_that_do_not_touch_stay_as_they_are() -> None:
    objects = np.array([[1, 0, 2], [0, 0, 0], [3, 3, 0]], dtype=np.uint16)
    apart = separated(objects)
    np.testing.assert_array_equal(apart, objects)
    assert apart.dtype == np.uint16 and apart is not objects
    assert separated(np.zeros((0, 4), dtype=int)).shape == (0, 4)


@given(crowds)
def test_separated_objects_do_not_touch_and_no_pixel_is_taken_that_could_have_stayed(
    objects: NDArray[np.int32],
) -> None:
    before = objects.copy()
    apart = separated(objects)
    np.testing.assert_array_equal(objects, before)
    assert touching_pairs(apart) == 0
    assert (apart[apart > 0] == objects[apart > 0]).all()
    for number in np.unique(objects[objects > 0]):
        taken = (objects == number) & (apart == 0)
        assert touches_another(apart, number)[taken].all()
    np.testing.assert_array_equal(separated(apart), apart)


@given(crowds)
def test_an_object_vanishes_only_among_others_without_a_pixel_to_themselves(objects: NDArray[np.int32]) -> None:
    apart = separated(objects)
    areas = {int(number): int((objects == number).sum()) for number in np.unique(objects[objects > 0])}
    squeezed = [number for number in areas if touches_another(objects, number)[objects == number].all()]
    for number in areas.keys() - set(np.unique(apart).tolist()):
        assert number in squeezed
        no_larger = [other for other in squeezed if other != number and areas[other] <= areas[number]]
        assert ndimage.binary_dilation(np.isin(apart, no_larger), EVERY_NEIGHBOUR)[objects == number].all()


def test_real_sized_objects_lose_their_rims_at_most_and_none_vanishes() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        objects = blobs(rng, 80, 90, 40, 7.0)
        apart = separated(objects)
        assert touching_pairs(apart) == 0
        np.testing.assert_array_equal(np.unique(apart), np.unique([0, *np.unique(objects)]))
        for number in np.unique(objects[objects > 0]):
            alone = (objects == number) & ~touches_another(objects, number)
            assert (apart[alone] == number).all()


def test_a_batch_is_separated_as_its_images_are() -> None:
    rng = np.random.default_rng(6)
    batch = np.stack([blobs(rng, 20, 30, 12, 4.0) for _ in range(3)])
    for image, apart in zip(batch, separated(batch), strict=True):
        np.testing.assert_array_equal(apart, separated(image))


# --- what cannot be


def test_what_is_no_object_map_is_refused() -> None:
    calls: list[Callable[[NDArray[Any]], object]] = [separated, lambda objects: border_weights(objects, form=FORMS[0])]
    for call in calls:
        with pytest.raises(ImageError, match=r"The object map is float64; object maps are whole numbers"):
            call(np.zeros((4, 4)))
        with pytest.raises(ImageError, match=r"is bool; .* number its parts, as scipy\.ndimage\.label does"):
            call(np.zeros((4, 4), dtype=bool))
        with pytest.raises(ImageError, match=r"holds -3 \(2 negative pixels\).*hand in .* as `ignored`"):
            call(np.array([[-3, 0, -1, 4]]))
        for shape in ((4,), (1, 2, 3, 4), ()):
            with pytest.raises(SizeError, match=r"give \(height, width\), or \(images, height, width\)"):
                call(np.zeros(shape, dtype=int))


def test_what_is_no_mask_of_ignored_pixels_is_refused() -> None:
    objects = np.zeros((4, 5), dtype=int)
    with pytest.raises(ImageError, match=r"mask of ignored pixels is uint8; give booleans"):
        border_weights(objects, form="unet-2015", ignored=np.zeros((4, 5), dtype=np.uint8))
    with pytest.raises(SizeError, match=r"ignored pixels is \(5, 4\) and the object map \(4, 5\)"):
        border_weights(objects, form="unet-2015", ignored=np.zeros((5, 4), dtype=bool))


@pytest.mark.parametrize("rim_px", [-1, 2, 3])
def test_a_rim_that_leaves_nothing_is_refused(rim_px: int) -> None:
    with pytest.raises(SizeError, match=rf"A rim of {rim_px} px .* does not fit an object map of 4 x 5 pixels; give"):
        border_weights(np.zeros((4, 5), dtype=int), form="unet-2015", rim_px=rim_px)


def test_impossible_settings_are_refused() -> None:
    objects = np.zeros((4, 5), dtype=int)
    with pytest.raises(RecipeError, match=r"no border form 'unet'; choose of unet-2015, unet-2019"):
        border_weights(objects, form="unet")  # type: ignore[arg-type]
    for wrong in ((1.0, -1.0), (math.nan, 1.0), (1.0, math.inf), (1.0,)):
        with pytest.raises(RecipeError, match=r"give two numbers from 0 up, of \(background, object\)"):
            border_weights(objects, form="unet-2015", class_weights=wrong)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"unet-2019 balances the classes itself .* leave \(2.0, 1.0\) out"):
        border_weights(objects, form="unet-2019", class_weights=(2.0, 1.0))
