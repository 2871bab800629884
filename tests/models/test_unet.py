"""U-Net 2015: the paper's figures, then what each option changes, then that the footprint is true of the tensors."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from ushape.errors import RecipeError, SizeError
from ushape.geometry.axis import Axis
from ushape.models.unet import ConvPair, ResidualPair, UNet, along_axis, centre_crop

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def without_values(*args: int, **options: object) -> UNet:
    """A network of shapes only: full width costs nothing."""
    with torch.device("meta"):
        return UNet(*args, **options)


def small(**options: object) -> UNet:
    torch.manual_seed(0)
    return UNet(**{"width": 2, **options}).eval()


@pytest.mark.parametrize(
    ("in_channels", "classes", "parameters"),
    [(1, 2, 31_030_658), (1, 1, 31_030_593), (3, 2, 31_031_810), (3, 1, 31_031_745)],
)
def test_the_published_network_has_31_million_parameters(in_channels, classes, parameters):
    assert without_values(in_channels, classes).parameter_count == parameters


def test_the_published_network_has_23_convolutions():
    layers = [m for m in without_values().modules() if isinstance(m, CONVOLUTIONS)]
    assert len(layers) == 23
    assert [m.kernel_size for m in layers].count((3, 3)) == 18
    assert [type(m) for m in layers].count(nn.ConvTranspose2d) == 4
    assert layers[-1].kernel_size == (1, 1)


def test_every_map_has_the_size_and_channels_of_figure_1():
    net = without_values()
    seen: list[tuple[int, ...]] = []
    for module in net.modules():
        if isinstance(module, CONVOLUTIONS):
            module.register_forward_hook(lambda _m, _x, y: seen.append((y.shape[1], *y.shape[2:])))
    joined: list[int] = []
    for pair in net.expanding:
        pair.register_forward_pre_hook(lambda _m, x: joined.append(x[0].shape[1]))

    assert net(torch.zeros(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)
    contracting = [(64, 570), (64, 568), (128, 282), (128, 280), (256, 138), (256, 136), (512, 66), (512, 64)]
    bottom = [(1024, 30), (1024, 28)]
    expanding = [(512, 56), (512, 54), (512, 52), (256, 104), (256, 102), (256, 100)]
    expanding += [(128, 200), (128, 198), (128, 196), (64, 392), (64, 390), (64, 388)]
    assert seen == [(c, n, n) for c, n in [*contracting, *bottom, *expanding, (2, 388)]]
    assert joined == [1024, 512, 256, 128]


@pytest.mark.parametrize(
    ("depth", "sizes"),
    [
        (1, [(18, 2), (20, 4), (32, 16)]),
        (2, [(44, 4), (100, 60)]),
        (3, [(92, 4), (188, 100)]),
        (4, [(188, 4), (572, 388), (700, 516)]),
        (5, [(380, 4)]),
    ],
)
def test_sizes_in_and_out_at_every_depth(depth, sizes):
    net = without_values(depth=depth, width=1)
    assert net.footprint.smallest_input == sizes[0][0]
    for size, output in sizes:
        assert net(torch.empty(1, 1, size, size, device="meta")).shape[-2:] == (output, output)


@pytest.mark.parametrize("depth", range(1, 7))
def test_the_footprint_follows_the_closed_form(depth):
    footprint = without_values(depth=depth, width=1).footprint
    assert footprint.margin == 6 * 2**depth - 4
    assert footprint.multiple == 2**depth
    assert footprint.smallest_input == {1: 18}.get(depth, 12 * 2**depth - 4)
    assert footprint.output(footprint.smallest_input) == {1: 2}.get(depth, 4)
    same = without_values(depth=depth, width=1, padding="same").footprint
    assert same.smallest_input == same.multiple == 2**depth
    assert same.margin == {1: 8}.get(depth, 6 * 2**depth)  # from depth 2 it looks 6·2^d − 2 px beyond


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_legal_sizes_are_exactly_those_that_the_layers_take(depth, padding):
    footprint = without_values(depth=depth, width=1, padding=padding).footprint
    for size in range(1, 330):
        if footprint.is_legal(size):
            assert along_axis(Axis.of_input(size), depth=depth, padding=padding).size == footprint.output(size)
        else:
            with pytest.raises(SizeError):
                along_axis(Axis.of_input(size), depth=depth, padding=padding)


def test_weights_are_drawn_as_section_3_says_and_biases_are_zero():
    torch.manual_seed(0)
    net = UNet(in_channels=3, depth=2)
    for layer in (m for m in net.modules() if isinstance(m, CONVOLUTIONS)):
        # Inputs of one neuron: k·k·channels; of an up-convolution's, 1·channels, since kernel and stride are equal.
        incoming = layer.in_channels * (math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1)
        weight = layer.weight.detach()
        error = 5 / math.sqrt(weight.numel())  # five standard errors
        assert weight.std().item() == pytest.approx(math.sqrt(2 / incoming), rel=error)
        assert abs(weight.mean().item()) < error * math.sqrt(2 / incoming)
        kurtosis = ((weight / weight.std()) ** 4).mean().item()
        assert kurtosis == pytest.approx(3, abs=max(0.1, 25 / math.sqrt(weight.numel())))  # Gaussian; uniform has 1.8
        assert not layer.bias.any()
    assert net.contracting[0][2].weight.std().item() == pytest.approx(
        math.sqrt(2 / 576), rel=0.02
    )  # the paper's example


def test_maps_keep_about_unit_size_on_the_way_down():
    torch.manual_seed(0)
    net = UNet(width=16, depth=3).eval()
    squares: list[float] = []
    for pair in net.contracting:
        pair.register_forward_hook(lambda _m, _x, y: squares.append(y.square().mean().item()))
    net(torch.randn(1, 1, 124, 124))
    assert all(0.2 < s < 10 for s in squares), squares  # what the initialisation is for (Section 3)


def test_dropout_stands_at_the_end_of_the_contracting_path_only():
    net = without_values()
    dropped: list[int] = []
    net.dropout.register_forward_hook(lambda _m, _x, y: dropped.append(y.shape[1]))
    net(torch.zeros(1, 1, 188, 188, device="meta"))
    assert dropped == [512, 1024]
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.5]


def test_dropout_also_reaches_the_copy_of_its_level_and_happens_in_training_only():
    net = small(width=8, depth=2)
    joined: list[Tensor] = []
    for pair in net.expanding:
        pair.register_forward_pre_hook(lambda _m, x: joined.append(x[0].detach()))
    x = torch.randn(1, 1, 44, 44)
    assert torch.equal(net(x), net(x))
    joined.clear()
    net(x)
    net.train()(x)
    (deep, fine, deep_training, fine_training) = joined
    undropped, copy = deep[:, :16], deep_training[:, :16]
    survivors = copy != 0
    assert torch.allclose(copy[survivors], 2 * undropped[survivors])  # 1 / (1 − .5)
    assert 0.4 < (copy[undropped > 0] == 0).float().mean() < 0.6
    assert torch.equal(fine[:, :8], fine_training[:, :8])
    assert torch.equal(small(dropout=0.0, depth=2).train()(x), small(dropout=0.0, depth=2)(x))


def test_a_reduced_network_sees_the_means_and_answers_at_full_size():
    plain, reduced = small(depth=2, padding="same"), small(depth=2, padding="same", reduction=2)
    reduced.load_state_dict(plain.state_dict())
    x = torch.randn(2, 1, 32, 48)
    means = x.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(-2, -1))
    answer, coarse = reduced(x), plain(means)
    assert answer.shape == (2, 2, 32, 48)
    # Pixel centres: of each two answers, one lies a quarter of the way to the pixel before, one to the pixel after.
    torch.testing.assert_close(answer[..., 4:12:2, 4], 0.75 * down(coarse, 2) + 0.25 * down(coarse, 1))
    assert reduced.footprint.multiple == 2 * plain.footprint.multiple
    assert reduced.footprint.margin >= 2 * (plain.footprint.margin - 4)
    assert reduced.parameter_count == plain.parameter_count


def down(coarse: Tensor, first: int) -> Tensor:
    """Rows from `first` on, in the column that a column of even number is interpolated to."""
    return (0.75 * coarse[..., 2] + 0.25 * coarse[..., 1])[..., first : first + 4]


def test_skips_that_are_not_copied_save_half_of_each_first_convolution():
    copied = without_values().parameter_count
    added = without_values(skip="add").parameter_count
    left_out = without_values(skip="none").parameter_count
    assert copied - added == 9 * (64**2 + 128**2 + 256**2 + 512**2)
    assert added == left_out == 27_897_218


def test_each_skip_joins_what_it_says():
    copy, up = torch.randn(1, 4, 9, 9), torch.randn(1, 4, 5, 5)
    centre = copy[..., 2:7, 2:7]
    seen: dict[str, Tensor] = {}
    for skip in ("copy", "add", "none"):
        net = small(depth=1, width=4, skip=skip)
        net.contracting[0].register_forward_hook(lambda _m, _x, _y: torch.nn.functional.pad(copy, (3, 4, 3, 4)))
        net.up_convolutions[0].register_forward_hook(lambda _m, _x, _y: up)
        net.expanding[0].register_forward_pre_hook(lambda _m, x, skip=skip: seen.update({skip: x[0].detach()}))
        net(torch.zeros(1, 1, 20, 20))
    # The map of 16 px is cropped at (16 − 5) // 2 = 5, which is 2 within the 9 px that stand at 3.
    assert torch.equal(seen["copy"], torch.cat([centre, up], dim=1))
    assert torch.equal(seen["add"], centre + up)
    assert torch.equal(seen["none"], up)


@pytest.mark.parametrize("skip", ["copy", "add", "none"])
def test_residual_pairs_have_the_parameters_and_the_sizes_of_plain_ones(skip):
    plain, residual = without_values(skip=skip), without_values(skip=skip, residual=True)
    assert [p.shape for p in plain.parameters()] == [p.shape for p in residual.parameters()]
    assert residual(torch.zeros(1, 1, 188, 204, device="meta")).shape == (1, 2, 4, 20)
    assert [isinstance(m, ResidualPair) for m in [*residual.contracting, *residual.expanding]] == [True] * 9


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_residual_pair_adds_what_came_in_before_the_last_relu(padding):
    torch.manual_seed(0)
    pair = ResidualPair(3, 4, padding=padding, normalisation="batch").eval()
    x = torch.randn(1, 3, 9, 8)
    passed = torch.nn.functional.pad(x if padding == "same" else x[..., 2:-2, 2:-2], (0, 0, 0, 0, 0, 1))
    assert torch.allclose(pair(x), torch.relu(pair.branch(x) + passed))
    assert [type(m) for m in pair.branch] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]


@pytest.mark.parametrize("depth", range(1, 7))
def test_the_centre_is_where_the_axis_calculus_crops(depth):
    footprint = without_values(depth=depth, width=1).footprint
    for size in range(footprint.smallest_input, footprint.smallest_input + 5 * footprint.multiple, footprint.multiple):
        x, copies = Axis.of_input(size), []
        for level in range(depth + 1):
            x = (x if level == 0 else x.pool(2)).conv(3).conv(3)
            copies.append(x)
        for copy in reversed(copies[:-1]):
            x = x.up(2)
            line = torch.arange(copy.size).expand(1, 1, copy.size, -1)
            assert centre_crop(line, torch.empty(1, 1, x.size, x.size))[0, 0, 0, 0] == copy.crop_onto(x)
            x = x.join(copy).conv(3).conv(3)


@pytest.mark.parametrize(
    ("padding", "depth", "normalisation", "skip"),
    list(product(["valid", "same"], [1, 2, 3, 4], ["none", "batch"], ["copy", "add", "none"])),
)
def test_every_combination_of_options_runs_and_learns(padding, depth, normalisation, skip):
    torch.manual_seed(0)
    options = {"padding": padding, "normalisation": normalisation, "skip": skip, "residual": depth % 2 == 0}
    net = UNet(3, 4, depth=depth, width=2, dropout=0.1, **options)
    height = net.footprint.input_for(1 if padding == "valid" else 5)
    height, width = (max(32, height), max(32, height + 2**depth)) if padding == "same" else (height, height + 2**depth)
    logits = net(torch.randn(2, 3, height, width))
    assert logits.shape == (2, 4, net.footprint.output(height), net.footprint.output(width))
    logits.square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == (4 * depth + 2) * (normalisation == "batch")


def test_a_pair_is_convolution_normalisation_relu_twice():
    plain = ConvPair(1, 2, padding="valid", normalisation="none")
    assert [type(m) for m in plain] == [nn.Conv2d, nn.ReLU] * 2
    batch = ConvPair(1, 2, padding="same", normalisation="batch")
    assert [type(m) for m in batch] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2
    assert plain(torch.zeros(1, 1, 9, 8)).shape == (1, 2, 5, 4)
    assert batch(torch.zeros(1, 1, 9, 8)).shape == (1, 2, 9, 8)


def reached_from(net: UNet, size: int, pixel: tuple[int, int]) -> Tensor:
    """(h, w) booleans: which logits move with this pixel of an input of zeros.

    With every weight 1 and every bias 0 nothing cancels and no maximum hides the pixel.
    """
    for module in net.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    x = torch.zeros(1, 1, size, size, dtype=torch.float64)
    x[0, 0, pixel[0], pixel[1]] = 1
    with torch.inference_mode():
        return net.double()(x)[0, 0] > 0


@pytest.mark.parametrize("skip", ["copy", "add", "none"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_logits_depend_on_exactly_the_pixels_that_the_axis_says(depth, padding, skip):
    net = small(width=1, depth=depth, padding=padding, skip=skip, residual=depth == 2)
    size = max(net.footprint.smallest_input, 4 * 2**depth) + 2 * net.footprint.multiple
    end = along_axis(Axis.of_input(size), depth=depth, padding=padding)
    rows = [end.depends_on(i) for i in range(end.size)]
    step = max(1, size // 24) | 1  # odd, so that every phase of the pooling grid is met
    for pixel in zip(range(0, size, step), reversed(range(0, size, step)), strict=True):
        y, x = (torch.tensor([first <= p <= last for first, last in rows]) for p in pixel)
        assert torch.equal(reached_from(net, size, pixel), y[:, None] & x[None, :])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_padding_never_reaches_the_exact_answer(depth):
    net = small(width=1, depth=depth, padding="same")
    margin = net.footprint.margin
    size = 2 * margin + 2 * 2**depth
    end = along_axis(Axis.of_input(size), depth=depth, padding="same")
    for i in range(margin, size - margin):
        first, last = end.depends_on(i)
        assert first >= 0
        assert last < size
    assert net.exact(torch.zeros(1, 1, size, size)).shape[-2:] == (2 * 2**depth, 2 * 2**depth)
    # No smaller margin on the grid would do.
    nearer = margin - 2**depth
    reaches = [end.depends_on(i) for i in range(nearer, size - nearer)]
    assert min(a for a, _ in reaches) < 0 or max(b for _, b in reaches) >= size


def test_an_illegal_size_is_refused_with_the_nearest_legal_ones():
    net = small()
    with pytest.raises(SizeError, match=r"512 pixels.*188 \+ n·16.*508 or 524"):
        net(torch.zeros(1, 1, 572, 512))
    with pytest.raises(SizeError, match=r"100 pixels.*nearest legal size is 188"):
        net(torch.zeros(1, 1, 100, 572))
    with pytest.raises(SizeError, match=r"100 pixels.*16 .*96 or 112"):
        small(padding="same")(torch.zeros(1, 1, 96, 100))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in_channels": 0}, "in_channels = 0; it takes whole numbers from 1 up"),
        ({"classes": -1}, "classes = -1; it takes whole numbers from 1 up"),
        ({"depth": 0}, "depth = 0; it takes whole numbers"),
        ({"depth": 2.5}, r"depth = 2\.5; it takes whole numbers"),
        ({"width": "64"}, "width = '64'; it takes whole numbers"),
        ({"depth": 40}, r"width = 64 and depth = 40.*at most 8192 are built. Choose a smaller"),
        ({"depth": 10**9, "width": 1}, "depth = 1000000000"),
        ({"width": 6000}, "width = 6000 and depth = 4.*at most 8192"),
        ({"padding": "reflect"}, "padding = 'reflect'; it takes one of valid, same"),
        ({"normalisation": "instance"}, "normalisation = 'instance'; it takes one of none, batch"),
        ({"skip": "residual"}, "skip = 'residual'; it takes one of copy, add, none"),
        ({"residual": "yes"}, "residual = 'yes'; it takes true or false"),
        ({"dropout": 1.0}, r"dropout = 1\.0; it takes a probability from 0 up to, not including, 1"),
        ({"dropout": -0.1}, r"dropout = -0\.1"),
        ({"dropout": float("nan")}, "dropout = nan"),
        ({"dropout": "half"}, "dropout = 'half'"),
        ({"reduction": 0, "padding": "same"}, "reduction = 0; it takes whole numbers from 1 up"),
        ({"reduction": 17, "padding": "same"}, "reduction = 17; it takes 1 to 16"),
        ({"reduction": 2, "padding": "valid"}, "reduction = 2 and padding = 'valid'; it reduces with padding = 'same'"),
    ],
)
def test_values_that_cannot_be_are_refused_with_those_that_can(options, words):
    with pytest.raises(RecipeError, match=words):
        UNet(**options)
