from __future__ import annotations

import pytest

from ushape.geometry.tiles import plan
from ushape.models import build
from ushape.models.anatomy import dissect
from ushape.predict.outlook import multiply_adds, outlook, pace
from ushape.predict.strategy import Strategy


@pytest.mark.parametrize("name", ["unet", "unetpp", "resunet", "fcn8s", "u2netp"])
def test_operations_are_those_that_the_anatomy_counts(name: str):
    model = build(name, classes=2, **({} if name == "u2netp" else {"width": 4}))
    anatomy = dissect(model, model.footprint.smallest_input)
    convolutions = sum(layer.multiply_adds for layer in anatomy.layers if "convolution" in layer.kind)
    assert multiply_adds(model, *anatomy.input_size) == convolutions


@pytest.mark.parametrize("memory", [100 << 20, 2 << 30])
def test_bands_compute_next_to_nothing_twice(memory: int):
    model = build("unet", classes=2, width=32)
    foreseen = outlook(model, (4096, 8192), Strategy(model, memory))
    assert foreseen.by_rows and foreseen.rows in (32, 64) and foreseen.bytes <= memory
    assert (foreseen.parts > 1) == (memory < 1 << 30)
    assert 1 <= foreseen.waste < 1.15
    assert (foreseen.waste == 1) == (foreseen.parts == 1)


def test_blocks_above_one_another_compute_their_margins_twice():
    model = build("unet", classes=2, width=32)
    foreseen = outlook(model, (8192, 1000), Strategy(model, 1 << 30))
    assert foreseen.by_rows and (foreseen.parts, foreseen.part_shape) == (2, (4096, 1000))
    assert 1.004 < foreseen.waste < 1.02


def test_the_waste_of_tiles_is_counted_tile_by_tile():
    model = build("unet", classes=2, width=4, depth=2)
    strategy = Strategy(model, 1 << 30, keep_px=100)
    foreseen = outlook(model, (330, 250), strategy)
    tiles = list(plan((330, 250), strategy.footprints, (100, 100)))
    assert foreseen.parts == len(tiles) == 12 and not foreseen.by_rows and foreseen.part_shape == (100, 100)
    done = sum(multiply_adds(model, *tile.read.shape) for tile in tiles)
    assert foreseen.multiply_adds == done
    assert foreseen.waste == pytest.approx(done / multiply_adds(model, 372, 292)) and foreseen.waste > 1.2


@pytest.mark.parametrize("name", ["unet", "fcn8s"])
def test_the_pace_is_measured(name: str):
    assert 1e6 < pace(build(name, classes=2, width=2)) < 1e15
