from __future__ import annotations

import numpy as np
import pytest

from ushape.errors import ImageError, SizeError
from ushape.metrics.foreground import ForegroundMap

TRUTH = np.array([[True, False, False], [True, True, False]])
PROBABILITY = np.array([[0.5, 0.25, 0.25], [0.75, 0.5, 0.25]])


def test_stretching_puts_the_lowest_at_0_and_the_highest_at_1() -> None:
    stretched = ForegroundMap.of(TRUTH, PROBABILITY).stretched()
    assert stretched.probability.tolist() == [[0.5, 0, 0], [1, 0.5, 0]]


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_flat_map_stays_as_it_is(level: float) -> None:
    assert (ForegroundMap.of(TRUTH, np.full(TRUTH.shape, level)).stretched().probability == level).all()


def test_what_is_ignored_is_no_truth_has_no_probability_and_stretches_nothing() -> None:
    ignored = np.array([[False, False, True], [True, False, False]])
    probability = PROBABILITY.copy()
    probability[ignored] = [np.nan, 7]
    foreground = ForegroundMap.of(TRUTH, probability, ignored)
    assert foreground.truth.tolist() == [[True, False, False], [False, True, False]]
    assert foreground.stretched().probability.tolist() == [[1, 0, 0], [0, 1, 0]]
    truth, counted = foreground.pixels()
    assert (truth.tolist(), counted.tolist()) == ([True, False, True, False], [0.5, 0.25, 0.5, 0.25])
    assert foreground.pixels(slice(1, 2), slice(0, 2))[1].tolist() == [0.5]


def test_the_arrays_given_are_not_changed() -> None:
    probability, ignored = PROBABILITY.copy(), ~TRUTH
    ForegroundMap.of(TRUTH, probability, ignored).stretched()
    assert (probability == PROBABILITY).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floating_type_is_taken_and_rounding_past_the_ends_is_cut_off(dtype: type) -> None:
    probability = np.array([[1, 0, 0.5], [0, 0, 0]], dtype=dtype) + dtype(3e-6)
    foreground = ForegroundMap.of(TRUTH, probability)
    assert foreground.probability.dtype == np.float64
    assert foreground.probability.max() == 1


# --- messages


@pytest.mark.parametrize("value", [-3.5, 1.5, np.nan, np.inf])
def test_logits_and_nan_are_refused_with_their_number(value: float) -> None:
    probability = PROBABILITY.copy()
    probability[0, :2] = value
    with pytest.raises(
        ImageError, match=rf"2 of 6 probabilities are not within 0 to 1, such as {value}; .*not the log"
    ):
        ForegroundMap.of(TRUTH, probability)


def test_maps_of_unequal_shapes_are_refused_with_both_shapes() -> None:
    with pytest.raises(SizeError, match=r"truth is \(2, 3\) and the probability \(3, 2\).*same pixels"):
        ForegroundMap.of(TRUTH, PROBABILITY.T)
    with pytest.raises(SizeError, match=r"truth is \(2, 3\) and the mask of ignored pixels \(3, 2\)"):
        ForegroundMap.of(TRUTH, PROBABILITY, ~TRUTH.T)


def test_a_stack_of_images_is_refused() -> None:
    with pytest.raises(SizeError, match=r"truth is \(1, 2, 3\); saliency is scored image by image"):
        ForegroundMap.of(TRUTH[None], PROBABILITY[None])


def test_masks_that_are_not_boolean_are_refused() -> None:
    with pytest.raises(ImageError, match=r"truth is uint8; we take booleans. Give `class_map == number`"):
        ForegroundMap.of(TRUTH.astype(np.uint8), PROBABILITY)
    with pytest.raises(ImageError, match=r"mask of ignored pixels is float64; .*IGNORED"):
        ForegroundMap.of(TRUTH, PROBABILITY, PROBABILITY)


def test_an_image_of_which_nothing_counts_is_refused() -> None:
    with pytest.raises(ImageError, match="None of 6 pixels counts; leave this image out"):
        ForegroundMap.of(TRUTH, PROBABILITY, np.ones_like(TRUTH))
    with pytest.raises(ImageError, match="None of 0 pixels counts"):
        ForegroundMap.of(TRUTH[:0], PROBABILITY[:0])
