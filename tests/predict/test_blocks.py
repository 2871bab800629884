"""Blocks partition an image, begin where tiles and chunks begin, and give what the whole image gives."""

from __future__ import annotations

import numpy as np
import pytest

from ushape.geometry.footprint import Footprint
from ushape.images.source import from_array
from ushape.models import build
from ushape.predict import blocks as blocks_module
from ushape.predict import strategy
from ushape.predict.bands import BandPlanner
from ushape.predict.blocks import CHUNK_ROWS, Blocks, blocks_of_bands, blocks_of_tiles
from ushape.predict.tiled import Predictor

FOOTPRINT = Footprint(margin=20, multiple=4, smallest_input=44)


def times_covered(blocks: Blocks) -> np.ndarray:
    covered = np.zeros(blocks.shape, dtype=int)
    for number in range(len(blocks)):
        covered[blocks.window(number).slices] += 1
    return covered


@pytest.mark.parametrize("keep", [16, 99, 700, 3000])
def test_blocks_of_tiles_partition_the_image_and_hold_whole_tiles(keep: int):
    blocks = blocks_of_tiles((2500, 1100), [FOOTPRINT] * 2, (keep, keep))
    assert (times_covered(blocks) == 1).all()
    tiles = [tile for number in range(len(blocks)) for tile in blocks.tiles(number)]
    assert sum(np.prod(tile.keep.shape) for tile in tiles) == 2500 * 1100
    assert len(tiles) == blocks.total == sum(blocks.progress(blocks.window(n)) for n in range(len(blocks)))
    assert all(n >= 1024 for n in blocks.step) or len(blocks) == 1
    whole = blocks_of_tiles((2500, 1100), [FOOTPRINT] * 2, (keep, keep))
    assert {tile.read for tile in tiles} == {t.read for n in range(len(whole)) for t in whole.tiles(n)}


@pytest.mark.parametrize("shape", [(300, 900), (4097, 900), (20_000, 5000)])
def test_blocks_of_bands_begin_with_a_chunk_and_compute_little_twice(shape: tuple[int, int]):
    planner = BandPlanner.of(build("unet", classes=2, width=4, depth=2))
    bands = planner.plan(shape, planner.least_bytes * 8)
    blocks = blocks_of_bands(shape, FOOTPRINT, bands)
    assert (times_covered(blocks) == 1).all()
    for number in range(len(blocks)):
        window, band = blocks.window(number), blocks.band(number)
        assert (band.top, band.bottom) == (window.start[0], window.stop[0])
        assert (band.first, band.last) == (window.start[1], window.stop[1])
        assert window.start[0] % CHUNK_ROWS == 0 and window.start[0] % FOOTPRINT.multiple == 0
    assert blocks.step[0] == shape[0] or 2 * FOOTPRINT.margin / blocks.step[0] <= 0.05
    assert blocks.total == sum(blocks.progress(blocks.window(n)) for n in range(len(blocks)))


@pytest.mark.parametrize("keep_px", [None, 16])
def test_blocks_in_any_order_give_what_the_whole_image_gives(make_trained, monkeypatch: pytest.MonkeyPatch, keep_px):
    for name, rows in (("CHUNK_ROWS", 16), ("_LEAST_ROWS", 32), ("_LEAST_MARGINS", 1), ("_LEAST_SIDE", 32)):
        monkeypatch.setattr(blocks_module, name, rows)
    trained, image = make_trained(), np.random.default_rng(0).integers(0, 256, (131, 70)).astype(np.uint8)
    source = from_array(image)
    expected = Predictor(trained).whole(source)[1]
    monkeypatch.setattr(strategy, "_AT_ONCE", 1)
    predictor = Predictor(trained, keep_px=keep_px, memory_bytes=1 << 30)
    blocks = predictor.blocks(source.shape)
    assert len(blocks) > 3 and (blocks.bands is None) == (keep_px is not None)
    found = np.full_like(expected, np.nan)
    for number in reversed(range(len(blocks))):
        for window, pixels, probability in predictor.block(source, blocks, number):
            assert (pixels[..., 0] == image[window.slices]).all()
            found[:, *window.slices] = probability
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (predictor.whole(source)[1] == found).all(), "and the same bits, however it is asked"
