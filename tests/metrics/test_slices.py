from __future__ import annotations

import numpy as np
import pytest

from ushape.errors import ImageError, SizeError
from ushape.metrics.slices import Slice


def test_a_slice_takes_booleans_or_zeros_and_ones() -> None:
    probability = np.array([[0.25, 1]], dtype=np.float32)
    truth = np.array([[0, 1]])
    for form in truth, truth.astype(np.uint8), truth == 1:
        slice_ = Slice.of(form, probability)
        assert (slice_.cells.tolist(), slice_.probability.tolist()) == ([[False, True]], [[0.25, 1]])
        assert (slice_.cells.dtype, slice_.pixels) == (np.dtype(np.bool_), 2)


def test_ignored_pixels_are_membrane_in_both_whatever_they_hold() -> None:
    truth, probability = np.array([[1, 255]]), np.array([[0.5, np.nan]], dtype=np.float32)
    slice_ = Slice.of(truth, probability, np.array([[False, True]]))
    assert (slice_.cells.tolist(), slice_.probability.tolist(), slice_.pixels) == ([[True, False]], [[0.5, 0]], 1)


def test_probabilities_have_the_precision_of_float32_and_rounding_past_the_ends_is_cut() -> None:
    truth = np.zeros((1, 3), np.bool_)
    probability = Slice.of(truth, np.array([[0.2, 1 + 1e-6, -1e-6]])).probability
    assert probability.tolist() == [[float(np.float32(0.2)), 1, 0]]
    assert probability[0, 0] > 0.2  # as in Fiji, where 51/255 passes the threshold 0.2
    assert Slice.of(truth, np.array([[0.5, 0.25, 1]], dtype=np.float16)).probability.tolist() == [[0.5, 0.25, 1]]


# --- messages


def test_shapes_that_differ_are_refused() -> None:
    truth, probability = np.zeros((4, 5), np.bool_), np.zeros((4, 5), np.float32)
    with pytest.raises(
        SizeError, match=r"truth is \(4, 5\) and the probability \(5, 4\); give both on the same pixels"
    ):
        Slice.of(truth, probability.T)
    with pytest.raises(SizeError, match=r"truth is \(4, 5\) and the ignored mask \(5, 4\)"):
        Slice.of(truth, probability, truth.T)
    with pytest.raises(SizeError, match=r"truth of a slice is \(3, 4, 5\); we take \(height, width\).*one by one"):
        Slice.of(np.zeros((3, 4, 5), np.bool_), np.zeros((3, 4, 5), np.float32))


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan, np.inf])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(
        ImageError, match=rf"1 of 2 probabilities are not within 0 to 1, such as {value}.*not the logits"
    ):
        Slice.of(np.zeros((1, 2), np.bool_), np.array([[0.5, value]]))


def test_bytes_for_probabilities_are_refused() -> None:
    with pytest.raises(ImageError, match=r"probability is uint8; we take real numbers, 0 to 1. Divide bytes by 255"):
        Slice.of(np.zeros((1, 2), np.bool_), np.zeros((1, 2), np.uint8))


def test_a_truth_of_real_numbers_is_refused() -> None:
    with pytest.raises(ImageError, match=r"truth is float64; we take booleans, or whole numbers 0 and 1.*class_map =="):
        Slice.of(np.zeros((1, 2)), np.zeros((1, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, 2, 255])
def test_a_truth_of_other_numbers_is_refused_so_that_255_is_not_cell(value: int) -> None:
    with pytest.raises(
        ImageError, match=rf"truth holds {value} \(2 pixels neither 0 nor 1\).*ignored pixels as a mask"
    ):
        Slice.of(np.array([[1, value, value]]), np.zeros((1, 3)))


def test_an_ignored_mask_that_is_not_boolean_is_refused() -> None:
    with pytest.raises(ImageError, match=r"ignored mask is uint8; we take booleans.*class_map == IGNORED"):
        Slice.of(np.zeros((1, 2), np.bool_), np.zeros((1, 2)), np.zeros((1, 2), np.uint8))
