from __future__ import annotations

import math

import pytest
import torch

from ushape.engines.agreement import Agreement, agreement, noise
from ushape.models.unet import UNet


def logits(seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(1, 2, 40, 50, generator=torch.Generator().manual_seed(seed))


def test_equal_logits_agree():
    assert agreement(logits(), logits()) == Agreement(0.0, 0, 2000)
    assert agreement(logits(), logits()).holds


def test_the_difference_is_counted_in_deviations_of_ours():
    shifted = logits()
    shifted[0, 0, 3, 4] += 0.3
    found = agreement(logits(), shifted)
    assert found.difference == pytest.approx(0.3 / float(logits().std()), rel=1e-3)
    assert not found.holds
    assert not agreement(100 * logits(), 100 * shifted).holds
    assert agreement(logits(), logits() + 1e-5).holds


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_labels_that_flip_are_counted(classes):
    ours = torch.full((1, classes, 4, 5), -1.0)
    ours[:, 0] = 1
    theirs = ours.clone()
    theirs[:, :, 0, :3] = -2.0
    theirs[:, -1, 0, :3] = -1.0
    assert agreement(ours, theirs).flipped == 3
    assert not agreement(ours, theirs).holds


@pytest.mark.parametrize("theirs", [torch.full((1, 2, 40, 50), math.nan), torch.zeros(1, 2, 40, 49)])
def test_what_is_no_answer_never_agrees(theirs):
    assert agreement(logits(), theirs).difference == math.inf
    assert not agreement(logits(), theirs).holds


def test_noise_is_the_same_each_time_and_as_images_are():
    net = UNet(in_channels=3, width=4)
    x = noise(net, 60, 64)
    assert x.shape == (1, 3, 60, 64)
    assert torch.equal(x, noise(net, 60, 64))
    assert abs(float(x.mean())) < 0.05 and abs(float(x.std()) - 1) < 0.05
