"""FCN-32s, 16s and 8s: the papers' numbers, the authors' outputs, growth from one to the next, and the law of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ushape.checkpoint import Trained
from ushape.errors import CheckpointError, RecipeError
from ushape.geometry.axis import Axis
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import mirrored, plan
from ushape.images.source import from_array
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models.fcn import (
    FCN,
    Bilinear,
    FCN8s,
    FCN16s,
    FCN32s,
    Score,
    UpConvolution,
    along_axis,
    bilinear_kernel,
    from_caffe,
)
from ushape.models.unet import UNet
from ushape.predict.tiled import Predictor
from ushape.recipe import ModelRecipe, Recipe

ALL: list[type[FCN]] = [FCN32s, FCN16s, FCN8s]
every_fcn = pytest.mark.parametrize("kind", ALL)
every_growth = pytest.mark.parametrize(("before", "after"), list(pairwise(ALL)))


def published(kind: type[FCN], **options: object) -> FCN:
    """A network of shapes only: 134 million parameters cost nothing."""
    with torch.device("meta"):
        return kind(**options)


def drawn(kind: type[FCN], in_channels: int = 1, classes: int = 3, *, seed: int = 0, **options: object) -> FCN:
    """A small network whose scores, which begin at 0, are drawn too."""
    torch.manual_seed(seed)
    net = kind(in_channels, classes, **{"width": 2, **options})
    for module in net.modules():
        if isinstance(module, Score):
            nn.init.normal_(module.weight, std=module.in_channels**-0.5)
    return net.eval()


def dense(kernel: Tensor, channels: int) -> Tensor:
    """The authors' form of an up-convolution: a kernel from each channel to each, those off the diagonal 0."""
    weights = torch.zeros(channels, channels, *kernel.shape)
    weights[range(channels), range(channels)] = kernel
    return weights


@pytest.mark.parametrize(
    ("kind", "learned", "fixed"),
    [(FCN32s, 134_346_581, 1_806_336), (FCN16s, 134_357_354, 458_640), (FCN8s, 134_362_751, 127_008)],
)
def test_parameters_of_the_published_networks(kind: type[FCN], learned: int, fixed: int):
    net = published(kind, upsampling="fixed")
    assert (net.in_channels, net.classes) == (3, 21)
    assert net.parameter_count == learned
    kernels = [m.kernel_size[0] for m in net.modules() if isinstance(m, Bilinear)]
    assert sum(21 * 21 * size**2 for size in kernels) == fixed
    in_between = 21 * 21 * sum(size**2 for size in kernels if size == 4)  # which the paper learns
    assert published(kind).parameter_count == learned + in_between


def test_crops_follow_from_the_layers_for_every_size():
    for size in range(1, 200, 3):  # of every remainder by 32
        x = Axis.of_input(size)
        ends = [along_axis(x, stride=kind.stride) for kind in ALL]
        assert [crops for _, crops in ends] == [[19], [5, 27], [5, 9, 31]]
        assert all((end.size, end.offset, end.stride) == (size, 0, 1) for end, _ in ends)


@pytest.mark.parametrize(
    ("kind", "enlarged"),
    [(FCN32s, [(64, 544)]), (FCN16s, [(4, 34), (32, 560)]), (FCN8s, [(4, 34), (4, 70), (16, 568)])],
)
def test_the_sizes_of_enlarged_scores_of_a_500_pixel_image(kind: type[FCN], enlarged: list[tuple[int, int]]):
    net = published(kind)
    seen: list[tuple[int, int]] = []
    for module in net.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_hook(lambda m, _x, y: seen.append((m.kernel_size[0], y.shape[-1])))
    assert net(torch.zeros(1, 3, 500, 500, device="meta")).shape == (1, 21, 500, 500)
    assert seen == enlarged


@every_fcn
@pytest.mark.parametrize("upsampling", ["learned", "fixed"])
def test_it_computes_what_the_authors_network_computes(shared_fixtures: Path, kind: type[FCN], upsampling: str):
    place = shared_fixtures / "seeded" / f"fcn{kind.stride}s_w8_97x131"
    truth = np.load(f"{place}.npz")
    net = drawn(kind, 3, 5, width=8, upsampling=upsampling)
    net.vgg16.fc6, net.vgg16.fc7, net.score_fr = nn.Conv2d(64, 64, 7), nn.Conv2d(64, 64, 1), Score(64, 5)  # 8·width
    net.load_state_dict(from_caffe(load_file(f"{place}.safetensors"), net), strict=True)
    with torch.inference_mode():
        logits = net(torch.from_numpy(truth["input"]))
    expected = torch.from_numpy(truth["output0"])
    assert logits.shape == (1, 5, 97, 131)
    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4 * expected.std().item())
    assert torch.allclose(logits.softmax(1), expected.softmax(1), rtol=0, atol=1e-4)


def test_up_convolutions_that_are_fixed_here_must_be_bilinear_there():
    state = {"upscore2.weight": dense(bilinear_kernel(2), 3), "upscore16.weight": dense(bilinear_kernel(16), 3)}
    assert list(from_caffe(state, drawn(FCN16s))) == ["upscore2.weight"]
    assert from_caffe(state, drawn(FCN16s, upsampling="fixed")) == {}
    state["upscore2.weight"] = torch.randn(3, 3, 4, 4)
    assert list(from_caffe(state, drawn(FCN16s))) == ["upscore2.weight"]
    with pytest.raises(
        CheckpointError, match=r"upscore2\.weight is not bilinear.*upsampling = 'fixed'.*with \"learned\""
    ):
        from_caffe(state, drawn(FCN16s, upsampling="fixed"))
    with pytest.raises(CheckpointError, match=r"upscore16\.weight is not bilinear.*the last is bilinear in the paper"):
        from_caffe({"upscore16.weight": dense(bilinear_kernel(16) + 0.01, 3)}, drawn(FCN16s))


def test_names_that_neither_side_has_are_left_to_the_check_of_whoever_loads():
    assert list(from_caffe({"fc8.weight": torch.zeros(1)}, drawn(FCN8s))) == ["vgg16.fc8.weight"]


@every_fcn
def test_scores_begin_at_zero_and_up_convolutions_bilinear(kind: type[FCN]):
    net = kind(3, 4, width=1)
    for module in net.modules():
        if isinstance(module, Score):
            assert not module.weight.any()
            assert not module.bias.any()
        if isinstance(module, UpConvolution):
            assert torch.equal(module.weight, dense(bilinear_kernel(2), 4))
    assert not net(torch.randn(1, 3, 20, 30)).any()


@every_fcn
def test_from_that_start_every_weight_learns_from_the_third_step_on(kind: type[FCN]):
    torch.manual_seed(0)
    net = kind(1, 2, width=2, dropout=0.0)
    x, target = torch.randn(1, 1, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    moved: list[set[str]] = []
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(net(x), target).backward()
        moved.append({name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()})
        optimiser.step()
    assert {name.split(".")[0].split("_")[0] for name in moved[0]} == {"score"}
    assert moved[2] == {name for name, _ in net.named_parameters()}


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_fixed_up_convolutions_are_the_authors_dense_ones_and_interpolate(factor: int):
    torch.manual_seed(0)
    x = torch.randn(1, 3, 5, 6)
    enlarged = Bilinear(3, factor)(x)
    assert torch.allclose(enlarged, F.conv_transpose2d(x, dense(bilinear_kernel(factor), 3), stride=factor), atol=1e-6)
    inner = np.s_[..., factor:-factor, factor:-factor]  # farther out the border is not repeated: it fades to 0
    rim = factor // 2
    reference = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    assert torch.allclose(enlarged[..., rim:-rim, rim:-rim][inner], reference[inner], atol=1e-6)


def test_a_fixed_up_convolution_has_nothing_to_learn_and_nothing_to_save():
    fixed = Bilinear(3, 32)
    assert list(fixed.parameters()) == []
    assert fixed.state_dict() == {}
    assert torch.equal(FCN32s(1, 3, width=1).bfloat16().upscore.weight, fixed.weight.bfloat16())


def test_learned_up_convolutions_begin_as_the_fixed_ones():
    x = torch.randn(1, 1, 40, 50)
    learned, fixed = drawn(FCN8s), drawn(FCN8s, upsampling="fixed")
    assert learned.parameter_count - fixed.parameter_count == 2 * 3 * 3 * 4 * 4
    assert torch.allclose(learned(x), fixed(x), atol=1e-5)


def test_at_once_scales_pool4_and_pool3_before_their_scores():
    staged, at_once = drawn(FCN8s), drawn(FCN8s, at_once=True)
    x = torch.randn(1, 1, 40, 50)
    assert not torch.allclose(staged(x), at_once(x), atol=1e-2)
    with torch.no_grad():
        staged.score_pool4.weight *= 0.01
        staged.score_pool3.weight *= 0.0001
    assert torch.allclose(staged(x), at_once(x), atol=1e-5)


@every_fcn
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (37, 65), (100, 33)])
def test_logits_are_as_large_as_any_image(kind: type[FCN], size: tuple[int, int]):
    assert drawn(kind, 2)(torch.randn(2, 2, *size)).shape == (2, 3, *size)


@every_fcn
def test_the_margin_is_224_on_a_grid_of_32_and_edges_are_seen(kind: type[FCN]):
    footprint = published(kind).footprint
    assert footprint == Footprint(margin=224, multiple=32, smallest_input=32, padded=True, sees_edges=True)
    reaches = {32: 404 + 32, 16: 404 + 64, 8: 404 + 64}
    assert published(kind).along_axis(Axis.of_input(512)).receptive_field == reaches[kind.stride]


@every_fcn
def test_logits_depend_on_exactly_the_pixels_that_the_axis_says(kind: type[FCN]):
    net = kind(1, 1, width=1).double().eval()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())  # nothing cancels
            nn.init.zeros_(layer.bias)
    height, width = 33, 613
    rows, columns = ([net.along_axis(Axis.of_input(n)).depends_on(i) for i in range(n)] for n in (height, width))
    for pixel in [(0, 0), (17, 301), (32, 612)]:
        x = torch.zeros(1, 1, height, width, dtype=torch.float64)
        x[0, 0, *pixel] = 1
        with torch.inference_mode():
            moved = net(x)[0, 0] > 0
        down, right = (
            torch.tensor([first <= p <= last for first, last in axis])
            for p, axis in zip(pixel, (rows, columns), strict=True)
        )
        assert torch.equal(moved, down[:, None] & right)


def tiled(net: FCN, image: Tensor, footprint: Footprint, keep: int) -> Tensor:
    """(K, H, W) logits of a (H, W) image, put together from the kept parts of tiles."""
    answer = torch.full((net.classes, *image.shape), torch.nan, dtype=image.dtype)
    for tile in plan(image.shape, [footprint] * 2, (keep, keep)):
        rows, columns = map(mirrored, tile.read.start, tile.read.stop, image.shape)
        with torch.inference_mode():
            logits = net(image[rows][:, columns][None, None])
        answer[:, *tile.keep.slices] = logits[0][:, *tile.kept_of_output]
    return answer


@every_fcn
def test_tiles_compute_what_one_pass_computes_to_the_last_digits(kind: type[FCN]):
    torch.manual_seed(1)
    net, image = drawn(kind, width=1).double(), torch.randn(40, 800, dtype=torch.float64)
    whole = tiled(net, image, net.footprint, 800)
    for keep in (64, 256):
        assert torch.allclose(tiled(net, image, net.footprint, keep), whole, rtol=0, atol=1e-10)
    nearer = replace(net.footprint, margin=net.footprint.margin - 32)
    assert (tiled(net, image, nearer, 64) - whole).abs().max() > 1e-6  # no smaller margin on the grid would do


@pytest.mark.parametrize(("kind", "flips"), [(FCN32s, False), (FCN16s, False), (FCN8s, False), (FCN8s, True)])
def test_a_prediction_is_the_same_whatever_the_tiles(kind: type[FCN], flips: bool):
    width, keep_px = (1, 160) if flips else (4, 64)
    net = drawn(kind, classes=2, width=width)
    with torch.no_grad():
        net.score_fr.bias -= net(torch.randn(1, 1, 160, 352)).mean(
            dim=(0, 2, 3)
        )  # as much of one class as of the other
    recipe = Recipe(model=ModelRecipe(f"fcn{kind.stride}s", {"width": width}))
    trained = Trained(net, Labels(("background", "cell"), (0, 255)), Intensity((120.0,), (70.0,), "uint8"), recipe)
    image = from_array(np.random.default_rng(0).integers(0, 256, (150, 333), dtype=np.uint8))
    whole_classes, whole = Predictor(trained, flips=flips, keep_px=352).whole(image)
    classes, probability = Predictor(trained, flips=flips, keep_px=keep_px).whole(image)
    assert 0.02 < whole_classes.mean() < 0.98
    assert np.array_equal(classes, whole_classes)
    assert np.abs(probability - whole).max() < 1e-5


@every_fcn
def test_flipped_images_have_a_grid_of_their_own_where_their_size_is_not_26_more_than_the_grid(kind: type[FCN]):
    net = drawn(kind).double()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight + layer.weight.flip(-1)  # the same left and right

    def asymmetry(width: int) -> float:
        x = torch.randn(1, 1, 40, width, dtype=torch.float64)
        with torch.inference_mode():
            return float((net(x.flip(-1)) - net(x).flip(-1)).abs().max())

    torch.manual_seed(0)
    assert asymmetry(26) < 1e-10  # 26 + 2·99 pixels of conv1_1 divide into windows of 32
    assert asymmetry(90) < 1e-10
    assert asymmetry(64) > 1e-3  # the sizes that tiles have; averages over flips see other windows each


@contextmanager
def fused(net: FCN) -> Iterator[list[Tensor]]:
    """The sum of scores that is enlarged last, of each pass."""
    seen: list[Tensor] = []
    handle = net.upscore.register_forward_pre_hook(lambda _m, x: seen.append(x[0].detach()))
    yield seen
    handle.remove()


@every_growth
def test_a_finer_network_begins_with_the_weights_and_the_scores_of_the_coarser(before: type[FCN], after: type[FCN]):
    coarse, fine = drawn(before), drawn(after, seed=1)
    nn.init.normal_(getattr(fine, "upscore_pool4" if after is FCN8s else "upscore2").weight)  # as if trained
    fine.begin_from(coarse)
    old, new = coarse.state_dict(), fine.state_dict()
    assert all(torch.equal(new[name], weights) for name, weights in old.items())
    added = {"score_pool3", "upscore_pool4"} if after is FCN8s else {"score_pool4", "upscore2"}
    assert {name.split(".")[0] for name in new.keys() - old.keys()} == added

    x = torch.randn(1, 1, 70, 90)
    with fused(coarse) as scores, fused(fine) as doubled, torch.inference_mode():
        coarse(x), fine(x)
    assert scores[0].std() > 1e-3
    assert torch.allclose(doubled[0], Bilinear(3, 2)(scores[0]), rtol=1e-6, atol=1e-6)


@every_growth
def test_its_logits_are_the_old_scores_enlarged_in_two_steps(before: type[FCN], after: type[FCN]):
    coarse, fine = drawn(before).double(), drawn(after, seed=1).double()
    fine.begin_from(coarse)
    height, width, crop = 300, 340, {FCN16s: 27, FCN8s: 31}[after]
    torch.manual_seed(2)
    x = torch.randn(1, 1, height, width, dtype=torch.float64)
    with fused(coarse) as scores, torch.inference_mode():
        old, new = coarse(x), fine(x)
    enlarged = Bilinear(3, after.stride).double()(Bilinear(3, 2).double()(scores[0]))
    assert torch.allclose(new, enlarged[..., crop : crop + height, crop : crop + width], rtol=0, atol=1e-10)

    beyond = F.pad(scores[0], (2, 2, 2, 2))  # the map fades to 0 outside
    bound = sum(beyond.diff(n=2, dim=axis).abs().max() for axis in (-2, -1)) / 8
    assert 0 < (new - old).abs().max() <= bound


def test_what_the_two_steps_change_is_little_where_scores_are_smooth():
    """Share of pixels of a 512-pixel image whose class changes from 32s to 16s, as in docs/papers.md."""
    torch.manual_seed(0)
    for independent, share in [(17, 0.070), (8, 0.018), (4, 0.004)]:  # values a side, of the 17 of the map of scores
        noise = torch.randn(4, 5, independent, independent)
        scores = F.interpolate(noise, size=(17, 17), mode="bicubic", align_corners=False)
        once = Bilinear(5, 32)(scores)[..., 19:531, 19:531].argmax(1)
        twice = Bilinear(5, 16)(Bilinear(5, 2)(scores))[..., 27:539, 27:539].argmax(1)
        assert (once != twice).float().mean().item() == pytest.approx(share, rel=0.4)


def test_networks_follow_each_other_in_the_order_of_the_paper():
    with pytest.raises(CheckpointError, match=r"FCN8s cannot take.*FCN32s: .*one after another.*those of a FCN16s"):
        drawn(FCN8s).begin_from(drawn(FCN32s))
    with pytest.raises(CheckpointError, match=r"FCN16s cannot take the weights of UNet.*those of a FCN32s"):
        drawn(FCN16s).begin_from(UNet(width=1, depth=1))
    with pytest.raises(CheckpointError, match=r"FCN32s begins from VGG16 of ImageNet, or anew; it cannot .* FCN16s"):
        drawn(FCN32s).begin_from(drawn(FCN16s))
    with pytest.raises(CheckpointError, match=r"at_once = true learns all its streams together.*leave at_once out"):
        drawn(FCN8s, at_once=True).begin_from(drawn(FCN16s))


def test_all_that_differs_between_two_networks_is_named():
    words = (
        r"FCN16s cannot take the weights of FCN32s: in_channels is 3 there and 1 here; classes is 2 there and 3 here; "
    )
    with pytest.raises(CheckpointError, match=words + r"width is 1 there and 2 here\. Build both with the same"):
        drawn(FCN16s).begin_from(drawn(FCN32s, 3, 2, width=1))
    with pytest.raises(CheckpointError, match="upsampling is 'learned' there and 'fixed' here"):
        drawn(FCN8s, upsampling="fixed").begin_from(drawn(FCN16s))
    drawn(FCN8s).begin_from(drawn(FCN16s, upsampling="fixed"))  # which its learned one then begins as


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in_channels": 0}, "in_channels = 0; it takes whole numbers from 1 up"),
        ({"classes": "2"}, "classes = '2'; it takes whole numbers"),
        ({"width": 129}, r"width = 129; at most 128 is built, and 64 is the published one"),
        ({"dropout": 1.0}, r"dropout = 1\.0; it takes a probability from 0 up to, not including, 1"),
        ({"upsampling": "nearest"}, "upsampling = 'nearest'; it takes one of learned, fixed"),
        ({"at_once": True}, "FCN16s got at_once; only fcn8s can be trained at once. Leave it out"),
    ],
)
def test_values_that_cannot_be_are_refused_with_those_that_can(options: dict[str, object], words: str):
    with pytest.raises(RecipeError, match=words):
        FCN16s(**options)
