"""Random numbers of a training's own, in generators that are everybody's."""

from __future__ import annotations

import pytest
import torch

from ushape.train.randomness import Randomness

CPU = torch.device("cpu")


def drawn(randomness: Randomness) -> list[float]:
    with randomness:
        return torch.rand(3).tolist()


def test_it_begins_as_the_global_generator_does_with_this_seed():
    state = torch.get_rng_state()
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.set_rng_state(state)
    assert drawn(Randomness(7, CPU)) == expected
    assert drawn(Randomness(8, CPU)) != expected


def test_two_in_turn_draw_what_each_draws_alone():
    alone = [[drawn(each) for _ in range(3)] for each in (Randomness(1, CPU), Randomness(2, CPU))]
    first, second = Randomness(1, CPU), Randomness(2, CPU)
    in_turn = [(drawn(first), drawn(second)) for _ in range(3)]
    assert [list(draws) for draws in zip(*in_turn, strict=True)] == alone


def test_the_caller_goes_on_as_if_nothing_had_been_drawn():
    state = torch.get_rng_state()
    expected = torch.rand(3)
    torch.set_rng_state(state)
    drawn(Randomness(1, CPU))
    with pytest.raises(RuntimeError, match="negative dimension"), Randomness(1, CPU):
        torch.rand(torch.randint(1, 5, ()).neg())
    assert torch.equal(torch.rand(3), expected)


def test_it_goes_on_from_a_saved_state():
    first = Randomness(1, CPU)
    drawn(first)
    second = Randomness(9, CPU)
    second.restore(first.state())
    assert drawn(second) == drawn(first)


def test_states_of_devices_that_are_not_here_are_left_alone():
    randomness = Randomness(1, CPU)
    randomness.restore({"cuda": torch.zeros(16, dtype=torch.uint8)})
    assert drawn(randomness) == drawn(Randomness(1, CPU))
    assert randomness.state().keys() == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_cuda_device_has_its_own_numbers_too():
    device = torch.device("cuda")
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    randomness = Randomness(1, device)
    with randomness:
        first = torch.rand(3, device=device)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    again = Randomness(1, device)
    with again:
        assert torch.equal(torch.rand(3, device=device), first)
    assert randomness.state().keys() == {"cpu", "cuda"}
