from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError
from ushape.metrics.overlaps import Objects, Pairs, overlaps

object_maps = hnp.arrays(np.int64, (2, 4, 7), elements=st.integers(0, 4))
"""Truth and prediction on top of each other."""

masks = hnp.arrays(bool, (4, 7))


def sizes_of(objects: Objects) -> dict[int, int]:
    return dict(zip(objects.ids.tolist(), objects.sizes.tolist(), strict=True))


def shared_of(truth: Objects, predicted: Objects, pairs: Pairs) -> dict[tuple[int, int], int]:
    ids = zip(truth.ids[pairs.truth].tolist(), predicted.ids[pairs.predicted].tolist(), strict=True)
    return dict(zip(ids, pairs.shared.tolist(), strict=True))


# --- facts by hand


def test_objects_have_sizes_and_pairs_have_the_pixels_they_share() -> None:
    truth = np.array([[9, 9, 0], [9, 2, 2]])
    predicted = np.array([[0, 4, 4], [4, 4, 7]])
    true_objects, predicted_objects, pairs = overlaps(truth, predicted)
    assert sizes_of(true_objects) == {9: 3, 2: 2}
    assert sizes_of(predicted_objects) == {4: 4, 7: 1}
    assert shared_of(true_objects, predicted_objects, pairs) == {(9, 4): 2, (2, 4): 1, (2, 7): 1}


def test_objects_stand_in_the_order_of_their_first_pixels() -> None:
    truth = np.array([[0, 9, 9], [2, 2, 9], [5, 2, 0]])
    assert overlaps(truth, truth)[0].ids.tolist() == [9, 2, 5]


def test_an_object_in_several_pieces_is_one_object() -> None:
    truth = np.array([[3, 0, 3, 0, 3]])
    true_objects, predicted_objects, pairs = overlaps(truth, np.array([[3, 3, 3, 3, 0]]))
    assert (len(true_objects), len(predicted_objects)) == (1, 1)
    assert pairs.shared.tolist() == [2]


def test_the_largest_id_is_an_id_and_does_not_mix_with_others() -> None:
    largest = 2**32 - 1
    truth, predicted = np.array([[largest, 1, 0]], dtype=np.uint64), np.array([[1, largest, largest]], dtype=np.int64)
    assert shared_of(*overlaps(truth, predicted)) == {(largest, 1): 1, (1, largest): 1}


def test_maps_without_objects_or_without_pixels_have_no_pairs() -> None:
    for shape in ((3, 4), (0, 4), (0, 0)):
        empty = np.zeros(shape, dtype=np.uint16)
        true_objects, predicted_objects, pairs = overlaps(empty, empty, np.zeros(shape, dtype=bool))
        assert (len(true_objects), len(predicted_objects), len(pairs.shared)) == (0, 0, 0)


def test_objects_wholly_on_ignored_pixels_are_gone_and_others_are_cut() -> None:
    truth, ignored = np.array([[1, 1, 0, 2, 2, 2]]), np.array([[1, 1, 0, 1, 0, 0]], dtype=bool)
    true_objects, predicted_objects, pairs = overlaps(truth, np.array([[0, 8, 8, 6, 0, 6]]), ignored)
    assert sizes_of(true_objects) == {2: 2}
    assert sizes_of(predicted_objects) == {8: 1, 6: 1}
    assert shared_of(true_objects, predicted_objects, pairs) == {(2, 6): 1}


def test_an_object_is_excused_where_more_than_half_of_it_is_ignored() -> None:
    predicted = np.array([[9, 9, 9, 9], [3, 3, 3, 0], [5, 5, 5, 5]])
    ignored = np.array([[True, True, False, False]] * 3)
    objects = overlaps(np.zeros_like(predicted), predicted, ignored)[1]
    assert objects.ids[objects.excused].tolist() == [3]  # half of 9 and 5 is not more than half


def test_two_excused_objects_are_no_pair_but_one_and_another_are() -> None:
    truth = np.array([[1, 1, 1, 5, 5, 0]])
    predicted = np.array([[3, 3, 3, 3, 0, 0]])
    ignored = np.array([[True, True, True, False, False, False]])
    assert shared_of(*overlaps(truth, predicted, ignored)) == {(5, 3): 1}
    ignored = np.array([[True, True, False, False, False, False]])
    assert shared_of(*overlaps(truth, predicted, ignored)) == {(1, 3): 1, (5, 3): 1}  # half of 3 is not more than half
    ignored = np.array([[True, True, False, True, False, False]])
    assert shared_of(*overlaps(truth, predicted, ignored)) == {}


# --- properties


@given(object_maps, masks)
@settings(max_examples=80)
def test_the_table_is_that_of_a_loop_over_pixels(maps: NDArray[np.int64], ignored: NDArray[np.bool_]) -> None:
    pixels = list(zip(*(image.ravel().tolist() for image in (*maps, ignored)), strict=True))
    seen = [(true, found) for true, found, hidden in pixels if not hidden]
    true_objects, predicted_objects, pairs = overlaps(*maps, ignored)
    for objects, which in ((true_objects, 0), (predicted_objects, 1)):
        sizes = Counter(pair[which] for pair in seen if pair[which])
        whole = Counter(pixel[which] for pixel in pixels)
        assert list(sizes_of(objects).items()) == list(sizes.items())  # both in the order of first pixels
        assert objects.excused.tolist() == [2 * (whole[i] - n) > whole[i] for i, n in sizes.items()]
    excused = [set(objects.ids[objects.excused]) for objects in (true_objects, predicted_objects)]
    shared = Counter(pair for pair in seen if all(pair) and not (pair[0] in excused[0] and pair[1] in excused[1]))
    assert list(shared_of(true_objects, predicted_objects, pairs).items()) == list(shared.items())


@given(object_maps, st.permutations(range(1, 5)), st.sampled_from([np.uint8, np.int16, np.uint32, np.int64]))
@settings(max_examples=40)
def test_new_ids_and_another_integer_type_change_nothing_else(
    maps: NDArray[np.int64], names: list[int], dtype: type[np.integer]
) -> None:
    before, after = overlaps(*maps), overlaps(np.array([0, *names])[maps[0]].astype(dtype), 25 * maps[1].astype(dtype))
    assert after[0].ids.tolist() == [names[i - 1] for i in before[0].ids]
    assert after[1].ids.tolist() == (25 * before[1].ids).tolist()
    for one, other in pairwise([before, after]):
        for field in ("truth", "predicted", "shared"):
            assert np.array_equal(getattr(one[2], field), getattr(other[2], field))


@given(object_maps, masks)
@settings(max_examples=40)
def test_views_give_what_copies_give_and_are_left_alone(maps: NDArray[np.int64], ignored: NDArray[np.bool_]) -> None:
    views = maps[0][::-1, ::2], maps[1][::-1, ::2], ignored[::-1, ::2]
    kept = [view.copy() for view in views]
    assert shared_of(*overlaps(*views)) == shared_of(*overlaps(*kept))
    assert all(np.array_equal(view, copy) for view, copy in zip(views, kept, strict=True))


# --- planted bad input

GOOD = np.array([[0, 1, 1], [2, 2, 0]])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (GOOD.astype(np.float32), r"The prediction is float32; object maps are whole numbers, 0 .* cast: .astype"),
        (GOOD > 0, r"The prediction is a boolean mask and tells no object from another; .* skimage.measure.label"),
        (-GOOD, r"The prediction holds the id -1; ids are 1 to 4294967295, 0 is no object. Give .* `ignored`"),
        (GOOD.astype(np.uint64) << np.uint64(32), r"The prediction holds the id 4294967296; ids are 1 to 4294967295"),
    ],
)
def test_maps_that_hold_no_ids_are_refused(bad: NDArray[np.integer], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        overlaps(GOOD, bad)
    with pytest.raises(ImageError, match=words.replace("prediction", "truth")):
        overlaps(bad, GOOD)


def test_ids_out_of_range_are_found_under_ignored_pixels_too() -> None:
    with pytest.raises(ImageError, match="The truth holds the id -1"):
        overlaps(np.where(GOOD == 0, -1, GOOD), GOOD, GOOD == 0)


def test_colour_images_and_stacks_are_refused() -> None:
    for channels in (3, 4):
        with pytest.raises(SizeError, match=rf"The truth is \(2, 3, {channels}\), a colour image; .* each colour into"):
            overlaps(np.repeat(GOOD[..., None], channels, axis=2), GOOD)
    with pytest.raises(SizeError, match=r"The prediction is \(5, 2, 7\); an object map is \(height, width\). Give one"):
        overlaps(GOOD, np.zeros((5, 2, 7), dtype=int))


def test_shapes_that_differ_are_refused_and_a_turned_one_is_named() -> None:
    with pytest.raises(SizeError, match=r"The truth is \(2, 3\) and the prediction \(4, 6\); .* unscaled\.$"):
        overlaps(GOOD, np.zeros((4, 6), dtype=int))
    with pytest.raises(SizeError, match=r"The truth is \(2, 3\) and the prediction \(3, 2\); .* transpose one of them"):
        overlaps(GOOD, GOOD.T)
    with pytest.raises(SizeError, match=r"The truth is \(2, 3\) and the mask of ignored pixels \(3, 2\); .* transpose"):
        overlaps(GOOD, GOOD, GOOD.T > 0)


def test_an_ignored_mask_of_numbers_is_refused() -> None:
    with pytest.raises(ImageError, match=r"The ignored pixels are uint8; we take booleans.*class_map == IGNORED"):
        overlaps(GOOD, GOOD, np.zeros((2, 3), dtype=np.uint8))
