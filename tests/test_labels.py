"""Mask values in, class numbers, probabilities, mask values out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ushape.labels import IGNORED, Labels, per_class

CELLS = Labels(("background", "cell"), (0, 255))
LAYERS = Labels(("background", "epidermis", "dermis"), (7, 3, 300), ignored_values=(9,))
COLOURED = Labels(("sky", "road"), (0x0000FF, 0x804020), coloured=True)


@pytest.mark.parametrize("labels", [CELLS, LAYERS, Labels(("a", "b"), (0, 70_000))], ids=str)
def test_what_is_encoded_decodes_to_the_users_own_values(labels):
    rng = np.random.default_rng(0)
    mask = rng.choice(labels.values, size=(13, 17)).astype(labels.mask_dtype)
    classes = labels.encode(mask)
    assert classes.dtype == np.uint8
    assert classes.max() < labels.classes
    decoded = labels.decode(classes)
    assert decoded.dtype == labels.mask_dtype
    assert np.array_equal(decoded, mask)


def test_every_class_number_decodes_and_encodes_to_itself():
    many = Labels(tuple(map(str, range(254))), tuple(range(0, 2540, 10)))
    numbers = np.arange(254, dtype=np.uint8).reshape(2, 127)
    assert np.array_equal(many.encode(many.decode(numbers)), numbers)


def test_class_numbers_follow_the_order_of_the_values_not_their_size():
    assert LAYERS.encode(np.array([[3, 7, 300]])).tolist() == [[1, 0, 2]]


def test_ignored_values_and_values_of_no_class_are_ignored():
    assert LAYERS.encode(np.array([[9, 7, 299, 65535, -1]])).tolist() == [[IGNORED, 0, IGNORED, IGNORED, IGNORED]]


def test_values_that_the_masks_type_cannot_hold_match_nothing():
    assert LAYERS.encode(np.array([[300 - 256, 3]], dtype=np.uint8)).tolist() == [[IGNORED, 1]]


@pytest.mark.parametrize(
    ("values", "dtype"), [((0, 255), np.uint8), ((0, 256), np.uint16), ((65535, 0), np.uint16), ((0, 65536), np.uint32)]
)
def test_masks_are_written_in_the_smallest_type_that_holds_their_values(values, dtype):
    labels = Labels(("a", "b"), values)
    assert labels.mask_dtype == dtype
    assert labels.decode(np.zeros((2, 2), dtype=np.uint8)).dtype == dtype


def test_coloured_masks_are_written_as_the_users_colours():
    classes = COLOURED.encode(np.array([[0x804020, 0x0000FF, 0x123456]], dtype=np.int32))
    assert classes.tolist() == [[1, 0, IGNORED]]
    decoded = COLOURED.decode(classes[:, :2])
    assert decoded.dtype == COLOURED.mask_dtype == np.uint8
    assert decoded.tolist() == [[[128, 64, 32], [0, 0, 255]]]


def test_probabilities_are_the_soft_max_over_classes():
    logits = torch.randn(2, 3, 4, 5) * 10
    probability = LAYERS.probability(logits)
    expected = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    assert torch.allclose(probability, expected, atol=1e-6)
    assert torch.allclose(probability.sum(dim=1), torch.ones(2, 4, 5))


def test_probabilities_are_float32_and_survive_extreme_logits():
    logits = torch.tensor([[[[1e4]], [[-1e4]]]]).bfloat16()
    probability = CELLS.probability(logits)
    assert probability.dtype == torch.float32
    assert probability.flatten().tolist() == [1.0, 0.0]


def test_the_most_probable_class_is_decided_and_the_first_of_equals():
    probability = np.array([[[0.2, 0.4, 1 / 3]], [[0.5, 0.4, 1 / 3]], [[0.3, 0.2, 1 / 3]]], dtype=np.float32)
    decided = LAYERS.decide(probability)
    assert decided.dtype == np.uint8
    assert decided.tolist() == [[1, 0, 0]]


def test_one_class_is_decided_everywhere():
    only = Labels(("background",), (0,))
    assert only.decide(only.probability(torch.randn(1, 1, 2, 3))[0].numpy()).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert list(only.foreground) == []


def test_the_background_comes_first_and_counts_as_no_foreground():
    assert LAYERS.classes == 3
    assert list(LAYERS.foreground) == [1, 2]


def test_colours_are_the_users_own_or_distinct():
    assert COLOURED.colour(1) == (128, 64, 32)
    nine = Labels(tuple("abcdefghi"), tuple(range(9)))
    colours = [nine.colour(k) for k in range(9)]
    assert colours[0] == (0, 0, 0)
    assert len(set(colours)) == 9
    assert all(0 <= part <= 255 for colour in colours for part in colour)
    apart = [
        max(abs(p - q) for p, q in zip(a, b, strict=True)) for i, a in enumerate(colours) for b in colours[i + 1 :]
    ]
    assert min(apart) > 40


@pytest.mark.parametrize(
    ("names", "values"),
    [(("a",), (0, 1)), (("a", "b"), (1, 1)), ((), ()), (tuple(map(str, range(255))), tuple(range(255)))],
)
def test_labels_that_contradict_themselves_break_an_invariant(names, values):
    with pytest.raises(AssertionError):
        Labels(names, values)


def test_the_one_logit_of_two_classes_is_the_foregrounds():
    logits = torch.randn(2, 1, 3, 5)
    probability = CELLS.probability(logits)
    assert torch.allclose(probability[:, 1:], torch.sigmoid(logits), atol=1e-6)
    assert torch.allclose(probability.sum(dim=1), torch.ones(2, 3, 5))
    assert torch.equal(per_class(logits)[:, 1:], logits) and not per_class(logits)[:, 0].any()
    several = torch.randn(2, 3, 4, 4)
    assert per_class(several) is several


def test_a_temperature_divides_the_logits_and_leaves_the_decision_alone():
    logits = torch.randn(1, 3, 20, 20) * 5
    plain = LAYERS.probability(logits)
    for temperature in (0.3, 1.0, 4.0):
        tempered = replace(LAYERS, temperature=temperature).probability(logits)
        assert torch.allclose(tempered, torch.softmax(logits / temperature, dim=1), atol=1e-6)
        assert torch.equal(tempered.argmax(dim=1), plain.argmax(dim=1))
    flat, steep = (replace(LAYERS, temperature=t).probability(logits).amax(dim=1) for t in (4.0, 0.3))
    assert (flat < plain.amax(dim=1)).all() and (steep >= plain.amax(dim=1)).all()


def test_the_one_logit_of_two_classes_has_a_temperature_too():
    logits = torch.randn(1, 1, 4, 4) * 5
    tempered = replace(CELLS, temperature=2.5).probability(logits)
    assert torch.allclose(tempered[:, 1:], torch.sigmoid(logits / 2.5), atol=1e-6)


def test_the_logarithms_of_probabilities_are_logits():
    logits = torch.randn(1, 3, 4, 4) * 5
    tempered = replace(LAYERS, temperature=2.5)
    assert torch.allclose(
        tempered.probability(LAYERS.probability(logits).log()), tempered.probability(logits), atol=1e-6
    )
    certain = torch.tensor([[[[0.0]], [[1.0]]]])
    assert CELLS.probability(certain.log()).flatten().tolist() == [0.0, 1.0]


def test_a_temperature_is_taken_back():
    logits = torch.randn(1, 3, 9, 9) * 20
    for temperature in (0.4, 1.0, 3.0):
        labels = replace(LAYERS, temperature=temperature)
        before = labels.untempered(labels.probability(logits)[0].numpy())
        np.testing.assert_allclose(before, LAYERS.probability(logits)[0].numpy(), atol=1e-5)


def test_uncertainty_is_the_entropy_in_parts_of_the_largest():
    probability = np.array([[1, 1 / 3, 0.5], [0, 1 / 3, 0.25], [0, 1 / 3, 0.25]], dtype=np.float32)[:, None]
    uncertainty = LAYERS.uncertainty(probability)
    assert uncertainty.dtype == np.float32
    np.testing.assert_allclose(uncertainty, [[0, 1, 1.5 * np.log(2) / np.log(3)]], atol=1e-6)
    assert uncertainty.max() <= 1
    assert Labels(("background",), (0,)).uncertainty(np.ones((1, 2, 2), np.float32)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_is_a_number_above_0(temperature: float):
    with pytest.raises(AssertionError):
        replace(CELLS, temperature=temperature)


def test_what_is_not_known_has_an_ignored_value_or_the_backgrounds():
    assert Labels(("a", "b"), (5, 9), ignored_values=(7, 8)).unknown == 7
    for labels in (Labels(("a", "b"), (5, 9)), Labels(("a", "b"), (5, 9), ignored_values=(256,))):  # which fits nowhere
        assert labels.unknown == 5
    coloured = Labels(("a", "b"), (0x010203, 9), ignored_values=(0xFF8000,), coloured=True)
    assert coloured.unknown.tolist() == [255, 128, 0]
