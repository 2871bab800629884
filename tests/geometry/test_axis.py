"""The axis calculus against the papers' figures, and against the dependencies counted pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ushape.errors import SizeError
from ushape.geometry.axis import Axis, footprint_of


def walk_of_unet(size: int, depth: int) -> tuple[list[int], list[int], Axis]:
    """Fig. 1 of U-Net 2015, layer by layer: every size along the way, every crop from the bottom up, and the end."""
    maps = [Axis.of_input(size)]
    copies = []
    for _ in range(depth):
        for _ in range(2):
            maps.append(maps[-1].conv(3))
        copies.append(maps[-1])
        maps.append(maps[-1].pool(2))
    crops = []
    for _ in range(2):
        maps.append(maps[-1].conv(3))
    for copy in reversed(copies):
        maps.append(maps[-1].up(2))
        crops.append(copy.crop_onto(maps[-1]))
        maps.append(maps[-1].join(copy).conv(3))
        maps.append(maps[-1].conv(3))
    return [m.size for m in maps], crops, maps[-1]


def vgg16_of_fcn(size: int) -> tuple[Axis, Axis, Axis]:
    """pool3, pool4 and the class scores of FCN's VGG16: conv1_1 padded by 100, Caffe's pooling, fc6 7×7 unpadded."""
    x = Axis.of_input(size)
    pools = []
    for block, convolutions in enumerate([2, 2, 3, 3, 3]):
        for number in range(convolutions):
            x = x.conv(3, padding=100 if block == number == 0 else 1)
        x = x.pool(2, partial="keep")
        pools.append(x)
    return pools[2], pools[3], x.conv(7).conv(1).conv(1)


def test_the_sizes_of_figure_1():
    sizes, crops, end = walk_of_unet(572, depth=4)
    contracting = [572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    expanding = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert sizes == contracting + expanding
    assert crops == [4, 16, 40, 88]
    assert (end.offset, end.stride) == (92, 1)


@pytest.mark.parametrize("depth", range(1, 7))
def test_sizes_follow_the_closed_form_at_every_depth(depth):
    for bottom in range(8, 41):
        size = 2**depth * bottom + 4 * (2**depth - 1)
        _, crops, end = walk_of_unet(size, depth)
        assert end.size == 2**depth * bottom - 8 * 2**depth + 4
        assert size - end.size == 12 * 2**depth - 8 == 2 * end.offset
        assert crops == [12 * 2**below - 8 for below in range(depth)]


def test_no_other_input_passes_figure_1():
    for size in range(1, 600):
        if size >= 188 and size % 16 == 12:
            assert walk_of_unet(size, 4)[2].size == size - 184
        else:
            with pytest.raises(SizeError):
                walk_of_unet(size, 4)


def test_fcn_32s_at_500_pixels():
    image = Axis.of_input(500)
    x, sizes = image, []
    for block, convolutions in enumerate([2, 2, 3, 3, 3]):
        for number in range(convolutions):
            x = x.conv(3, padding=100 if block == number == 0 else 1)
        sizes.append(x.size)
        x = x.pool(2, partial="keep")
    assert [*sizes, x.size] == [698, 349, 175, 88, 44, 22]
    score = x.conv(7)
    assert score.size == 16
    assert score.stride == 32
    upscore = score.up(32, kernel=64)
    assert upscore.size == 544
    assert upscore.crop_onto(image) == 19


def test_fcn_crops_are_the_same_for_every_image_size():
    for size in range(1, 700):
        image = Axis.of_input(size)
        pool3, pool4, score = vgg16_of_fcn(size)
        assert score.up(32, kernel=64).crop_onto(image) == 19  # 32s
        upscore2 = score.up(2, kernel=4)
        assert pool4.crop_onto(upscore2) == 5
        fused4 = upscore2.join(pool4)
        assert fused4.up(16, kernel=32).crop_onto(image) == 27  # 16s
        upscore_pool4 = fused4.up(2, kernel=4)
        assert pool3.crop_onto(upscore_pool4) == 9
        assert upscore_pool4.join(pool3).up(8, kernel=16).crop_onto(image) == 31  # 8s


def test_fcn_on_alexnet_is_cropped_by_18():
    image = Axis.of_input(507)  # 507 + 200 divides into whole windows, so that Caffe's rounding does not matter
    x = image.conv(11, stride=4, padding=100).conv(3, stride=2).conv(5, padding=2).conv(3, stride=2)
    x = x.conv(3, padding=1).conv(3, padding=1).conv(3, padding=1).conv(3, stride=2).conv(6)
    assert x.up(32, kernel=63).crop_onto(image) == 18


def test_receptive_fields_of_vgg16():
    _, pool4, score = vgg16_of_fcn(500)
    assert pool4.receptive_field == 100
    assert score.receptive_field == 404


# One layer in two forms: the rule of Axis, and which pixels of the map before it pixel i takes in, said directly.
Layer = tuple[str, int, int, int, int]
convolutions = st.tuples(st.just("conv"), st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))
pools = st.tuples(st.just("pool"), st.integers(2, 3), st.just(0), st.just(0), st.just(0))
ups = st.tuples(st.just("up"), st.integers(2, 3), st.integers(0, 2), st.just(0), st.just(0))
bilinears = st.tuples(st.just("bilinear"), st.integers(2, 4), st.just(0), st.just(0), st.just(0))
every_layer = st.one_of(convolutions, pools, ups, bilinears)


def applied(x: Axis, layer: Layer) -> Axis:
    kind, a, b, c, d = layer
    if kind == "conv":
        return x.conv(a, stride=b, padding=c, dilation=d)
    if kind == "bilinear":
        return x.bilinear(a)
    return x.pool(a, partial="drop") if kind == "pool" else x.up(a, kernel=a + b)


def taken_in(i: int, layer: Layer) -> set[int]:
    kind, a, b, c, d = layer
    if kind == "conv":
        return {i * b - c + d * k for k in range(a)}
    if kind == "pool":
        return {i * a + k for k in range(a)}
    if kind == "bilinear":
        place = Fraction(2 * i + 1, 2 * a) - Fraction(1, 2)
        return {math.floor(place), math.ceil(place)}
    return {j for j in range(i // a - a - b, i // a + 1) if 0 <= i - j * a < a + b}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(every_layer, min_size=1, max_size=6), st.integers(-30, 30))
def test_depends_on_is_what_counting_pixel_by_pixel_gives(layers, pixel):
    x = Axis.of_input(2000)
    for layer in layers:
        x = applied(x, layer)
    reached = {pixel}
    for layer in reversed(layers):
        reached = {j for i in reached for j in taken_in(i, layer)}
    assert x.depends_on(pixel) == (min(reached), max(reached))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(every_layer, min_size=1, max_size=6), st.integers(1, 3))
def test_what_pixels_depend_on_moves_with_the_stride_and_never_back(layers, factor):
    x = Axis.of_input(2000)
    for layer in layers:
        x = applied(x, layer)
    period = len(x.first)
    assert (period * x.stride).denominator == 1
    for i in range(period):
        first, last = x.depends_on(i)
        assert x.depends_on(i + factor * period) == (
            first + factor * period * x.stride,
            last + factor * period * x.stride,
        )
        assert first <= x.depends_on(i + 1)[0]
        assert last <= x.depends_on(i + 1)[1]


def test_a_join_depends_on_what_either_side_depends_on():
    near = Axis.of_input(40).conv(3)
    far = Axis.of_input(40).conv(9)
    joined = far.join(near)
    assert near.crop_onto(far) == 3
    assert joined.size == 32
    assert joined.depends_on(0) == (0, 8)
    wide = Axis.of_input(40).conv(3).pool(2).up(2)
    fine = Axis.of_input(40).conv(5, padding=2)
    with pytest.raises(SizeError, match="no place"):
        wide.crop_onto(fine)
    assert [wide.join(fine).depends_on(i) for i in range(3)] == [(-1, 3), (0, 4), (1, 5)]
    even = Axis.of_input(40).conv(3)  # every pixel alike, until it is joined to one whose pixels come in pairs
    assert [even.join(wide).depends_on(i) for i in range(4)] == [(0, 3), (0, 3), (2, 5), (2, 5)]


def test_pooling_treats_a_partial_window_as_asked():
    seven = Axis.of_input(7)
    with pytest.raises(SizeError, match="7 pixels does not divide into pools of 2"):
        seven.pool(2)
    assert seven.pool(2, partial="drop").size == 3
    assert seven.pool(2, partial="keep").size == 4
    assert Axis.of_input(8).pool(2) == Axis.of_input(8).pool(2, partial="keep") == Axis.of_input(8).conv(2, stride=2)


def test_bilinear_places_pixels_as_pytorch_does():
    for size, factor in [(5, 2), (4, 3), (3, 8)]:
        x = Axis.of_input(size).bilinear(factor)
        ramp = torch.arange(size, dtype=torch.float64)[None, None]
        enlarged = torch.nn.functional.interpolate(ramp, scale_factor=factor, mode="linear", align_corners=False)[0, 0]
        assert x.size == len(enlarged)
        inner = range(factor, x.size - factor)  # away from the edges, which are repeated
        assert [float(x.offset + i * x.stride) for i in inner] == pytest.approx([float(enlarged[i]) for i in inner])


def test_a_cropped_map_is_the_part_that_lies_on_the_other():
    image = Axis.of_input(40)
    upscored = image.pool(2).conv(3, padding=3).up(2, kernel=4)
    part, crop = upscored.cropped(image), upscored.crop_onto(image)
    assert (part.size, part.offset, part.stride) == (image.size, image.offset, image.stride)
    assert crop > 0
    assert [part.depends_on(i) for i in range(40)] == [upscored.depends_on(i + crop) for i in range(40)]


def test_maps_of_different_strides_cannot_be_joined():
    x = Axis.of_input(8)
    with pytest.raises(SizeError, match="strides 1 and 2 cannot be laid on each other"):
        x.crop_onto(x.pool(2))
    with pytest.raises(SizeError, match="strides"):
        x.join(x.pool(2))


def test_a_crop_must_be_a_whole_number_that_lies_within_the_map():
    x = Axis.of_input(8)
    with pytest.raises(SizeError, match="8 pixels has no place for 7 pixels at offset 1/2"):
        x.crop_onto(x.conv(2))
    with pytest.raises(SizeError, match="6 pixels has no place for 8 pixels at offset -1"):
        x.conv(3).crop_onto(x)
    with pytest.raises(SizeError, match="no place for 9 pixels at offset 0"):
        x.crop_onto(Axis.of_input(9))


def test_a_window_must_fit_into_the_map():
    with pytest.raises(SizeError, match="4 pixels are too few for a window of 7 with padding 1"):
        Axis.of_input(4).conv(7, padding=1)
    with pytest.raises(SizeError, match="too few for a window of 2"):
        Axis.of_input(1).pool(2, partial="drop")
    assert Axis.of_input(1).pool(2, partial="keep").size == 1


def identity(x: Axis) -> Axis:
    return x


def hourglass(x: Axis) -> Axis:
    return x.pool(2).pool(2).up(4)


@pytest.mark.parametrize(
    ("network", "multiple", "padded", "expected"),
    [
        (identity, 1, False, (0, 1, 1)),
        (lambda x: x.conv(3).conv(3), 1, False, (2, 1, 5)),
        (lambda x: x.conv(3, padding=1), 1, True, (1, 1, 1)),
        (lambda x: x.conv(5, padding=4, dilation=2), 1, True, (4, 1, 1)),
        (hourglass, 4, False, (0, 4, 4)),
        (hourglass, 4, True, (0, 4, 4)),  # an answer that begins on the pooling grid needs nothing around it
        (lambda x: hourglass(x).conv(3, padding=1), 4, True, (4, 4, 4)),
    ],
)
def test_footprints_of_small_networks(
    network: Callable[[Axis], Axis], multiple: int, padded: bool, expected: tuple[int, int, int]
):
    footprint = footprint_of(network, multiple=multiple, padded=padded)
    assert (footprint.margin, footprint.multiple, footprint.smallest_input) == expected
    assert footprint.padded is padded


def test_a_network_that_nothing_passes_has_no_footprint():
    with pytest.raises(SizeError, match="No input below 50 pixels passes"):
        footprint_of(lambda x: x.conv(99), multiple=1, padded=False, search=50)


def test_half_pixel_offsets_are_exact():
    assert Axis.of_input(8).pool(2).offset == Fraction(1, 2)
    assert Axis.of_input(9).pool(3).up(2).stride == Fraction(3, 2)
