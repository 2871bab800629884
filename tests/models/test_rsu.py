"""Residual U-blocks: the layers of each form, sizes of every kind, and what goes round the small U-Net."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ushape.errors import SizeError
from ushape.geometry.axis import Axis
from ushape.models.rsu import DILATED, RSU, REBNConv, along_axis, enlarged, halving, pooled

FORMS = [pooled(7), pooled(6), pooled(5), pooled(4), DILATED]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)

# The way down, then the way up, by the authors' names.
DILATIONS = {
    "RSU-7": [1, 1, 1, 1, 1, 1, 2] + [1] * 6,
    "RSU-6": [1, 1, 1, 1, 1, 2] + [1] * 5,
    "RSU-5": [1, 1, 1, 1, 2] + [1] * 4,
    "RSU-4": [1, 1, 1, 2] + [1] * 3,
    "RSU-4F": [1, 2, 4, 8, 4, 2, 1],
}


@every_form
def test_layers_names_and_dilations_are_the_authors(form):
    block = RSU(form, 5, 2, 3)
    convolutions = {n.removesuffix(".conv_s1"): m for n, m in block.named_modules() if isinstance(m, nn.Conv2d)}
    height = form.height
    down, up = [f"rebnconv{n}" for n in range(1, height + 1)], [f"rebnconv{n}d" for n in reversed(range(1, height))]
    assert list(convolutions) == ["rebnconvin", *down, *up]
    assert [m.dilation[0] for m in convolutions.values()] == [1, *DILATIONS[form.name]]
    assert all(m.dilation == m.padding and m.kernel_size == (3, 3) for m in convolutions.values())
    channels = [(m.in_channels, m.out_channels) for m in convolutions.values()]
    assert channels == [(5, 3), (3, 2), *[(2, 2)] * (height - 1), *[(4, 2)] * (height - 2), (4, 3)]


@pytest.mark.parametrize(("form", "poolings"), list(zip(FORMS, [5, 4, 3, 2, 0], strict=True)))
def test_poolings_lie_between_all_levels_but_the_last_two(form, poolings):
    sizes: list[int] = []
    block = RSU(form, 1, 1, 1).eval()
    for name, module in block.named_children():
        if isinstance(module, REBNConv) and not name.endswith("d"):
            module.register_forward_hook(lambda _m, x, _y: sizes.append(x[0].shape[-1]))
    block(torch.zeros(1, 1, 64, 64))
    levels = [64 // 2**n for n in range(poolings + 1)]
    assert sizes == [64, *levels, *[levels[-1]] * (form.height - len(levels))]
    assert form.poolings == poolings == sum(form.pools_before(level) for level in range(1, form.height + 1))


@every_form
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 33), (31, 64)])
def test_any_size_comes_back(form, size):
    assert RSU(form, 2, 1, 3).eval()(torch.randn(1, 2, *size)).shape == (1, 3, *size)


def test_partial_windows_are_pooled_and_maps_enlarged_to_the_very_size():
    x = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert halving()(x).flatten().tolist() == [1, 3, 4]
    assert enlarged(torch.tensor([[[[0.0, 5.0]]]]), torch.empty(1, 1, 1, 5)).flatten().tolist() == pytest.approx(
        [0, 0.5, 2.5, 4.5, 5]  # pixel i of 5 lies at (i + ½)·2/5 − ½ of 2
    )
    assert enlarged(x, x) is x


@every_form
def test_the_first_map_goes_round_and_is_added(form):
    block = RSU(form, 3, 2, 4).eval()
    x = torch.randn(1, 3, 32, 32)
    nn.init.zeros_(block.get_submodule("rebnconv1d").bn_s1.weight)
    assert torch.equal(block(x), block.rebnconvin(x))


@every_form
def test_on_an_axis_it_is_as_large_as_its_input_and_refuses_what_its_poolings_do_not_divide(form):
    step = 2**form.poolings
    axis = along_axis(Axis.of_input(3 * step), form)
    assert (axis.size, axis.stride, axis.offset) == (3 * step, 1, 0)
    if step > 1:
        with pytest.raises(SizeError, match="does not divide into pools of 2"):
            along_axis(Axis.of_input(3 * step + 1), form)
