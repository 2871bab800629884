"""The law that ushape rests on: tiles laid on the pooling grid compute what one pass over the whole image computes.

Everything but the plan and the network is plain NumPy here, so that neither side can borrow the other's error. In
float64 rounding is out of the way: what then differs by more than 1e-10 was computed from other pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Tile, Window, mirrored, plan
from ushape.models.unet import UNet

Pixels = NDArray[np.float64]

SIZES = [(1, 1), (1, 40), (2, 3), (17, 5), (33, 33), (64, 48), (97, 61)]


def network(*, dtype: torch.dtype = torch.float64, **options: object) -> UNet:
    torch.manual_seed(5)
    net = UNet(1, 3, **{"width": 3, **options})
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return net.to(dtype).eval()


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height * 1000 + width).standard_normal((height, width))


def tensor(net: UNet, pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels))[None, None].to(net.head.weight.dtype)


def probability(net: UNet, pixels: Pixels) -> Pixels:
    """(H, W) pixels → (K, h, w) probabilities of the exact answer."""
    with torch.inference_mode():
        return torch.softmax(net.exact(tensor(net, pixels)), dim=1)[0].double().numpy()


def of_whole_image(net: UNet, image: Pixels) -> Pixels:
    """One pass: the image mirrored by NumPy, its first pixel on the pooling grid, what lies beyond it cut away."""
    margin = net.footprint.margin
    around = [(margin, net.footprint.input_for(n) - margin - n) for n in image.shape]
    return probability(net, np.pad(image, around, mode="reflect"))[:, : image.shape[0], : image.shape[1]]


def of_tiles(net: UNet, image: Pixels, tiles: Iterable[Tile]) -> Pixels:
    """What the kept parts of the tiles make up; NaN where none is kept."""
    answer = np.full((net.classes, *image.shape), np.nan)
    for tile in tiles:
        rows, columns = map(mirrored, tile.read.start, tile.read.stop, image.shape)
        answer[:, *tile.keep.slices] = probability(net, image[np.ix_(rows, columns)])[:, *tile.kept_of_output]
    return answer


def moved(window: Window, down: int, right: int) -> Window:
    (top, left), (bottom, end) = window.start, window.stop
    return Window((top + down, left + right), (bottom + down, end + right))


def plan_beginning_at(start: int, net: UNet, shape: tuple[int, int], keep: int) -> list[Tile]:
    """A plan of the image without its first `start` rows and columns, moved to where these pixels lie."""
    inner = (shape[0] - start, shape[1] - start)
    tiles = plan(inner, [net.footprint] * 2, (keep, keep))
    return [Tile(moved(t.read, start, start), moved(t.keep, start, start)) for t in tiles]


def require_equal(tiled: Pixels, whole: Pixels, *, tolerance: float) -> None:
    assert np.abs(tiled - whole).max() < tolerance
    assert (tiled.argmax(axis=0) == whole.argmax(axis=0)).all()


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["float64", "float32"]
)
def test_tiles_compute_what_one_pass_computes(depth, padding, dtype, tolerance):
    net = network(depth=depth, padding=padding, dtype=dtype)
    net.head.weight.data.mul_(0.3)  # logits of a few units, as trained networks have, rather than of tens
    for shape in SIZES:
        image = noise(*shape)
        whole = of_whole_image(net, image)
        for keep in [(16, 16), (23, 48), (100, 32), (1000, 1000)]:
            require_equal(of_tiles(net, image, plan(shape, [net.footprint] * 2, keep)), whole, tolerance=tolerance)


@pytest.mark.parametrize("skip", ["copy", "add", "none"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_the_law_holds_for_every_skip_with_batch_normalisation(padding, skip):
    net = network(depth=3, padding=padding, skip=skip, normalisation="batch")
    image = noise(70, 45)
    tiles = plan(image.shape, [net.footprint] * 2, (24, 16))
    require_equal(of_tiles(net, image, tiles), of_whole_image(net, image), tolerance=1e-10)


@pytest.mark.parametrize(("reduction", "depth"), [(2, 1), (2, 3), (3, 2), (4, 2)])
def test_the_law_holds_for_reduced_images(reduction, depth):
    net = network(depth=depth, padding="same", reduction=reduction, normalisation="batch")
    for shape in [(5, 3), (70, 45), (33, 97)]:
        image = noise(*shape)
        whole = of_whole_image(net, image)
        for keep in [(16, 23), (48, 32), (1000, 1000)]:
            require_equal(of_tiles(net, image, plan(shape, [net.footprint] * 2, keep)), whole, tolerance=1e-10)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_off_the_pooling_grid_the_law_breaks(padding):
    net = network(depth=3, padding=padding)
    image = noise(64, 64)
    whole = of_whole_image(net, image)
    for start in range(17):
        part = np.s_[:, start:, start:]
        tiled = of_tiles(net, image, plan_beginning_at(start, net, image.shape, keep=24))[part]
        if start % 8 == 0:
            require_equal(tiled, whole[part], tolerance=1e-10)
        else:  # the same weights, the same pixels: only the grid has moved
            assert np.abs(tiled - whole[part]).max() > 0.05, start
            assert (tiled.argmax(axis=0) != whole[part].argmax(axis=0)).any(), start


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_zero_padding_reaches_as_far_as_the_margin_says_and_no_farther(depth):
    net = network(depth=depth, padding="same")
    margin, grid = net.footprint.margin, net.footprint.multiple
    image = noise(64 + 2 * margin, 64 + 2 * margin)
    with torch.inference_mode():
        from_edges = torch.softmax(net(tensor(net, image)), dim=1)[0].numpy()
    difference = np.abs(from_edges - of_whole_image(net, image)).max(axis=0)
    inner = slice(margin, -margin)
    assert difference[inner, inner].max() < 1e-10
    assert difference[margin - grid : margin, inner].max() > 1e-3  # one grid step less would let it in,
    assert difference[inner, -margin : -margin + grid].max() > 1e-3  # on every side


class SeesEdges(UNet):
    """Its zero padding begins where the image ends, as in the papers of FCN and U²-Net."""

    @property
    def footprint(self) -> Footprint:
        return replace(super().footprint, sees_edges=True)


@pytest.mark.parametrize("shape", [(1, 1), (40, 72), (97, 61)])
def test_tiles_that_end_with_the_image_compute_what_one_pass_does(shape: tuple[int, int]):
    torch.manual_seed(5)
    net = SeesEdges(1, 3, width=3, depth=2, padding="same").double().eval()
    image = noise(*shape)
    whole = probability(net, np.pad(image, [(0, -n % 4) for n in shape], mode="reflect"))[:, : shape[0], : shape[1]]
    for keep in [(4, 4), (16, 28), (200, 200)]:
        tiles = list(plan(shape, [net.footprint] * 2, keep))
        assert all(min(tile.read.start) >= 0 for tile in tiles)
        require_equal(of_tiles(net, image, tiles), whole, tolerance=1e-10)
