"""The networks of the study: one thing changed at a time, and as many parameters where widths allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ushape.errors import RecipeError
from ushape.study.variants import REFERENCE, WIDER, nearest_width, parameters, variants


def test_networks_of_equal_width_differ_in_their_skips_alone():
    equal = [variant for variant in variants(8) if not variant.name.endswith(WIDER)]
    assert [(v.name, v.skip, v.residual) for v in equal] == [
        ("copy", "copy", False),
        ("add", "add", False),
        ("none", "none", False),
        ("residual-copy", "copy", True),
        ("residual-none", "none", True),
    ]
    others = [{k: value for k, value in v.options.items() if k not in ("skip", "residual")} for v in equal]
    assert all(options == others[0] for options in others)
    assert equal[0].name == REFERENCE


def test_residual_blocks_have_the_parameters_of_plain_ones():
    sizes = {variant.name: parameters(variant) for variant in variants(8)}
    assert sizes["residual-copy"] == sizes["copy"]
    assert sizes["residual-none"] == sizes["none"] == sizes["add"] < sizes["copy"]


def test_the_wider_networks_come_nearest_to_the_copys_parameters():
    named = {variant.name: variant for variant in variants(16)}
    assert [name for name in named if name.endswith(WIDER)] == ["add-wider", "none-wider", "residual-none-wider"]
    target = parameters(named["copy"])
    for name in ("add", "none", "residual-none"):
        wider = named[name + WIDER]
        apart = {width: abs(parameters(replace(wider, width=width)) - target) for width in range(14, 20)}
        assert min(apart, key=apart.__getitem__) == wider.width == 17
        assert replace(wider, name=name, about="", width=16) == replace(named[name], about="")


def test_where_no_other_width_comes_nearer_there_is_no_wider_network():
    assert [variant.name for variant in variants(4)] == ["copy", "add", "none", "residual-copy", "residual-none"]


@pytest.mark.parametrize(("target", "width"), [(16, 4), (17, 4), (20, 4), (21, 5), (1, 1), (0, 1), (10**6, 1000)])
def test_the_nearest_of_widths_whose_size_is_their_square(target, width):
    assert nearest_width(target, lambda width: width**2) == width


def test_a_width_is_never_below_the_least():
    assert nearest_width(4, lambda width: width**2, least=7) == 7


def test_a_width_that_cannot_be_is_refused():
    with pytest.raises(RecipeError, match="width = 0; it takes whole numbers from 1 up"):
        variants(0)
