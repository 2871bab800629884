"""VGG16 inside FCN: the papers' numbers, its start, and ImageNet's weights in torchvision's layout."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ushape.errors import CheckpointError, RecipeError
from ushape.geometry.axis import Axis
from ushape.models.vgg import VGG16, along_axis, load_vgg16

CHANNELS = [1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8]  # of the convolutions, in widths
PLACES = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # in torchvision's `features`


def published() -> VGG16:
    """A network of shapes only."""
    with torch.device("meta"):
        return VGG16(3, width=64, dropout=0.5)


def small(in_channels: int = 3, *, width: int = 2, seed: int = 0) -> VGG16:
    torch.manual_seed(seed)
    return VGG16(in_channels, width=width, dropout=0.5).eval()


def convolutions(vgg16: VGG16) -> list[nn.Conv2d]:
    return [module for module in vgg16.modules() if isinstance(module, nn.Conv2d)]


def classifier(width: int) -> nn.Module:
    """VGG16 as torchvision lays it out, up to fc7: (N, 3, 224, 224) → (N, 64·width)."""
    layers: list[nn.Module] = []
    before = 3
    for place, channels in zip(PLACES, CHANNELS, strict=True):
        layers += [nn.MaxPool2d(2)] * (place - len(layers))
        layers += [nn.Conv2d(before, channels * width, 3, padding=1), nn.ReLU()]
        before = channels * width
    fully_connected = [nn.Linear(49 * before, 64 * width), nn.ReLU(), nn.Dropout(), nn.Linear(64 * width, 64 * width)]
    net = nn.Module()
    net.features = nn.Sequential(*layers, nn.MaxPool2d(2))
    net.classifier = nn.Sequential(*fully_connected, nn.ReLU(), nn.Dropout(), nn.Linear(64 * width, 10))
    return net.eval()


def shapes_only(width: int) -> dict[str, Tensor]:
    """Tensors of the full shapes, a single number in memory and on disk."""
    with torch.device("meta"):
        state = classifier(width).state_dict()
    return {name: torch.zeros(()).expand(weights.shape) for name, weights in state.items()}


def saved(state: dict[str, Tensor], folder: Path) -> Path:
    torch.save(state, folder / "vgg16.pth")
    return folder / "vgg16.pth"


def test_the_convolutions_have_14_714_688_parameters_and_fc6_and_fc7_those_of_the_classifier():
    layers = convolutions(published())
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert len(layers) == 15
    assert sum(sizes[:13]) == 14_714_688
    assert sizes[13:] == [512 * 49 * 4096 + 4096, 4096 * 4096 + 4096]
    assert [layer.out_channels for layer in layers] == [64 * c for c in CHANNELS] + [4096, 4096]
    assert [layer.padding[0] for layer in layers] == [100] + [1] * 12 + [0, 0]


def test_the_sizes_of_a_500_pixel_image():
    net = published()
    seen: list[int] = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(lambda _m, _x, y: seen.append(y.shape[-1]))
    pool3, pool4, fc7 = net(torch.zeros(1, 3, 500, 500, device="meta"))
    assert seen == [698, 698, 349, 349, 349, 175, 175, 175, 175, 88, 88, 88, 88, 44, 44, 44, 44, 22, 16, 16]
    assert [tuple(m.shape[1:]) for m in (pool3, pool4, fc7)] == [(256, 88, 88), (512, 44, 44), (4096, 16, 16)]


def test_the_axis_has_the_sizes_of_the_maps_and_their_receptive_fields():
    net = small(width=1)
    for size in range(1, 90, 4):
        axes = along_axis(Axis.of_input(size))
        assert [m.shape[-1] for m in net(torch.zeros(1, 3, 1, size))] == [axis.size for axis in axes]
    assert [(int(axis.stride), axis.receptive_field) for axis in axes] == [(8, 44), (16, 100), (32, 404)]


def test_an_image_of_one_pixel_passes():
    assert [m.shape[-2:] for m in small()(torch.zeros(1, 3, 1, 1))] == [(25, 25), (13, 13), (1, 1)]


def test_weights_are_drawn_for_rectifiers_and_biases_are_zero():
    torch.manual_seed(0)
    for layer in convolutions(VGG16(3, width=8, dropout=0.5)):
        incoming = layer.in_channels * math.prod(layer.kernel_size)
        error = 5 / math.sqrt(layer.weight.numel())  # five standard errors
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / incoming), rel=error)
        assert not layer.bias.any()


def test_maps_keep_about_unit_size_on_the_way_down():
    net = small(width=8)
    squares: list[float] = []
    for layer in convolutions(net):
        layer.register_forward_hook(lambda _m, _x, y: squares.append(y.relu().square().mean().item()))
    net.conv1_1.padding = (1, 1)  # the wide rim would lower the mean
    net(torch.randn(1, 3, 448, 448))
    assert all(0.1 < s < 10 for s in squares), squares


def test_dropout_follows_fc6_and_fc7_in_training_only():
    net = small()
    dropped: list[float] = []
    net.dropout.register_forward_hook(lambda _m, x, y: dropped.append((y[x[0] > 0] == 0).float().mean().item()))
    x = torch.randn(1, 3, 200, 200)
    assert torch.equal(net(x)[2], net(x)[2])
    assert dropped == [0, 0, 0, 0]
    net.train()(x)
    assert [round(share, 1) for share in dropped[4:]] == [0.5, 0.5]


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_with_the_weights_of_a_classifier_it_computes_what_the_classifier_computes(tmp_path: Path, kind: str):
    torch.manual_seed(1)
    theirs, net = classifier(2), small()
    path = tmp_path / f"vgg16.{kind}"
    (torch.save if kind == "pth" else save_file)(theirs.state_dict(), path)
    load_vgg16(net, path)
    net.conv1_1.padding = (1, 1)  # what FCN adds; without it, an image of 224 pixels gives one pixel of fc7
    x = torch.randn(2, 3, 224, 224)
    expected = theirs.classifier[:5](theirs.features(x).flatten(1))
    assert expected.std() > 1e-3
    assert torch.allclose(net(x)[2].flatten(1), expected, rtol=1e-4, atol=1e-5)


def test_a_grey_image_is_seen_as_one_with_three_equal_channels(tmp_path: Path):
    torch.manual_seed(1)
    path = saved(classifier(2).state_dict(), tmp_path)
    colour, grey = small(3), small(1)
    load_vgg16(colour, path)
    load_vgg16(grey, path)
    x = torch.randn(1, 1, 40, 60)
    for one, three in zip(grey(x), colour(x.expand(-1, 3, -1, -1)), strict=True):
        assert torch.allclose(one, three, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*which is a no-op")  # a network of shapes only takes no values
def test_the_published_shapes_fit_with_and_without_the_last_layer(tmp_path: Path):
    state = shapes_only(64)
    assert state["classifier.0.weight"].shape == (4096, 25088)
    load_vgg16(published(), saved(state, tmp_path))
    del state["classifier.6.weight"], state["classifier.6.bias"]
    load_vgg16(published(), saved(state, tmp_path))


def test_all_that_is_missing_unknown_or_misshapen_is_named_at_once(tmp_path: Path):
    state = shapes_only(64)
    del state["features.28.bias"]
    state["classifier.3.weight"] = torch.zeros(4096, 10)
    state["features.1.running_mean"] = torch.zeros(64)
    words = r"vgg16.pth is no VGG16 in torchvision's layout: features.28.bias is missing; "
    words += r"features.1.running_mean is unknown; classifier.3.weight is \(4096, 10\), not \(4096, 4096\)\. Take"
    with pytest.raises(CheckpointError, match=words):
        load_vgg16(published(), saved(state, tmp_path))


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path: Path):
    net = small()
    before = {name: weights.clone() for name, weights in net.state_dict().items()}
    with pytest.raises(CheckpointError, match="fc9 is unknown"):
        load_vgg16(net, saved({**classifier(2).state_dict(), "fc9": torch.zeros(1)}, tmp_path))
    assert all(torch.equal(weights, before[name]) for name, weights in net.state_dict().items())


def test_another_width_is_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"VGG16 of width 64, and the network has width = 2\. Set width = 64"):
        load_vgg16(small(), saved(shapes_only(64), tmp_path))


def test_images_that_are_neither_grey_nor_coloured_are_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"these have 2 channels\. Train on colour or grey images"):
        load_vgg16(small(2), saved(shapes_only(2), tmp_path))


def test_a_pickled_network_is_not_run(tmp_path: Path):
    torch.save(nn.Linear(2, 2), tmp_path / "vgg16.pth")
    with pytest.raises(CheckpointError, match="Python objects, which run code of their own"):
        load_vgg16(small(), tmp_path / "vgg16.pth")
