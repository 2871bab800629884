"""3D U-Net beside its paper: the sizes of Fig. 2, its number of parameters, and axes that differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ushape.errors import RecipeError
from ushape.geometry.axis import Axis
from ushape.geometry.tiles import Window, mirrored, plan
from ushape.models.anatomy import dissect
from ushape.models.unet3d import UNet3D, along_axis


def outline(**options: object) -> UNet3D:
    with torch.device("meta"):
        return UNet3D(**options)


def test_the_tile_of_figure_2():
    net = outline(in_channels=3, classes=3)
    assert net.outputs(torch.zeros(1, 3, 132, 132, 116, device="meta"))[0].shape == (1, 3, 44, 44, 28)
    assert [(f.margin, f.multiple) for f in net.footprints] == [(44, 8)] * 3


def test_the_sizes_of_figure_2_and_its_channels_in_their_order():
    layers = [layer for layer in dissect(outline(in_channels=3, classes=3), 132).layers if "3×3×3" in layer.kind]
    assert [layer.output_size[0] for layer in layers] == [130, 128, 62, 60, 28, 26, 11, 9, 16, 14, 26, 24, 46, 44]
    made = [32, 64, 64, 128, 128, 256, 256, 512, 256, 256, 128, 128, 64, 64]
    assert [layer.out_channels for layer in layers] == made
    joined = [x for x in dissect(outline(in_channels=3, classes=3), 132).layers if x.kind == "maps side by side"]
    assert [x.in_channels for x in joined] == [256 + 512, 128 + 256, 64 + 128]


def test_crops_follow_from_the_layers():
    copies, x, crops = [], Axis.of_input(132), []
    for level in range(4):
        x = (x.pool(2) if level else x).conv(3).conv(3)
        copies.append(x)
    for level in reversed(range(3)):
        x = x.up(2)
        crops.append(copies[level].crop_onto(x))
        x = x.conv(3).conv(3)
    assert crops == [4, 16, 40]
    assert along_axis(Axis.of_input(132), depth=3, padding="valid").size == x.size == 44


def test_the_number_of_parameters_is_the_papers_for_three_channels_and_three_classes():
    net = outline(in_channels=3, classes=3)
    normalising = sum(p.numel() for m in net.modules() if isinstance(m, nn.BatchNorm3d) for p in m.parameters())
    assert net.parameter_count - normalising == 19_069_955
    assert normalising == 2 * (32 + 64 + 64 + 128 + 128 + 256 + 256 + 512 + 2 * (256 + 128 + 64))
    assert outline(in_channels=3, classes=3, normalisation="none").parameter_count == 19_069_955


def test_a_normalisation_stands_before_each_relu():
    for pair in [*outline().analysis, *outline().synthesis]:
        assert [type(layer) for layer in pair] == [nn.Conv3d, nn.BatchNorm3d, nn.ReLU] * 2
    assert not any(isinstance(m, nn.BatchNorm3d) for m in outline(normalisation="none").modules())


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_flat_levels_have_kernels_and_poolings_of_one(padding):
    net = outline(padding=padding, flat_levels=(2, 0, 1))
    assert [pair[0].kernel_size for pair in net.analysis] == [(1, 3, 1), (1, 3, 3), (3, 3, 3), (3, 3, 3)]
    assert [pair[3].kernel_size for pair in net.synthesis] == [(1, 3, 1), (1, 3, 3), (3, 3, 3)]
    assert [pool.kernel_size for pool in net.pools] == [(1, 2, 1), (1, 2, 2), (2, 2, 2)]
    assert [up.kernel_size for up in net.up_convolutions] == [(1, 2, 1), (1, 2, 2), (2, 2, 2)]
    assert [f.multiple for f in net.footprints] == [2, 8, 4]


def test_a_network_that_is_flat_everywhere_answers_slice_by_slice():
    torch.manual_seed(0)
    net = UNet3D(width=2, depth=1, padding="same", flat_levels=(1, 0, 0), normalisation="none").eval()
    for pair in [*net.analysis, *net.synthesis]:  # nothing is left of the neighbours along z
        for layer in pair:
            if isinstance(layer, nn.Conv3d) and layer.kernel_size[0] == 3:
                layer.weight.data[:, :, [0, 2]] = 0
    x = torch.randn(1, 1, 3, 8, 8)
    together = net(x)
    alone = torch.cat([net(x[:, :, z : z + 1]) for z in range(3)], dim=2)
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("padding", "flat", "shape"),
    [("valid", (0, 0, 0), (7, 9, 5)), ("same", (1, 0, 0), (5, 11, 9)), ("same", (0, 0, 0), (9, 6, 5))],
)
def test_tiles_on_the_grid_compute_what_one_pass_computes(padding, flat, shape):
    """The mirrored surroundings are NumPy's, and float64 leaves no rounding to hide behind."""
    torch.manual_seed(3)
    net = UNet3D(1, 2, width=2, depth=1, padding=padding, flat_levels=flat).double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    volume = np.random.default_rng(0).standard_normal(shape)

    def answer(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net.exact(torch.from_numpy(np.ascontiguousarray(pixels))[None, None])[0].numpy()

    around = [(f.margin, f.input_for(n) - f.margin - n) for f, n in zip(net.footprints, shape, strict=True)]
    whole = answer(np.pad(volume, around, mode="reflect"))[(slice(None), *Window.whole(shape).slices)]
    found = np.full_like(whole, np.nan)
    tiles = list(plan(shape, net.footprints, (2, 4, 2)))
    assert len(tiles) > 4
    for tile in tiles:
        places = zip(tile.read.start, tile.read.stop, shape, strict=True)
        pixels = volume[np.ix_(*(mirrored(start, stop, size) for start, stop, size in places))]
        found[(slice(None), *tile.keep.slices)] = answer(pixels)[(slice(None), *tile.kept_of_output)]
    assert np.abs(found - whole).max() < 1e-10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 0}, "width = 0; it takes whole numbers from 1 up"),
        ({"depth": 12}, "at most 8192 are built"),
        ({"padding": "zeros"}, "padding = 'zeros'; it takes one of valid, same"),
        ({"normalisation": "group"}, "one of batch, none"),
        ({"flat_levels": (1, 0)}, r"flat_levels = \[1, 0\]; it takes a whole number for each of z, y and x"),
        ({"flat_levels": (4, 0, 0)}, "from 0 to its depth, 3"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(RecipeError, match=words):
        UNet3D(**options)
