from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ushape.errors import ImageError, SizeError
from ushape.metrics.contingency import Contingency

label_pairs = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7).map(lambda s: (2, *s)), elements=st.integers(0, 4)
)


def pairs(table: Contingency) -> list[tuple[int, int, int]]:
    return list(zip(table.truth.tolist(), table.proposal.tolist(), table.pixels.tolist(), strict=True))


# --- facts by hand


def test_each_pair_of_objects_is_listed_once_with_its_pixels() -> None:
    truth = np.array([[1, 1, 0], [1, 7, 0]], dtype=np.uint8)
    proposal = np.array([[3, 0, 3], [3, 3, 0]], dtype=np.uint16)
    table = Contingency.of(truth, proposal)
    assert pairs(table) == [(0, 0, 1), (0, 3, 1), (1, 0, 1), (1, 3, 2), (7, 3, 1)]
    assert (table.total, table.truth_sizes().tolist(), table.proposal_sizes().tolist()) == (6, [2, 3, 1], [2, 4])
    assert pairs(table.of_true_objects()) == [(1, 0, 1), (1, 3, 2), (7, 3, 1)]
    assert pairs(table.of_objects_in_both()) == [(1, 3, 2), (7, 3, 1)]
    assert table.pixels.dtype == np.int64


def test_ids_may_be_as_large_as_they_come() -> None:
    largest = np.iinfo(np.int64).max
    table = Contingency.of(np.array([largest, 0, largest], np.uint64), np.array([5, largest, 5]))
    assert pairs(table) == [(0, largest, 1), (largest, 5, 2)]
    assert pairs(Contingency.of(np.zeros(2, np.uint8), np.array([largest, 1]))) == [(0, 1, 1), (0, largest, 1)]


def test_masks_are_label_images_of_one_object() -> None:
    assert pairs(Contingency.of(np.array([True, False]), np.array([True, True]))) == [(0, 1, 1), (1, 1, 1)]


def test_ignored_pixels_are_in_no_pair() -> None:
    truth, proposal, ignored = np.array([1, 1, 2]), np.array([1, 2, 2]), np.array([False, True, False])
    assert pairs(Contingency.of(truth, proposal, ignored)) == [(1, 1, 1), (2, 2, 1)]
    assert pairs(Contingency.of(truth, proposal, np.ones(3, np.bool_))) == []
    assert Contingency.of(np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8)).total == 0


# --- properties


@given(label_pairs, st.integers(0, 2**30))
def test_it_is_the_table_of_counting_pixel_by_pixel(maps: NDArray[np.int64], seed: int) -> None:
    ignored = np.random.default_rng(seed).random(maps[0].shape) < 0.2
    expected: dict[tuple[int, int], int] = {}
    for truth, proposal in zip(maps[0][~ignored].tolist(), maps[1][~ignored].tolist(), strict=True):
        expected[truth, proposal] = expected.get((truth, proposal), 0) + 1
    table = Contingency.of(maps[0], maps[1], ignored)
    assert pairs(table) == [(*pair, pixels) for pair, pixels in sorted(expected.items())]
    assert table.truth_sizes().sum() == table.proposal_sizes().sum() == table.total == np.count_nonzero(~ignored)


# --- messages


def test_images_of_unequal_shapes_are_refused_with_both_shapes() -> None:
    truth = np.zeros((4, 5), np.uint8)
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the proposal \(5, 4\); give both on the same pixels"):
        Contingency.of(truth, truth.T)
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the ignored mask \(4,\)"):
        Contingency.of(truth, truth, np.zeros(4, np.bool_))


def test_label_images_of_real_numbers_are_refused() -> None:
    with pytest.raises(ImageError, match=r"proposal is float32; label images are whole numbers.*thresholded mask"):
        Contingency.of(np.zeros(3, np.uint8), np.zeros(3, np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("ids", [np.array([0, -1]), np.array([0, 2**63], np.uint64)])
def test_ids_below_zero_or_too_large_are_refused(ids: NDArray[np.integer]) -> None:
    with pytest.raises(ImageError, match=rf"truth holds ids from {ids.min()} to {ids.max()}; we take 0.*Renumber"):
        Contingency.of(ids, np.zeros(2, np.uint8))


def test_an_ignored_mask_that_is_not_boolean_is_refused() -> None:
    with pytest.raises(ImageError, match=r"ignored mask is uint8; we take booleans.*class_map == IGNORED"):
        Contingency.of(np.zeros(2, np.uint8), np.zeros(2, np.uint8), np.zeros(2, np.uint8))
