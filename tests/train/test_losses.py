"""Each loss against a plain loop over pixels; ignored pixels count in none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ushape.labels import IGNORED
from ushape.train.losses import LossName, cross_entropy, dice_loss, loss, stand_for

NAMES: list[LossName] = ["cross-entropy", "dice", "cross-entropy+dice"]


def batch(classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(2, K, 4, 5) logits, class maps with ignored pixels, and weights."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, classes, 4, 5, generator=generator)
    truth = torch.randint(0, classes, (2, 4, 5), generator=generator).to(torch.uint8)
    truth[torch.rand(2, 4, 5, generator=generator) < 0.3] = IGNORED
    return logits, truth, torch.rand(2, 4, 5, generator=generator) * 10


def probability_of(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def plain_cross_entropy(logits: Tensor, truth: Tensor, class_weights: Tensor | None, weights: Tensor | None) -> float:
    energy, counted = 0.0, 0
    for n, y, x in np.ndindex(*truth.shape):
        number = int(truth[n, y, x])
        if number != IGNORED:
            weight = 1.0 if class_weights is None else float(class_weights[number])
            weight *= 1.0 if weights is None else float(weights[n, y, x])
            energy -= weight * math.log(probability_of(logits[n, :, y, x].double().numpy())[number])
            counted += 1
    return energy / counted


def plain_dice_loss(logits: Tensor, truth: Tensor) -> float:
    dices = []
    for number in range(1, logits.shape[1]):
        both = either = 0.0
        for n, y, x in np.ndindex(*truth.shape):
            if int(truth[n, y, x]) != IGNORED:
                p = probability_of(logits[n, :, y, x].double().numpy())[number]
                g = float(truth[n, y, x] == number)
                both, either = both + p * g, either + p + g
        dices.append((2 * both + 1) / (either + 1))
    return 1 - sum(dices) / len(dices)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_losses_agree_with_a_loop_over_pixels(classes: int, seed: int):
    logits, truth, weights = batch(classes, seed)
    class_weights = torch.linspace(0.5, 2, classes)
    for c in (None, class_weights):
        for w in (None, weights):
            found = cross_entropy(logits, truth, c, w).item()
            assert found == pytest.approx(plain_cross_entropy(logits, truth, c, w), rel=1e-5)
    assert dice_loss(logits, truth).item() == pytest.approx(plain_dice_loss(logits, truth), rel=1e-5)


def test_the_named_losses_are_these_and_their_sum():
    logits, truth, weights = batch()
    class_weights = torch.tensor([1.0, 2.0, 3.0])
    of = {n: loss([logits], truth, name=n, class_weights=class_weights, weights=weights).item() for n in NAMES}
    assert of["cross-entropy"] == pytest.approx(cross_entropy(logits, truth, class_weights, weights).item())
    assert of["dice"] == pytest.approx(dice_loss(logits, truth).item())
    assert of["cross-entropy+dice"] == pytest.approx(of["cross-entropy"] + of["dice"])


def test_several_outputs_are_averaged():
    (first, truth, _), (second, _, _) = batch(), batch(seed=1)
    for name in NAMES:
        each = [loss([x], truth, name=name, class_weights=None, weights=None).item() for x in (first, second)]
        both = loss([first, second], truth, name=name, class_weights=None, weights=None).item()
        assert both == pytest.approx(sum(each) / 2)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_network_says_of_an_ignored_pixel_changes_nothing(name: LossName):
    logits, truth, weights = batch()
    ignored = (truth == IGNORED)[:, None]
    other = torch.where(ignored, 100 * torch.randn(logits.shape), logits).requires_grad_()
    energy = loss([other], truth, name=name, class_weights=None, weights=weights)
    assert energy.item() == pytest.approx(loss([logits], truth, name=name, class_weights=None, weights=weights).item())
    (gradient,) = torch.autograd.grad(energy, other)
    assert not gradient.masked_select(ignored).any()
    assert gradient.masked_select(~ignored).all()


@pytest.mark.parametrize("name", NAMES)
def test_pixels_cost_the_same_wherever_they_are_among_ignored_ones(name: LossName):
    logits, truth, weights = batch()
    counted = torch.zeros_like(truth, dtype=torch.bool)
    counted[0, 1, :3], counted[1, 3, 4] = True, True  # a stroke in one patch, a dot in the other
    truth = torch.where(counted, torch.tensor(1, dtype=torch.uint8), truth.new_tensor(IGNORED))
    truth[1, 3, 4] = 2
    alone = logits.movedim(1, -1)[counted].T[None, :, None]
    even = torch.ones(3)
    found = loss([logits], truth, name=name, class_weights=even, weights=weights).item()
    of_pixels = loss(
        [alone], truth[counted][None, None], name=name, class_weights=even, weights=weights[counted][None, None]
    )
    assert found == pytest.approx(of_pixels.item(), rel=1e-5)


def scribbled(seed: int = 0) -> tuple[Tensor, Tensor]:
    """(1, 2, 100, 100) logits, a fifth of which is surely of class 1, and a map with 40 annotated pixels of each."""
    logits = torch.zeros(1, 2, 100, 100)
    logits[:, 1] = torch.where(torch.arange(100) < 20, 9.0, -9.0)
    truth = torch.full((1, 100, 100), IGNORED, dtype=torch.uint8)
    truth[0, :40, 3], truth[0, :40, 70] = 1, 0
    return logits, truth


def test_annotated_pixels_stand_for_the_shares_that_the_network_answers():
    logits, truth = scribbled()
    stands_for = stand_for(logits, truth)
    assert stands_for is not None
    assert stands_for.tolist() == pytest.approx([0.8 / 0.5, 0.2 / 0.5], rel=1e-3)
    logits[:, 1] = -20.0  # no more than eightfold: a class that is never answered would be learned no more
    assert (stand_for(logits, truth) / stand_for(logits, truth)[0])[1] == pytest.approx(1 / 8 / 2)
    truth[0, :51] = 0
    assert stand_for(logits, truth) is None  # half is annotated


def test_scribbles_weigh_by_what_they_stand_for_unless_class_weights_are_asked_for():
    logits, truth = scribbled()
    noisy = logits + torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)) * 5
    stands_for = stand_for(noisy, truth)
    energy = cross_entropy(noisy, truth, stands_for, None)
    dice = dice_loss(noisy, truth, class_weights=stands_for)
    found = {n: loss([noisy, noisy], truth, name=n, class_weights=None, weights=None).item() for n in NAMES}
    assert found["cross-entropy"] == pytest.approx(energy.item())
    assert found["dice"] == pytest.approx(dice.item())
    assert found["cross-entropy+dice"] == pytest.approx(energy.item() + dice.item())
    assert found["dice"] != pytest.approx(dice_loss(noisy, truth).item(), rel=1e-3)
    asked = loss([noisy], truth, name="cross-entropy", class_weights=torch.ones(2), weights=None)
    assert asked.item() == pytest.approx(cross_entropy(noisy, truth, None, None).item())


def test_dice_with_class_weights_is_that_of_as_many_pixels():
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.1, 0.4, -0.2]]).repeat(1, 40)[None, :, None]
    truth = torch.tensor([0, 1, 1], dtype=torch.uint8).repeat(40)[None, None]
    threefold = torch.cat([logits, logits[..., truth[0, 0] == 1], logits[..., truth[0, 0] == 1]], dim=-1)
    more = torch.cat([truth, torch.ones(1, 1, 160, dtype=torch.uint8)], dim=-1)
    found = dice_loss(logits, truth, class_weights=torch.tensor([1.0, 3.0]))
    assert found.item() == pytest.approx(dice_loss(threefold, more).item())


def test_a_network_of_a_single_channel_is_weighed_alike():
    logits, truth = scribbled()
    one = (logits[:, 1:] - logits[:, :1]) / 3
    two = torch.cat([torch.zeros_like(one), one], dim=1)
    for name in NAMES:
        found = [loss([x], truth, name=name, class_weights=None, weights=None).item() for x in (one, two)]
        assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [True, False])
def test_a_batch_of_ignored_pixels_alone_costs_0_and_teaches_nothing(name: LossName, weighted: bool):
    logits, truth, weights = batch()
    logits.requires_grad_()
    energy = loss(
        [logits],
        torch.full_like(truth, IGNORED),
        name=name,
        class_weights=torch.ones(3) if weighted else None,
        weights=weights if weighted else None,
    )
    energy.backward()
    assert energy.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_a_class_of_weight_0_costs_nothing():
    logits, truth, _ = batch()
    only = torch.full_like(truth, 1)
    assert cross_entropy(logits, only, torch.tensor([1.0, 0.0, 1.0]), None).item() == 0


def test_the_right_answer_costs_almost_nothing_and_the_wrong_one_much():
    truth = torch.tensor([[[0, 1], [2, 1]]], dtype=torch.uint8)
    right = 50 * torch.nn.functional.one_hot(truth.long(), 3).movedim(-1, 1).float()
    assert cross_entropy(right, truth, None, None).item() < 1e-6
    assert dice_loss(right, truth).item() < 1e-6
    assert cross_entropy(-right, truth, None, None).item() > 40
    assert dice_loss(right.roll(1, 1), truth).item() > 0.5


def test_a_class_in_neither_truth_nor_answer_costs_no_dice():
    truth = torch.zeros(1, 4, 4, dtype=torch.uint8)
    truth[0, :2] = 1
    logits = torch.full((1, 3, 4, 4), -50.0)
    logits[0, 1, :2], logits[0, 0, 2:] = 50, 50
    assert dice_loss(logits, truth).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_are_scored_in_float32(name: LossName):
    logits, truth, _ = batch()
    half = logits.bfloat16()
    found = loss([half], truth, name=name, class_weights=None, weights=None)
    assert found.dtype == torch.float32
    assert found.item() == loss([half.float()], truth, name=name, class_weights=None, weights=None).item()


def test_the_gradient_of_every_loss_is_that_of_its_formula():
    logits, truth, weights = batch()
    exact = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, truth, None, weights.double()), [exact])
    assert torch.autograd.gradcheck(lambda x: dice_loss(x, truth), [exact])
