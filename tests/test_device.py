"""Where to compute, and in which precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ushape import device as device_module
from ushape.device import autocast, channels_last, choose_device, faster_precision, lost_device_named
from ushape.errors import RecipeError, TrainingError

CPU = torch.device("cpu")


def test_a_named_device_is_taken():
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_left_out_it_is_the_best_there_is(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, best: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.empty(1).fill_(0.0) if device.type == best else None)
    assert choose_device().type == best


@pytest.mark.parametrize("name", ["gpu", "cud", "", "meta", "cpu:one"])
def test_a_device_that_cannot_compute_is_refused_in_one_line(name: str):
    with pytest.raises(RecipeError, match=r"cannot be used here: .*[^.]\. Take cpu, or leave the device out") as caught:
        choose_device(name)
    assert repr(name) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused():
    with pytest.raises(RecipeError, match=r"'cuda' cannot be used here: .*(CUDA|NVIDIA)"):
        choose_device("cuda")


@pytest.mark.parametrize(("ratio", "chosen"), [(0.3, "bfloat16"), (0.6, "bfloat16"), (0.7, "float32"), (4, "float32")])
def test_bfloat16_is_chosen_where_it_takes_less_than_two_thirds(
    monkeypatch: pytest.MonkeyPatch, ratio: float, chosen: str
):
    monkeypatch.setattr(device_module, "_seconds", lambda _, __, precision: ratio if precision == "bfloat16" else 1.0)
    assert faster_precision(CPU) == chosen


def test_the_choice_is_measured_in_a_moment():
    assert faster_precision(CPU) in ("float32", "bfloat16")


def test_measuring_draws_no_random_numbers_of_the_caller():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    faster_precision(CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_autocast_computes_in_the_precision_and_leaves_the_weights_in_float32():
    convolution, x = nn.Conv2d(1, 2, 3), torch.ones(1, 1, 5, 5)
    with autocast(CPU, "bfloat16"):
        assert convolution(x).dtype == torch.bfloat16
    with autocast(CPU, "float32"):
        assert convolution(x).dtype == torch.float32
    assert convolution.weight.dtype == torch.float32


def test_channels_last_changes_the_layout_and_not_the_values():
    convolution = nn.Conv2d(3, 2, 3)
    before = convolution.weight.detach().clone()
    assert channels_last(convolution) is convolution
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(convolution.weight, before)


def test_a_gpu_that_is_lost_is_no_defect_of_ours():
    told = r"The GPU is lost: CUDA error: launch failure\. What was saved"
    with pytest.raises(TrainingError, match=told), lost_device_named():
        raise RuntimeError("CUDA error: launch failure\nCompile with ...")
    with pytest.raises(RuntimeError, match="shapes"), lost_device_named():
        raise RuntimeError("shapes differ")
