"""A network taken apart: the numbers of Fig. 1, operations counted by hand, weights untouched."""

from __future__ import annotations

import pytest
import torch

from ushape.models.anatomy import dissect
from ushape.models.unet import UNet


def published() -> UNet:
    with torch.device("meta"):
        return UNet()


def test_figure_1_in_its_order():
    anatomy = dissect(published(), 572)
    convolutions = [(la.input_size[0], la.output_size[0], la.out_channels) for la in anatomy.layers if "3×3" in la.kind]
    contracting = [(572, 570, 64), (570, 568, 64), (284, 282, 128), (282, 280, 128), (140, 138, 256), (138, 136, 256)]
    contracting += [(68, 66, 512), (66, 64, 512), (32, 30, 1024), (30, 28, 1024)]
    expanding = [(56, 54, 512), (54, 52, 512), (104, 102, 256), (102, 100, 256)]
    expanding += [(200, 198, 128), (198, 196, 128), (392, 390, 64), (390, 388, 64)]
    assert convolutions == contracting + expanding
    joined = [(la.output_size[0], la.in_channels) for la in anatomy.layers if la.kind == "maps side by side"]
    assert joined == [(56, 1024), (104, 512), (200, 256), (392, 128)]
    assert (anatomy.layers[-1].kind, anatomy.layers[-1].out_channels) == ("1×1 convolution", 2)
    assert (anatomy.input_size, anatomy.output_size, anatomy.margin) == ((572, 572), (388, 388), 92)
    assert anatomy.parameters == sum(layer.parameters for layer in anatomy.layers) == 31_030_658


def test_operations_counted_by_hand():
    anatomy = dissect(UNet(width=4, depth=1), 20)
    convolutions = 18**2 * 9 * 4 + 16**2 * 9 * 4 * 4  # contracting, level 0
    convolutions += 6**2 * 9 * 4 * 8 + 4**2 * 9 * 8 * 8  # level 1
    convolutions += 6**2 * 9 * 8 * 4 + 4**2 * 9 * 4 * 4  # expanding
    up, head = 4**2 * 8 * 4 * 4, 4**2 * 4 * 2
    assert anatomy.multiply_adds == convolutions + up + head


@pytest.mark.parametrize(
    ("wanted", "legal", "taken"), [(512, (508, 524), 524), (1, (188, 188), 188), (572, (572, 572), 572)]
)
def test_a_wanted_size_is_brought_to_the_legal_one_from_it_up(wanted, legal, taken):
    anatomy = dissect(published(), wanted)
    assert anatomy.legal_sizes == legal
    assert anatomy.input_size == (taken, taken)


def test_sums_and_normalisation_are_named():
    kinds = [la.kind for la in dissect(UNet(width=2, depth=1, skip="add", normalisation="batch"), 32).layers]
    assert kinds.count("sum of maps") == 1
    assert kinds.count("batch normalisation") == 6
    assert "maps side by side" not in kinds


@pytest.mark.parametrize(("depth", "padding", "reach"), [(4, "valid", 204), (4, "same", 204), (2, "valid", 44)])
def test_the_receptive_field_is_that_of_the_axis_calculus(depth, padding, reach):
    assert dissect(UNet(width=1, depth=depth, padding=padding), 300).receptive_field == reach


def test_the_network_is_left_as_it_was():
    net = UNet(width=2, depth=1)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    dissect(net, 64)
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert all(t.device.type == "cpu" for t in net.state_dict().values())
