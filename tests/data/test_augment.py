from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ushape.data.augment import Augmentation, Transform, Warp
from ushape.errors import RecipeError

CPU = torch.device("cpu")
EVERYTHING = Augmentation()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def still(matrix: Tensor | None = None, vectors: Tensor | None = None) -> Transform:
    """A transform of one patch that changes no value, and moves pixels only as told."""
    matrix = torch.eye(2, dtype=torch.float64) if matrix is None else matrix
    vectors = torch.zeros(2, 3, 3) if vectors is None else vectors
    one, zero = torch.ones(1), torch.zeros(1)
    return Transform(matrix[None], vectors[None], one, zero, zero, zero, noise_seed=0)


def image_around(warp: Warp, channels: int = 1) -> Tensor:
    side = 2 * warp.half + 1
    return torch.randn(1, channels, side, side, generator=seeded())


def patch_of(box: Tensor, size: int) -> Tensor:
    """The middle of a box as slicing sees it: the centre pixel of the box at [size // 2]."""
    start = box.shape[-1] // 2 - size // 2
    return box[..., start : start + size, start : start + size]


@pytest.mark.parametrize("size", [1, 2, 5, 16, 33, 100, 380])
def test_nothing_turned_on_reproduces_the_image_to_the_last_bit(size: int) -> None:
    transform = Augmentation.none().draw(1, seeded())
    warp = transform.warp(size, CPU)
    box = image_around(warp, channels=3)
    assert torch.equal(transform.values(warp.bilinear(box)), patch_of(box, size))
    classes = (box[:, 0] > 0).to(torch.uint8)
    assert torch.equal(warp.nearest(classes), patch_of(classes, size))


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("flipped", [False, True])
def test_quarter_turns_and_flips_equal_rearranged_pixels(size: int, quarters: int, flipped: bool) -> None:
    angle = quarters * math.pi / 2
    matrix = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]).double()
    if flipped:
        matrix = matrix @ torch.diag(torch.tensor([1.0, -1.0]).double())
    warp = still(matrix).warp(size, CPU)
    box = image_around(warp)
    expected = torch.rot90(patch_of(box, size), quarters, (-2, -1))
    expected = expected.flip(-1) if flipped else expected
    torch.testing.assert_close(warp.bilinear(box), expected, atol=1e-5, rtol=0)
    assert torch.equal(warp.nearest((box[:, 0] > 0).to(torch.uint8)), (expected[:, 0] > 0).to(torch.uint8))


def test_a_displacement_of_whole_pixels_shifts_the_image_exactly() -> None:
    vectors = torch.tensor([3.0, -5.0])[:, None, None].expand(2, 3, 3)
    warp = still(vectors=vectors).warp(32, CPU)
    box = image_around(warp)
    torch.testing.assert_close(warp.bilinear(box), patch_of(box.roll((-3, 5), (-2, -1)), 32), atol=1e-4, rtol=0)


def test_magnifying_twice_samples_every_half_pixel() -> None:
    warp = still(torch.eye(2, dtype=torch.float64) / 2).warp(9, CPU)
    box = image_around(warp)
    result = warp.bilinear(box)
    torch.testing.assert_close(result[..., ::2, ::2], patch_of(box, 5))
    neighbours = patch_of(box, 5)[..., :-1] / 2 + patch_of(box, 5)[..., 1:] / 2
    torch.testing.assert_close(result[..., ::2, 1::2], neighbours)


@pytest.mark.parametrize("size", [48, 131])
def test_image_and_classes_come_from_the_same_places(size: int) -> None:
    warp = EVERYTHING.draw(6, seeded(4)).warp(size, CPU)
    ramp = torch.arange(2 * warp.half + 1)
    for box in (ramp[:, None].expand(6, -1, len(ramp)), ramp.expand(6, len(ramp), -1)):
        difference = warp.nearest(box) - warp.bilinear(box[:, None].float())[:, 0]
        assert difference.abs().max() <= 0.5 + 1e-3


def test_classes_are_never_invented() -> None:
    warp = EVERYTHING.draw(4, seeded()).warp(64, CPU)
    side = 2 * warp.half + 1
    known = torch.tensor([0, 3, 255], dtype=torch.uint8)
    sampled = warp.nearest(known[torch.randint(3, (4, side, side), generator=seeded())])
    assert sampled.dtype == torch.uint8
    assert set(sampled.unique().tolist()) == {0, 3, 255}


def test_nothing_beyond_the_reach_is_looked_at() -> None:
    warp = EVERYTHING.draw(8, seeded(1)).warp(70, CPU)
    side, outside = 2 * warp.half + 1, warp.half - warp.reach
    box = torch.zeros(8, 1, side, side)
    box[..., outside : side - outside, outside : side - outside] = 1
    torch.testing.assert_close(warp.bilinear(box), torch.ones(8, 1, 70, 70))
    assert warp.nearest(box[:, 0].to(torch.uint8)).all()


def test_the_inner_part_of_a_warp_samples_the_inner_part_of_its_patch() -> None:
    whole = EVERYTHING.draw(2, seeded()).warp(80, CPU)
    inner = whole.inner(24)
    side = 2 * whole.half + 1
    box = torch.randint(9, (2, side, side), generator=seeded()).to(torch.uint8)
    cut = whole.half - inner.half
    smaller = box[:, cut : side - cut, cut : side - cut]
    assert inner.reach < whole.reach
    assert torch.equal(inner.nearest(smaller), whole.nearest(box)[:, 24:56, 24:56])
    assert torch.equal(whole.inner(0).offsets, whole.offsets)


def test_angles_magnifications_and_flips_stay_in_their_ranges_and_fill_them() -> None:
    settings = replace(EVERYTHING, rotation_degrees=30, scale=1.5)
    matrix = settings.draw(4000, seeded()).matrix
    determinant = torch.linalg.det(matrix)
    magnification = determinant.abs().rsqrt()
    assert 1 / 1.5 <= magnification.min() < 0.68 and 1.48 < magnification.max() <= 1.5
    assert magnification.log().mean().abs() < 0.02  # as often larger as smaller
    assert (determinant < 0).double().mean() == pytest.approx(0.5, abs=0.03)
    unflipped = replace(settings, flip=False).draw(4000, seeded()).matrix
    degrees = torch.atan2(unflipped[:, 0, 1], unflipped[:, 0, 0]).rad2deg()
    assert -30 <= degrees.min() < -29.5 and 29.5 < degrees.max() <= 30


def test_elastic_vectors_have_the_standard_deviation_asked_for() -> None:
    vectors = EVERYTHING.draw(2000, seeded()).vectors
    assert vectors.std().item() == pytest.approx(10, rel=0.02)
    assert vectors.mean().item() == pytest.approx(0, abs=0.2)


def test_turning_one_part_off_leaves_the_others_as_they_were() -> None:
    full, rigid = EVERYTHING.draw(5, seeded()), replace(EVERYTHING, elastic_px=0, contrast=0).draw(5, seeded())
    assert torch.equal(full.matrix, rigid.matrix) and torch.equal(full.shift, rigid.shift)
    assert not rigid.vectors.any() and torch.equal(rigid.gain, torch.ones(5))


def test_equal_generators_draw_equal_transforms_and_unequal_ones_do_not() -> None:
    image = torch.randn(3, 1, 20, 20, generator=seeded())
    first, again, other = (EVERYTHING.draw(3, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first.warp(20, CPU).offsets, again.warp(20, CPU).offsets)
    assert torch.equal(first.values(image), again.values(image))
    assert not torch.equal(first.warp(20, CPU).offsets, other.warp(20, CPU).offsets)
    assert not torch.equal(first.values(image), other.values(image))


def test_contrast_multiplies_and_brightness_adds_within_their_ranges() -> None:
    transform = replace(Augmentation.none(), contrast=0.25, brightness=0.5).draw(3000, seeded())
    at_zero, at_one = transform.values(torch.tensor([0.0, 1.0]).expand(3000, 1, 1, 2)).unbind(-1)
    assert -0.5 <= at_zero.min() < -0.49 and 0.49 < at_zero.max() <= 0.5
    gain = at_one - at_zero
    assert 0.8 - 1e-6 <= gain.min() < 0.81 and 1.24 < gain.max() <= 1.25 + 1e-6


def test_the_curve_keeps_the_order_of_grey_values_and_its_slope_in_range() -> None:
    transform = replace(Augmentation.none(), curve=0.4).draw(300, seeded())
    greys = torch.linspace(-30, 30, 6001)
    curves = transform.values(greys.expand(300, 1, 1, -1))[:, 0, 0]
    slopes = curves.diff(dim=-1) / greys.diff()
    assert slopes.min() > 0.6 - 1e-2 and slopes.max() < 1.4 + 1e-2
    torch.testing.assert_close(curves[:, 3000], torch.zeros(300), atol=1e-5, rtol=0)  # the mean grey stays
    assert (curves.diff(n=2)[:, 2900:3100].mean(-1) > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_noise_is_white_and_differs_in_strength_between_patches() -> None:
    transform = replace(Augmentation.none(), noise=0.2).draw(60, seeded())
    noise = transform.values(torch.zeros(60, 2, 40, 40))
    strength = noise.flatten(1).std(1)
    assert strength.min() < 0.03 and 0.17 < strength.max() < 0.21
    assert noise[..., 1:].mul(noise[..., :-1]).mean().abs() < 1e-3
    assert torch.equal(noise, transform.values(torch.zeros(60, 2, 40, 40)))


def test_the_image_handed_in_is_left_alone() -> None:
    image = torch.randn(2, 1, 9, 9, generator=seeded())
    before = image.clone()
    EVERYTHING.draw(2, seeded()).values(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotation_degrees", -1),
        ("rotation_degrees", 181),
        ("scale", 0.9),
        ("scale", 5),
        ("elastic_px", -0.1),
        ("contrast", -0.1),
        ("brightness", math.inf),
        ("curve", 1.0),
        ("noise", math.nan),
    ],
)
def test_an_impossible_setting_is_named_with_its_range(name: str, value: float) -> None:
    with pytest.raises(
        RecipeError, match=rf"Augmentation got {name} = .*; it takes [01] to [\d.]+, and [01] turns it off"
    ):
        Augmentation(**{name: value})
