"""The shortcut without parameters: what passes, and what does not."""

from __future__ import annotations

import torch

from ushape.models.shortcut import Shortcut


def test_a_map_of_equal_shape_passes_as_it_is():
    x = torch.randn(2, 5, 6, 7)
    assert torch.equal(Shortcut(5)(x), x)
    assert list(Shortcut(5).parameters()) == []


def test_channels_that_come_new_are_0():
    x = torch.randn(2, 3, 4, 4)
    passed = Shortcut(7)(x)
    assert torch.equal(passed[:, :3], x)
    assert passed.shape == (2, 7, 4, 4)
    assert not passed[:, 3:].any()


def test_of_a_copy_and_what_came_up_the_copy_passes():
    copy, up = torch.randn(1, 4, 5, 5), torch.randn(1, 8, 5, 5)
    assert torch.equal(Shortcut(4)(torch.cat([copy, up], dim=1)), copy)


def test_of_a_stride_every_second_pixel_passes_the_first_included():
    x = torch.arange(5.0).expand(1, 1, 5, 5)
    assert Shortcut(1, stride=2)(x)[0, 0, 1].tolist() == [0, 2, 4]
    convolution = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1)
    assert convolution(x).shape == Shortcut(1, stride=2)(x).shape


def test_of_an_unpadded_block_the_centre_passes():
    x = torch.arange(7.0).expand(1, 1, 7, 7)
    assert Shortcut(1, rim=2)(x)[0, 0, 0].tolist() == [2, 3, 4]
