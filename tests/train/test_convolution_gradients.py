from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

import ushape
from ushape.train.convolution_gradients import fast_gradients, up_gradients, weight_gradient

CPU = torch.device("cpu")


@pytest.fixture
def on_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor with AVX2 and no more, whatever this one has."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (1, 0), (2, 3)])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (8, 3), (5, 16)])
def test_it_is_the_gradient_that_pytorch_finds(inputs: int, outputs: int, padding: tuple[int, int]) -> None:
    image, gradient, weight = drawn(3, inputs, outputs, (9, 14), padding)
    expected = pytorchs(gradient, image, weight, padding)
    torch.testing.assert_close(weight_gradient(gradient, image, padding), expected, rtol=1e-10, atol=1e-10)


def test_an_image_larger_than_a_piece_gives_the_same() -> None:
    image, gradient, weight = drawn(1, 8, 2, (301, 300), (1, 1))  # 301 × 300 × 3 × 8 numbers: more than four pieces
    torch.testing.assert_close(weight_gradient(gradient, image, (1, 1)), pytorchs(gradient, image, weight, (1, 1)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_of_an_up_convolution_both_are_what_pytorch_finds(layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    image, weight, gradient = (
        torch.randn(s, generator=generator, dtype=torch.float64).contiguous(memory_format=layout)
        for s in [(3, 4, 5, 6), (4, 7, 2, 2), (3, 7, 10, 12)]
    )
    image.requires_grad_(), weight.requires_grad_()
    expected = torch.autograd.grad(nn.functional.conv_transpose2d(image, weight, stride=2), [image, weight], gradient)
    for ours, theirs in zip(up_gradients(gradient, image.detach(), weight.detach()), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_whole_network_gets_the_same_gradients(on_avx2: None, layout: torch.memory_format) -> None:
    networks = [network(layout) for _ in range(2)]
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    for net, context in zip(networks, (nullcontext(), fast_gradients(CPU)), strict=True):
        with context:
            net(image).square().mean().backward()
    for ours, theirs in zip(*(net.parameters() for net in networks), strict=True):
        assert ours.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


def test_strides_dilations_and_groups_are_left_to_pytorch(on_avx2: None) -> None:
    for options in ({"stride": 2}, {"dilation": 2}, {"groups": 2}, {"kernel_size": 5}, {"kernel_size": 1}):
        convolution = nn.Conv2d(8, 8, **{"kernel_size": 3, **options})  # type: ignore[arg-type]
        image = torch.randn(1, 8, 16, 16)
        expected = torch.autograd.grad(convolution(image).sum(), convolution.weight)[0]
        with fast_gradients(CPU):
            found = torch.autograd.grad(convolution(image).sum(), convolution.weight)[0]
        assert torch.equal(found, expected)


def test_up_convolutions_that_overlap_or_are_cut_are_left_to_pytorch(on_avx2: None) -> None:
    for options in ({"kernel_size": 4}, {"padding": 1}, {"output_padding": 1}, {"groups": 2}, {"stride": 3}):
        convolution = nn.ConvTranspose2d(8, 8, **{"kernel_size": 2, "stride": 2, **options})  # type: ignore[arg-type]
        image = torch.randn(1, 8, 6, 6)
        expected = torch.autograd.grad(convolution(image).sum(), convolution.weight)[0]
        with fast_gradients(CPU):
            found = torch.autograd.grad(convolution(image).sum(), convolution.weight)[0]
        assert torch.equal(found, expected)


def test_bfloat16_is_left_to_pytorch(on_avx2: None) -> None:
    convolution = nn.Conv2d(8, 8, 3).bfloat16()
    image = torch.randn(1, 8, 16, 16).bfloat16()
    expected = torch.autograd.grad(convolution(image).sum(), convolution.weight)[0]
    with fast_gradients(CPU):
        found = torch.autograd.grad(convolution(image).sum(), convolution.weight)[0]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_other_processors_and_devices_keep_pytorchs_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(fast_gradients(torch.device("cuda")), nullcontext)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert isinstance(fast_gradients(CPU), nullcontext)


def network(layout: torch.memory_format) -> ushape.UNet:
    torch.manual_seed(0)
    net = ushape.UNet(in_channels=3, classes=2, width=8, depth=2, padding="same", normalisation="batch", dropout=0.0)
    return net.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]  # not in the stubs


def drawn(
    images: int, inputs: int, outputs: int, size: tuple[int, int], padding: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """An input, a gradient of the output, and weights, in float64."""
    generator = torch.Generator().manual_seed(0)
    height, width = (side + 2 * p - 2 for side, p in zip(size, padding, strict=True))
    sizes = (images, inputs, *size), (images, outputs, height, width), (outputs, inputs, 3, 3)
    image, gradient, weight = (torch.randn(s, generator=generator, dtype=torch.float64) for s in sizes)
    return image, gradient, weight


def pytorchs(gradient: Tensor, image: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    weight = weight.clone().requires_grad_()
    nn.functional.conv2d(image, weight, padding=padding).backward(gradient)  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    return weight.grad
