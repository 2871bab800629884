"""Plans of tiles: the kept parts cover every pixel once, on the pooling grid, and read what they need."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushape.errors import SizeError
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Tile, Window, keep_within, keep_within_image, largest_read, mirrored, plan

PUBLISHED = Footprint(margin=92, multiple=16, smallest_input=188)
FOOTPRINTS = [
    PUBLISHED,
    Footprint(margin=8, multiple=2, smallest_input=18),
    Footprint(margin=44, multiple=8, smallest_input=92),
    Footprint(margin=24, multiple=4, smallest_input=4, padded=True),
    Footprint(margin=96, multiple=16, smallest_input=16, padded=True),
    Footprint(margin=0, multiple=1, smallest_input=1),
    Footprint(margin=5, multiple=3, smallest_input=11),
]


def require_a_sound_plan(shape: tuple[int, ...], footprints: list[Footprint], keep: tuple[int, ...]) -> None:
    """Asserts everything that a plan promises."""
    tiles = list(plan(shape, footprints, keep))
    times_kept = np.zeros(shape, dtype=np.int32)
    for tile in tiles:
        assert tile.keep.inside(shape)
        times_kept[tile.keep.slices] += 1
        axes = zip(tile.read.start, tile.read.stop, tile.keep.start, tile.keep.stop, shape, footprints, strict=True)
        for read_start, read_stop, keep_start, keep_stop, size, footprint in axes:
            assert keep_start % footprint.multiple == 0
            assert read_start == keep_start - footprint.margin
            assert read_stop >= keep_stop + footprint.margin
            assert footprint.is_legal(read_stop - read_start)
            assert read_stop - read_start <= footprint.input_for(size)
        exact = tuple(f.exact_output(n) for f, n in zip(footprints, tile.read.shape, strict=True))
        assert np.empty(exact, dtype=bool)[tile.kept_of_output].shape == tile.keep.shape
    assert (times_kept == 1).all()
    assert [t.keep.start for t in tiles] == sorted(t.keep.start for t in tiles)


SEEING_EDGES = Footprint(margin=16, multiple=8, smallest_input=8, padded=True, sees_edges=True)


def test_tiles_of_a_network_that_sees_edges_end_with_the_image():
    for size, keep in product(range(1, 120), [1, 8, 37, 500]):
        kept = np.zeros(size, dtype=np.int32)
        end = -(-size // 8) * 8
        for tile in plan((size,), [SEEING_EDGES], (keep,)):
            kept[tile.keep.slices] += 1
            (start,), (stop,), (first,), (last,) = tile.read.start, tile.read.stop, tile.keep.start, tile.keep.stop
            assert start == max(0, first - 16) and start % 8 == 0
            assert stop == end or (last + 16 <= stop < end and stop % 8 == 0)
            assert tile.kept_of_output == tile.kept_of_read == (slice(first - start, last - start),)
        assert (kept == 1).all()


def test_keep_within_image_takes_the_last_grid_step_that_fits_the_image():
    for shape in [(40, 90), (8, 500), (1, 1), (200, 200)]:
        tiles = [SEEING_EDGES] * 2
        for budget in [1, 24 * 24, 60 * 60, 10**6]:
            keep = keep_within_image(budget, tiles, shape)
            larger = tuple(k + 8 for k in keep)
            assert all(k % 8 == 0 for k in keep)
            assert largest_read(shape, tiles, keep) <= budget or keep == (8, 8)
            whole = all(k >= n for k, n in zip(keep, shape, strict=True))
            assert whole or largest_read(shape, tiles, larger) > budget


def test_kept_parts_partition_every_line():
    for footprint, size, keep in product(FOOTPRINTS, range(1, 120), [1, 4, 16, 37, 48, 500]):
        require_a_sound_plan((size,), [footprint], (keep,))


def test_kept_parts_partition_every_small_image():
    for height, width in product(range(1, 26), range(1, 26)):
        require_a_sound_plan((height, width), [FOOTPRINTS[1], FOOTPRINTS[3]], (6, 9))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_kept_parts_partition_images_of_one_two_and_three_axes(data):
    axes = data.draw(st.integers(1, 3))
    shape = data.draw(st.tuples(*[st.integers(1, [3000, 300, 40][axes - 1])] * axes))
    footprints = data.draw(st.tuples(*[st.sampled_from(FOOTPRINTS[:5])] * axes))
    keep = data.draw(st.tuples(*[st.integers(8, 400)] * axes))
    require_a_sound_plan(shape, list(footprints), keep)


def test_the_plan_of_figure_2():
    tiles = list(plan((512, 512), [PUBLISHED] * 2, (388, 388)))
    assert [t.keep for t in tiles] == [
        Window((0, 0), (384, 384)),  # 388 brought down to the pooling grid of 16
        Window((0, 384), (384, 512)),
        Window((384, 0), (512, 384)),
        Window((384, 384), (512, 512)),
    ]
    assert tiles[0].read == Window((-92, -92), (480, 480))
    assert tiles[3].read == Window((292, 292), (608, 608))  # 316 = 188 + 8·16 is the first legal size from 128 + 184


def test_the_wanted_size_is_brought_down_to_the_grid_and_never_to_nothing():
    def starts(keep: int) -> list[int]:
        return [t.keep.start[0] for t in plan((100,), [PUBLISHED], (keep,))]

    assert starts(47) == starts(32) == [0, 32, 64, 96]
    assert starts(1) == starts(16) == [0, 16, 32, 48, 64, 80, 96]
    assert starts(100) == [0, 96]
    assert starts(112) == starts(10**9) == [0]


@pytest.mark.parametrize("shape", [(0,), (5, 0), (3, 0, 7)])
def test_an_image_without_pixels_is_refused(shape):
    with pytest.raises(SizeError, match="no pixels; every side must be at least 1"):
        list(plan(shape, [PUBLISHED] * len(shape), (16,) * len(shape)))


def test_mirroring_is_what_numpy_calls_reflect():
    for size, before, after in product(range(1, 14), range(0, 45, 3), range(0, 45, 4)):
        expected = np.pad(np.arange(size), (before, after), mode="reflect")
        assert mirrored(-before, size + after, size).tolist() == expected.tolist()


def test_a_mirrored_part_is_the_part_of_the_mirrored_whole():
    for size in range(1, 8):
        line = mirrored(-60, 60, size)
        for start, stop in product(range(-60, 60, 7), range(-59, 61, 5)):
            if start <= stop:
                assert mirrored(start, stop, size).tolist() == line[start + 60 : stop + 60].tolist()


def test_the_border_pixel_is_not_repeated():
    for size in range(2, 20):
        assert all(a != b for a, b in pairwise(mirrored(-50, 70, size)))
        assert set(mirrored(-50, 70, size).tolist()) == set(range(size))


def test_inside_the_image_mirroring_changes_nothing():
    assert mirrored(3, 9, 12).tolist() == list(range(3, 9))


def test_keep_within_takes_the_last_grid_step_that_fits():
    for footprint, axes, side in product(FOOTPRINTS, (1, 2, 3), range(40, 700, 23)):
        pixels = side**axes
        for budget in (pixels - 1, pixels, pixels + 1):
            (kept,) = set(keep_within(budget, [footprint] * axes))
            assert kept % footprint.multiple == 0
            assert kept == footprint.multiple or footprint.input_for(kept) ** axes <= budget
            assert footprint.input_for(kept + footprint.multiple) ** axes > budget


def test_keep_within_gives_one_grid_step_where_nothing_fits():
    assert keep_within(1, [PUBLISHED]) == (16,)
    assert keep_within(0, [PUBLISHED] * 2) == (16, 16)


def test_a_window_knows_its_shape_and_where_it_lies():
    window = Window((2, 3), (5, 9))
    image = np.arange(100).reshape(10, 10)
    assert window.shape == (3, 6)
    assert image[window.slices].tolist() == image[2:5, 3:9].tolist()
    assert window.inside((5, 9))
    assert not window.inside((5, 8))
    assert not Window((-1, 0), (3, 3)).inside((10, 10))
    assert Window.whole((4, 7)) == Window((0, 0), (4, 7))
    assert Window((3,), (3,)).shape == (0,)


def test_a_window_that_cannot_be_breaks_an_invariant():
    with pytest.raises(AssertionError):
        Window((3,), (2,))
    with pytest.raises(AssertionError):
        Window((0, 0), (2,))
    with pytest.raises(AssertionError, match="negative starts"):
        _ = Window((-1, 0), (2, 2)).slices


def test_the_kept_part_begins_the_exact_output():
    tile = Tile(read=Window((-92,), (96,)), keep=Window((0,), (3,)))
    assert tile.kept_of_output == (slice(0, 3),)
