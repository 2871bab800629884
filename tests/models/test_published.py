"""Others' weights in our networks: their authors' outputs, their forward passes restated, files that do not fit."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ushape.errors import CheckpointError, RecipeError
from ushape.models import build
from ushape.models.fcn import FCN, bilinear_kernel
from ushape.models.key_maps import KeyMap, of_brain_mri, of_milesial
from ushape.models.published import NOT_EXPRESSIBLE, PUBLISHED, load
from ushape.models.unet import UNet

State = dict[str, Tensor]


def filled(name: str, shape: list[int]) -> Tensor:
    """The weights of the fixtures that are not stored (their README)."""
    count = int(np.prod(shape)) if shape else 1
    draws = np.random.default_rng([20151505, zlib.crc32(name.encode())]).standard_normal(count, dtype=np.float32)
    draws = draws.reshape(shape)
    if name.endswith("running_var"):
        draws = 1 + 0.1 * np.abs(draws)
    elif len(shape) >= 2:
        draws = draws * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    elif name.endswith("weight"):
        draws = 1 + 0.1 * draws
    else:
        draws = 0.1 * draws
    return torch.from_numpy(draws)


def written(state: State, path: Path) -> Path:
    save_file(state, path)
    return path


def of_width_4(key_map: KeyMap, in_channels: int = 2, classes: int = 3) -> State:
    """Random weights under others' names, without the biases that they do not have."""
    torch.manual_seed(0)
    net = UNet(in_channels, classes, width=4, padding="same", normalisation="batch")
    state = {}
    for name, own in net.state_dict().items():
        drawn = torch.rand_like(own.float()) + 0.5 if own.ndim < 2 else own * 1.0
        if not (name.endswith((".0.bias", ".3.bias")) and name.split(".")[0] in ("contracting", "expanding")):
            state[key_map.theirs(name)] = drawn if own.ndim else own
    return state


def twice_convolved(state: State, x: Tensor, convolutions: tuple[str, str], norms: tuple[str, str]) -> Tensor:
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = F.conv2d(x, state[f"{convolution}.weight"], padding=1)
        statistics = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = F.batch_norm(x, *statistics).relu()
    return x


def restated_milesial(state: State, x: Tensor) -> Tensor:
    """What milesial's network does with an image of any size: what pooling drops at the end is padded with zeros."""

    def pair(x: Tensor, block: str) -> Tensor:
        layers = [f"{block}.double_conv.{k}" for k in (0, 1, 3, 4)]
        return twice_convolved(state, x, (layers[0], layers[2]), (layers[1], layers[3]))

    copies = [pair(x, "inc")]
    for level in range(1, 5):
        copies.append(pair(F.max_pool2d(copies[-1], 2), f"down{level}.maxpool_conv.1"))
    x = copies.pop()
    for number in range(1, 5):
        copy, weights = copies.pop(), (state[f"up{number}.up.weight"], state[f"up{number}.up.bias"])
        x = F.conv_transpose2d(x, *weights, stride=2)
        down, right = copy.shape[-2] - x.shape[-2], copy.shape[-1] - x.shape[-1]
        x = F.pad(x, [right // 2, right - right // 2, down // 2, down - down // 2])
        x = pair(torch.cat([copy, x], dim=1), f"up{number}.conv")
    return F.conv2d(x, state["outc.conv.weight"], state["outc.conv.bias"])


def restated_brain_mri(state: State, x: Tensor) -> Tensor:
    """What mateuszbuda's network does before its sigmoid; the enlarged map comes first."""

    def pair(x: Tensor, block: str, short: str) -> Tensor:
        layers = [f"{block}.{short}{part}" for part in ("conv1", "norm1", "conv2", "norm2")]
        return twice_convolved(state, x, (layers[0], layers[2]), (layers[1], layers[3]))

    copies = []
    for n in range(1, 5):
        copies.append(pair(F.max_pool2d(copies[-1], 2) if copies else x, f"encoder{n}", f"enc{n}"))
    x = pair(F.max_pool2d(copies[-1], 2), "bottleneck", "bottleneck")
    for n in range(4, 0, -1):
        x = F.conv_transpose2d(x, state[f"upconv{n}.weight"], state[f"upconv{n}.bias"], stride=2)
        x = pair(torch.cat([x, copies.pop()], dim=1), f"decoder{n}", f"dec{n}")
    return F.conv2d(x, state["conv.weight"], state["conv.bias"])


def test_the_brain_mri_network_answers_as_its_authors_does(shared_fixtures: Path):
    place = shared_fixtures / "seeded" / "brainseg_unet_small8"
    net, truth = load("brain-mri-unet", f"{place}.safetensors"), np.load(f"{place}.npz")
    with torch.inference_mode():
        probability = net(torch.from_numpy(truth["input"])).sigmoid()
    assert torch.allclose(probability, torch.from_numpy(truth["output0"]), rtol=0, atol=1e-4)
    assert net.parameter_count == 486_553 + sum(8 * 2**level for level in range(5)) * 4 - 2 * 8 * 2**4  # our biases: 0


def test_milesials_network_answers_as_its_authors_does_where_the_size_is_legal(shared_fixtures: Path, tmp_path: Path):
    """Their 95 x 70 pixels are none of 16's multiples: there the restated network is held against theirs, and where
    both can be, ours against the restated one.
    """
    fixture = json.loads((shared_fixtures / "seeded" / "index.json").read_text())["fixtures"][
        "milesial_unet_transpose_95x70"
    ]
    truth = np.load(shared_fixtures / "seeded" / "milesial_unet_transpose_95x70.npz")
    state = {name: filled(name, shape) for name, shape in fixture["state"] if not name.endswith("tracked")}
    x = torch.from_numpy(truth["input"])
    net = load("milesial-unet", written(state, tmp_path / "a.safetensors"))
    with torch.inference_mode():
        restated = restated_milesial(state, x)
        assert torch.allclose(restated.softmax(1), torch.from_numpy(truth["output0"]).softmax(1), rtol=0, atol=1e-4)
        legal = x[..., :80, :64]
        assert torch.allclose(net(legal).softmax(1), restated_milesial(state, legal).softmax(1), rtol=0, atol=1e-4)


def test_u2netp_answers_as_its_authors_does(shared_fixtures: Path):
    place = shared_fixtures / "u2netp_trained"
    net, truth = load("u2netp", place / "u2netp_bnfolded_fp16.safetensors"), np.load(place / "odd_117x83.npz")
    with torch.inference_mode():
        probability = net(torch.from_numpy(truth["input"])).sigmoid()
    assert torch.allclose(probability, torch.from_numpy(truth["d0"]), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "key_map", "restated"),
    [
        ("milesial-unet", of_milesial(), restated_milesial),
        ("brain-mri-unet", of_brain_mri(), restated_brain_mri),
    ],
)
def test_channels_classes_and_width_are_read_off_the_weights(
    tmp_path: Path, name: str, key_map: KeyMap, restated: Callable[[State, Tensor], Tensor]
):
    state = of_width_4(key_map)
    net = load(name, written(state, tmp_path / "a.safetensors"))
    x = torch.randn(2, 2, 32, 48)
    assert torch.allclose(net(x), restated(state, x), rtol=1e-4, atol=1e-5)
    assert not net.training
    assert {type(module).__name__ for module in net.modules()} >= {"BatchNorm2d"}


def test_a_training_s_own_file_is_taken_with_what_stands_beside_the_weights(tmp_path: Path):
    state = of_width_4(of_milesial())
    torch.save({**state, "mask_values": [0, 255]}, tmp_path / "checkpoint_epoch5.pth")
    torch.save({f"module.{name}": t.half() for name, t in state.items()}, tmp_path / "half.pth")
    exact, half = (load("milesial-unet", tmp_path / name) for name in ("checkpoint_epoch5.pth", "half.pth"))
    x = torch.randn(1, 2, 16, 16)
    assert torch.allclose(exact(x), half(x), atol=0.1)
    assert half(x).dtype == torch.float32


def test_a_bias_before_a_normalisation_is_taken_where_there_is_one(tmp_path: Path):
    state = of_width_4(of_milesial())
    biased = {**state, "inc.double_conv.0.bias": torch.ones(4)}
    assert load("milesial-unet", written(biased, tmp_path / "a")).contracting[0][0].bias.tolist() == [1] * 4
    assert load("milesial-unet", written(state, tmp_path / "b")).contracting[0][0].bias.tolist() == [0] * 4


def caffe_layout(net: FCN) -> State:
    """A network of ours as the authors' files have it: all kernels dense, also those that are fixed."""
    state = {name.removeprefix("vgg16."): t.clone() for name, t in net.state_dict().items()}
    factors = {"upscore": net.stride} | ({"upscore2": 2} if net.stride < 32 else {})
    factors |= {"upscore_pool4": 2} if net.stride < 16 else {}
    names = {"upscore": "upscore" if net.stride == 32 else f"upscore{net.stride}"}
    for name, factor in factors.items():
        dense = torch.eye(net.classes)[:, :, None, None] * bilinear_kernel(factor)
        state.setdefault(f"{names.get(name, name)}.weight", dense)
    return state


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s", "fcn8s-at-once"])
@pytest.mark.parametrize("upsampling", ["fixed", "learned"])
def test_fcns_come_back_from_the_layout_of_caffe(tmp_path: Path, name: str, upsampling: str):
    torch.manual_seed(0)
    options = {"at_once": True} if name == "fcn8s-at-once" else {}
    ours = build(PUBLISHED[name].model, in_channels=3, classes=4, width=1, upsampling=upsampling, **options).eval()
    assert isinstance(ours, FCN)
    for parameter in ours.parameters():
        parameter.data.normal_(0, 0.3)
    net = load(name, written(caffe_layout(ours), tmp_path / "a"))
    x = torch.randn(1, 3, 40, 50)
    assert torch.equal(net(x), ours(x))
    if ours.stride < 32:
        assert net.upsampling == upsampling


def test_what_is_an_eighth_of_vgg_is_not_the_whole(shared_fixtures: Path):
    """The fixtures of FCN have 64 channels in fc6, not the 512 of VGG16 at an eighth of its width."""
    with pytest.raises(CheckpointError, match=r"(?s)FCN-8s of Long.*- fc6\.weight is \(64, 64, 7, 7\), not \(512, 64"):
        load("fcn8s", shared_fixtures / "seeded" / "fcn8s_w8_97x131.safetensors")


def test_every_weight_that_does_not_fit_is_named_as_in_the_file(tmp_path: Path):
    state = of_width_4(of_brain_mri())
    state["encoder2.enc2_conv2.weight"] = state.pop("encoder2.enc2conv2.weight")
    state["attention.weight"] = torch.zeros(3)
    state["upconv3.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointError) as error:
        load("brain-mri-unet", written(state, tmp_path / "a"))
    assert "do not fit the U-Net of mateuszbuda" in str(error.value)
    assert str(error.value).splitlines()[1:-1] == [
        "- encoder2.enc2conv2.weight is missing, but there is encoder2.enc2_conv2.weight",
        "- attention.weight is unknown",
        "- encoder2.enc2_conv2.weight is unknown, but there is encoder2.enc2conv2.weight",
        "- upconv3.bias is (5,), not (16,)",
    ]


def test_weights_of_another_network_are_told_whose_they_are(tmp_path: Path):
    path = written(of_width_4(of_milesial()), tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"not hold encoder1.*names are those of milesial-unet: give that name"):
        load("brain-mri-unet", path)
    with pytest.raises(CheckpointError, match=r"first of them x\. Give the file of that one"):
        load("brain-mri-unet", written({"x": torch.zeros(1)}, tmp_path / "b"))
    path = written({"conv0_0.conv1.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"unet-4uiiurz1, which we cannot compute: .*align_corners"):
        load("milesial-unet", path)


def test_u2nets_are_told_apart(tmp_path: Path):
    small = build("u2netp", width=8)
    path = written(dict(small.state_dict()), tmp_path / "a")
    assert torch.equal(load("u2netp", path).outconv.weight, small.outconv.weight)
    with pytest.raises(CheckpointError, match=r"weights of u2netp, not of u2net\. Give u2netp as the name"):
        load("u2net", path)


def test_bilinear_upsampling_is_refused_with_the_reason(tmp_path: Path):
    state = {name: t for name, t in of_width_4(of_milesial()).items() if ".up." not in name}
    with pytest.raises(CheckpointError, match=r"bilinear = True, which we cannot compute.*depends on the size"):
        load("milesial-unet", written(state, tmp_path / "a"))


def test_names_that_are_not_published_are_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match="no published network 'milesial'; did you mean 'milesial-unet'"):
        load("milesial", tmp_path / "a")
    for name in NOT_EXPRESSIBLE:
        with pytest.raises(RecipeError, match=f"{name} is no network that we can compute: .*Train one of ours"):
            load(name, tmp_path / "a")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "network.pth")
    with pytest.raises(CheckpointError, match="holds more than weights"):
        load("u2netp", tmp_path / "network.pth")


def test_why_corners_that_stay_in_place_cannot_be_tiled():
    """A map of a ramp, enlarged with align_corners, has slopes that depend on how much of the ramp there is."""
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    whole, part = (F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True) for x in (ramp, ramp[..., :8]))
    assert not torch.allclose(whole[..., 4:8], part[..., 4:8], atol=0.01)
    whole, part = (
        F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) for x in (ramp, ramp[..., :8])
    )
    assert torch.allclose(whole[..., 4:8], part[..., 4:8])
