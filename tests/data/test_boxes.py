from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ushape.data.augment import Augmentation, Warp
from ushape.data.boxes import boxes


def reaching(reach: int, count: int = 1) -> Warp:
    """A warp whose farthest pixel comes from so far away."""
    offsets = torch.zeros(count, 2, 2, 2)
    offsets[0, 0, 0, 0] = -reach
    return Warp(offsets)


def numbered(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape))).view(shape)


def mirrored_by_numpy(plane: Tensor, centre: tuple[int, int], half: int) -> Tensor:
    """NumPy's "reflect" repeats no border pixel, and knows nothing to reflect in a single line."""
    for axis, pixel in zip((-2, -1), centre, strict=True):
        mode = "reflect" if plane.shape[axis] > 1 else "edge"
        widths = [(0, 0)] * plane.ndim
        widths[axis] = (half, half)
        padded = np.pad(plane.numpy(), widths, mode=mode)  # type: ignore[call-overload]
        plane = torch.from_numpy(padded).narrow(axis, pixel, 2 * half + 1)
    return plane


@pytest.mark.parametrize(("height", "width"), [(7, 5), (1, 6), (20, 1), (1, 1), (2, 30), (40, 40)])
@pytest.mark.parametrize("reach", [0, 3, 11])
def test_a_box_around_every_pixel_is_the_mirrored_image_one_line_beyond_the_reach(
    height: int, width: int, reach: int
) -> None:
    warp, plane = reaching(reach), numbered(2, height, width)
    read = min(reach + 1, warp.half)
    inner = slice(warp.half - read, warp.half + read + 1)
    for y in range(height):
        for x in range(width):
            (box,) = boxes([plane], [(y, x)], warp)
            assert box.shape == (2, 2 * warp.half + 1, 2 * warp.half + 1)
            expected = mirrored_by_numpy(plane, (y, x), warp.half)
            assert torch.equal(box[:, inner, inner], expected[:, inner, inner])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_each_example_has_its_own_box_whatever_its_size_and_type(dtype: torch.dtype) -> None:
    planes = [numbered(3, 4).to(dtype), numbered(50, 40).to(dtype) % 251]
    centres = [(2, 3), (20, 20)]
    result = boxes(planes, centres, reaching(8, count=2))
    assert result.shape == (2, 17, 17) and result.dtype == dtype
    for box, plane, centre in zip(result, planes, centres, strict=True):
        assert torch.equal(box, mirrored_by_numpy(plane, centre, 8))


def test_a_warp_reads_no_more_than_what_is_filled() -> None:
    warp = Augmentation().draw(3, torch.Generator().manual_seed(2)).warp(40, torch.device("cpu"))
    assert warp.half > warp.reach + 1
    planes, centres = [torch.ones(1, 30, 30)] * 3, [(4, 29), (0, 0), (15, 20)]
    filled = boxes(planes, centres, warp)
    read = slice(warp.half - warp.reach - 1, warp.half + warp.reach + 2)
    spoilt = torch.full_like(filled, torch.nan)
    spoilt[..., read, read] = filled[..., read, read]
    assert torch.allclose(warp.bilinear(spoilt), torch.ones(3, 1, 40, 40))


def test_the_images_are_left_alone() -> None:
    plane = numbered(9, 8)
    before = plane.clone()
    boxes([plane], [(1, 1)], reaching(12))
    assert torch.equal(plane, before)
