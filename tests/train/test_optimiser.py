"""The optimisers' groups, the learning rate over a training, and the running mean of the weights."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import nn

from ushape.models import build
from ushape.recipe import TrainingRecipe
from ushape.train.optimiser import RunningMean, learning_rate, optimiser


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("unet", width=4, depth=1, normalisation="batch")


def stirred(model: nn.Module, seed: int) -> None:
    """Other weights, statistics and counts, as after a step."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            else:
                tensor += 1


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_spares_biases_and_normalisation(name: Literal["sgd", "adamw"]):
    model = network()
    found = optimiser(model, TrainingRecipe(optimiser=name, weight_decay=0.125, learning_rate=0.5, momentum=0.75))
    decayed, spared = found.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.125, 0)
    names = {id(p): n for n, p in model.named_parameters()}
    convolutions = {n for n, p in model.named_parameters() if n.endswith("weight") and p.ndim == 4}
    assert {names[id(p)] for p in decayed["params"]} == convolutions
    assert {names[id(p)] for p in spared["params"]} == set(names.values()) - convolutions
    assert [group["lr"] for group in found.param_groups] == [0.5, 0.5]
    assert all(group.get("momentum", 0.75) == 0.75 for group in found.param_groups)


def test_biases_may_learn_at_another_rate_and_what_is_fixed_not_at_all():
    model = network()
    model.head.weight.requires_grad_(False)
    weights, biases = optimiser(model, TrainingRecipe(bias_rate=2.0)).param_groups  # FCN: twice that of the weights
    assert (weights["rate"], biases["rate"]) == (1.0, 2.0)
    assert all(p is not model.head.weight for p in weights["params"])
    assert any(p is model.head.bias for p in biases["params"])


def test_the_names_give_the_optimisers_they_name():
    assert type(optimiser(network(), TrainingRecipe(optimiser="sgd"))) is torch.optim.SGD
    assert type(optimiser(network(), TrainingRecipe(optimiser="adamw"))) is torch.optim.AdamW
    assert TrainingRecipe().momentum == 0.99  # U-Net 2015, Section 3


def test_a_constant_learning_rate_stays():
    recipe = TrainingRecipe(schedule="constant", learning_rate=0.25)
    assert {learning_rate(recipe, k / 10) for k in range(11)} == {0.25}


def test_one_cycle_rises_over_a_tenth_then_falls_to_0():
    recipe = TrainingRecipe(schedule="one-cycle", learning_rate=2.0)
    rates = [learning_rate(recipe, k / 1000) for k in range(1001)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[100] == pytest.approx(2.0)
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx(1.0)
    assert rates[1000] == pytest.approx(0, abs=1e-15)
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.02  # no jump, at the peak neither


def test_until_flat_it_stays_constant_and_falls_to_0_over_the_last_fifth():
    recipe = TrainingRecipe(schedule="until-flat", learning_rate=2.0)
    rates = [learning_rate(recipe, k / 1000) for k in range(1001)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:801] == pytest.approx([2.0] * 781)
    assert rates[900] == pytest.approx(1.0)
    assert rates[1000] == 0.0


def test_past_the_end_it_stays_at_0():
    assert learning_rate(TrainingRecipe(), 1.5) == learning_rate(TrainingRecipe(), 1.0) == 0.0


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_running_mean_is_the_recursion_it_says(decay: float):
    model = network()
    mean = RunningMean(model, decay)
    expected = {n: t.clone().double() for n, t in model.state_dict().items()}
    for step in range(1, 30):
        stirred(model, step)
        mean.update(model)
        kept = min(decay, step / (step + 9))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = kept * expected[name] + (1 - kept) * tensor.double()
            else:
                expected[name] = tensor.double()
    assert mean.steps == 29
    for name, tensor in mean.weights.items():
        assert torch.allclose(tensor.double(), expected[name], atol=1e-5), name


def test_a_mean_without_memory_is_the_last_weights_to_the_last_bit():
    model = network()
    mean = RunningMean(model, 0.0)
    for step in range(3):
        stirred(model, step)
        mean.update(model)
    assert all(torch.equal(t, mean.weights[n]) for n, t in model.state_dict().items())


def test_a_young_mean_has_nearly_forgotten_where_it_began():
    model = network()
    mean = RunningMean(model, 0.999)
    start = model.state_dict()["head.weight"].clone()
    with torch.no_grad():
        for _ in range(20):
            model.state_dict()["head.weight"].copy_(start + 1)
            mean.update(model)
    assert torch.allclose(mean.weights["head.weight"], start + 1, atol=1e-5)  # a mean of fixed decay had moved by 0.02


def test_the_mean_keeps_copies_and_leaves_the_network_alone():
    model = network()
    mean = RunningMean(model, 0.5)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    mean.update(model)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    stirred(model, 1)
    assert not torch.equal(mean.weights["head.weight"], model.state_dict()["head.weight"])
    assert not any(t.requires_grad for t in mean.weights.values())


def test_a_restored_mean_goes_on_as_the_first_did():
    model = network()
    first, second = RunningMean(model, 0.9), RunningMean(network(), 0.9)
    for step in range(5):
        stirred(model, step)
        first.update(model)
    second.restore({n: t.clone() for n, t in first.weights.items()}, first.steps)
    for step in range(5, 9):
        stirred(model, step)
        first.update(model)
        second.update(model)
    assert first.steps == second.steps == 9
    assert all(torch.equal(t, second.weights[n]) for n, t in first.weights.items())


def test_a_mean_is_not_restored_by_halves():
    mean = RunningMean(network(), 0.9)
    weights = dict(mean.weights)
    weights.pop("head.bias")
    with pytest.raises(KeyError, match=r"head\.bias"):
        mean.restore(weights, 3)
