"""U²-Net: the numbers of paper and authors' code, their outputs, then sizes, tiles and what is refused."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ushape.errors import RecipeError, SizeError
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import plan
from ushape.models.rsu import RSU
from ushape.models.u2net import U2Net, U2NetP, along_axis, recognised, with_normalisation

NETWORKS = {"u2net": U2Net, "u2netp": U2NetP}
both = pytest.mark.parametrize("network", [U2Net, U2NetP])

# I, M, O of each stage, as the authors' code builds them.
FULL = {
    "stage1": ("RSU-7", 3, 32, 64),
    "stage2": ("RSU-6", 64, 32, 128),
    "stage3": ("RSU-5", 128, 64, 256),
    "stage4": ("RSU-4", 256, 128, 512),
    "stage5": ("RSU-4F", 512, 256, 512),
    "stage6": ("RSU-4F", 512, 256, 512),
    "stage5d": ("RSU-4F", 1024, 256, 512),
    "stage4d": ("RSU-4", 1024, 128, 256),
    "stage3d": ("RSU-5", 512, 64, 128),
    "stage2d": ("RSU-6", 256, 32, 64),
    "stage1d": ("RSU-7", 128, 16, 64),
}
SMALL = {
    name: (form, 3 if name == "stage1" else 128 if name.endswith("d") else 64, 16, 64)
    for name, (form, *_) in FULL.items()
}


def without_values(network: type[U2Net], *args: int, **options: int) -> U2Net:
    """A network of shapes only: full width costs nothing."""
    with torch.device("meta"):
        return network(*args, **options)


def small(network: type[U2Net] = U2NetP, **options: int) -> U2Net:
    torch.manual_seed(0)
    return network(**{"in_channels": 1, "width": 4, **options}).eval()


def stages(net: U2Net) -> dict[str, tuple[str, int, int, int]]:
    found = {}
    for name, stage in net.named_children():
        if isinstance(stage, RSU):
            first, inner = stage.rebnconvin.conv_s1, stage.get_submodule("rebnconv1").conv_s1
            found[name] = (stage.form.name, first.in_channels, inner.out_channels, first.out_channels)
    return found


# Facts


@pytest.mark.parametrize(
    ("network", "parameters", "buffers"), [(U2Net, 44_009_869, 28_912), (U2NetP, 1_131_181, 5_808)]
)
def test_the_published_networks_have_44_and_1_million_parameters(network, parameters, buffers):
    net = without_values(network)
    assert net.parameter_count == parameters
    assert sum(b.numel() for b in net.buffers()) == buffers
    assert sum(isinstance(m, nn.Conv2d) for m in net.modules()) == 119
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 112


@pytest.mark.parametrize(("network", "table"), [(U2Net, FULL), (U2NetP, SMALL)])
def test_every_stage_has_the_channels_of_the_table_and_width_scales_them(network, table):
    assert stages(without_values(network)) == table
    for width in (4, 16, 96):
        scaled = {name: (form, *(n * width // 64 for n in channels)) for name, (form, *channels) in table.items()}
        narrow = stages(without_values(network, width=width))
        assert narrow.pop("stage1") == (*table["stage1"][:1], 3, *scaled.pop("stage1")[2:])
        assert narrow == scaled


@both
def test_six_side_outputs_and_what_fuses_them(network):
    net = without_values(network, 3, 5)
    sides = [net.get_submodule(f"side{n}") for n in range(1, 7)]
    from_stages = [f"stage{n}d" for n in range(1, 6)] + ["stage6"]
    assert [side.in_channels for side in sides] == [stages(net)[name][3] for name in from_stages]
    assert all(side.kernel_size == (3, 3) and side.padding == (1, 1) and side.out_channels == 5 for side in sides)
    assert (net.outconv.in_channels, net.outconv.out_channels, net.outconv.kernel_size) == (30, 5, (1, 1))


def test_stages_see_a_half_a_quarter_and_so_on_and_partial_windows_count():
    net = without_values(U2NetP)
    sizes: list[tuple[int, ...]] = []
    for stage in net.children():
        if isinstance(stage, RSU):
            stage.register_forward_hook(lambda _m, _x, y: sizes.append(tuple(y.shape[-2:])))
    net(torch.empty(1, 3, 320, 83, device="meta"))
    halves = [(320, 83), (160, 42), (80, 21), (40, 11), (20, 6), (10, 3)]
    assert sizes == halves + halves[-2::-1]


# The authors' outputs


def drawn(name: str, shape: list[int], seed: int = 20151505) -> Tensor:
    """The fixture's rule: what a tensor of this name holds."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    z = rng.standard_normal(math.prod(shape), dtype=np.float32).reshape(shape)
    if name.endswith("running_var"):
        return torch.from_numpy(1 + np.float32(0.1) * np.abs(z))
    if len(shape) >= 2:
        return torch.from_numpy(z * np.float32(np.sqrt(2 / math.prod(shape[1:]))))
    return torch.from_numpy(z * np.float32(0.1) + np.float32(name.endswith("weight")))


def require_outputs(net: U2Net, place: Path, names: list[str]) -> None:
    """The seven, as probabilities, within 1e-4, which is what their float32 rounds; ours is out of the way."""
    with np.load(place) as arrays, torch.inference_mode():
        outputs = net.eval().double().outputs(torch.from_numpy(arrays["input"]).double())
        assert len(outputs) == len(names) == 7
        for logits, name in zip(outputs, names, strict=True):
            assert np.abs(torch.sigmoid(logits).numpy() - arrays[name]).max() < 1e-4, name


@pytest.mark.parametrize("name", ["u2netp_official_random_117x83", "u2net_official_random_96x80"])
def test_outputs_are_those_of_the_authors_code_with_live_batch_normalisation(shared_fixtures: Path, name):
    about = json.loads((shared_fixtures / "seeded" / "index.json").read_text())["fixtures"][name]
    net = NETWORKS[name.split("_")[0]]()
    shapes = {key: list(t.shape) for key, t in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert shapes == dict(about["state"])
    state = {key: drawn(key, shape) for key, shape in about["state"]}
    assert recognised(state) == name.split("_")[0]
    net.load_state_dict(with_normalisation(state))
    require_outputs(net, shared_fixtures / "seeded" / f"{name}.npz", [f"output{n}" for n in range(7)])


def test_outputs_are_those_of_the_trained_weights_with_normalisation_folded_in(shared_fixtures: Path):
    place = shared_fixtures / "u2netp_trained"
    state = load_file(place / "u2netp_bnfolded_fp16.safetensors")
    assert recognised(state) == "u2netp"
    net = U2NetP()
    net.load_state_dict(with_normalisation(state))
    for images in ("horse.npz", "odd_117x83.npz"):
        require_outputs(net, place / images, [f"d{n}" for n in range(7)])


# Weights in the authors' layout


def test_a_normalisation_that_was_folded_in_is_made_one_that_changes_nothing():
    net, bare = small(), small()
    state = net.state_dict()
    folded = {name: t for name, t in state.items() if ".bn_s1." not in name}
    bare.load_state_dict(with_normalisation(folded))
    x = torch.randn(1, 1, 40, 50)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(1 - module.eps)
    assert torch.equal(bare(x), net(x))
    assert folded.keys() < state.keys() == with_normalisation(folded).keys()


def test_live_normalisation_stays_and_counters_of_old_files_begin_at_0():
    state = {n: t for n, t in small().state_dict().items() if "num_batches" not in n}
    whole = with_normalisation(state)
    assert all(whole[name] is state[name] for name in state)
    assert whole.keys() == small().state_dict().keys()
    assert all(int(t) == 0 for name, t in whole.items() if name not in state)


def test_which_network_weights_are_of_is_read_from_their_shapes():
    for width in (4, 64):
        for name, network in NETWORKS.items():
            assert recognised(without_values(network, 2, 3, width=width).state_dict()) == name
    assert recognised({"stage1.rebnconvin.conv_s1.weight": torch.empty(64, 3, 3, 3)}) is None
    assert recognised(without_values(U2Net).state_dict() | {"stage2.rebnconvin.conv_s1.weight": torch.empty(9)}) is None
    assert recognised({}) is None


# Sizes and tiles


@both
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (33, 31), (32, 96)])
def test_seven_outputs_as_large_as_an_image_of_any_size(network, size):
    net = small(network, classes=2)
    outputs = net.outputs(torch.randn(2, 1, *size))
    assert [tuple(o.shape) for o in outputs] == [(2, 2, *size)] * 7
    assert torch.equal(outputs[0], net.outconv(torch.cat(outputs[1:], dim=1)))


def test_the_footprint_sees_edges_and_thousands_of_pixels():
    footprint = Footprint(margin=3296, multiple=32, smallest_input=32, padded=True, sees_edges=True)
    assert small(U2Net).footprint == small(U2NetP).footprint == footprint
    axis = along_axis(Axis.of_input(320))
    assert (axis.size, axis.stride, axis.offset) == (320, 1, 0)
    assert max(i - axis.depends_on(i)[0] for i in range(32)) == 3326
    assert axis.receptive_field == 6624


def all_positive() -> U2Net:
    """What one pixel of a black image reaches, however faintly, and nothing else, is more than 0: nothing cancels."""
    net = small().double()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.abs_().clamp_(min=0.1)
    return net


def reached(net: U2Net, place: int, width: int) -> tuple[int, int]:
    x = torch.zeros(1, 1, 1, width, dtype=torch.float64)
    x[..., place] = 1
    with torch.inference_mode():
        columns = net(x)[0, 0, 0].nonzero().flatten()
    return int(columns.min()), int(columns.max())


def test_a_pixel_moves_the_logits_up_to_the_margin_and_none_beyond():
    net = all_positive()
    margin, width = net.footprint.margin, 32 * 300
    axis = net.along_axis(Axis.of_input(width))
    block = 32 * 150  # where a tile begins to keep
    for place in (block - margin, block - margin - 1, block + 32 + margin - 1, block + 32 + margin, 4813):
        depending = [i for i in range(width) if axis.depends_on(i)[0] <= place <= axis.depends_on(i)[1]]
        assert reached(net, place, width) == (depending[0], depending[-1])
    assert reached(net, block - margin, width)[1] >= block > reached(net, block - margin - 1, width)[1]
    assert reached(net, block + 32 + margin - 1, width)[0] < block + 32 <= reached(net, block + 32 + margin, width)[0]


@pytest.mark.parametrize("network", [U2Net, U2NetP])
def test_tiles_that_end_with_the_image_compute_what_one_pass_does(network):
    net = small(network).double()
    image = torch.randn(1, 1, 32, 4608, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    tiles = list(plan((32, 4608), [net.footprint] * 2, (32, 1024)))
    with torch.inference_mode():
        whole, whole_reads = net(image)[0, 0], 0
        for tile in tiles:
            rows, columns = tile.read.slices
            part = net.exact(image[..., rows, columns])[0, 0].numpy()[tile.kept_of_output]
            assert np.abs(part - whole.numpy()[tile.keep.slices]).max() < 1e-10
            whole_reads += tile.read.shape == (32, 4608)
    assert len(tiles) == 5 > whole_reads


# Training, and what is refused


def test_convolutions_are_drawn_by_xavier_and_biases_begin_at_0():
    torch.manual_seed(0)
    for layer in (m for m in U2NetP().modules() if isinstance(m, nn.Conv2d)):
        bound = math.sqrt(6 / ((layer.in_channels + layer.out_channels) * math.prod(layer.kernel_size)))
        assert layer.weight.abs().max() <= bound
        if layer.weight.numel() > 1000:
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert not layer.bias.any()


def test_a_patch_that_leaves_a_single_pixel_to_normalise_is_refused_in_training_alone():
    net = small()
    net(torch.zeros(1, 1, 32, 32))
    net.train()
    with pytest.raises(SizeError, match=r"One 32 x 20 patch leaves a single pixel.*more than one.* over 32 px"):
        net(torch.zeros(1, 1, 32, 20))
    net(torch.zeros(2, 1, 32, 20))
    net(torch.zeros(1, 1, 33, 20))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in_channels": 0}, "U2NetP got in_channels = 0; it takes whole numbers from 1 up"),
        ({"classes": 1.5}, r"U2NetP got classes = 1\.5; it takes whole numbers"),
        ({"width": -4}, "U2NetP got width = -4"),
        ({"width": 10}, "width = 10; its narrowest maps have a quarter.*multiples of 4, such as 8 or 12"),
        ({"width": 3}, "width = 3; .* such as 4"),
        ({"width": 1028}, "width = 1028: up to 8 · width channels.*at most 8192 are built. Choose a smaller width"),
    ],
)
def test_values_that_cannot_be_are_refused_with_those_that_can(options, words):
    with pytest.raises(RecipeError, match=words):
        U2NetP(**options)
