"""Regions that reach a border between strips are those of the whole image that do."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label, regionprops

from ushape.predict.regions import CrossingRegions


@pytest.mark.parametrize("seed", range(20))
def test_parts_join_to_the_regions_of_the_whole_image_that_reach_a_border(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, rows = int(rng.integers(1, 30)), int(rng.integers(1, 20)), int(rng.integers(1, 12))
    inside = rng.random((height, width)) < rng.uniform(0.2, 0.8)
    crossing = CrossingRegions(height)
    ids = np.concatenate([crossing.parts(inside[top : top + rows], top) for top in range(0, height, rows)])
    regions, region_of = crossing.joined()
    borders = {row for top in range(rows, height, rows) for row in (top - 1, top)}
    expected = {
        (region.bbox, frozenset(map(tuple, region.coords.tolist())))
        for region in regionprops(label(inside, connectivity=1))
        if borders & set(region.coords[:, 0].tolist())
    }
    joined = [
        ((*region.box.start, *region.box.stop), np.argwhere((ids > 0) & (region_of[ids] == region.number)).tolist())
        for region in regions
    ]
    assert len(joined) == len(expected)
    assert {(box, frozenset(map(tuple, places))) for box, places in joined} == expected


def test_what_a_region_encloses_comes_before_it() -> None:
    inside = np.ones((11, 11), dtype=bool)
    for depth in (1, 3):
        inside[depth:-depth, depth:-depth] = ~inside[depth:-depth, depth:-depth]
        inside[depth + 1 : -depth - 1, depth + 1 : -depth - 1] = True
    crossing = CrossingRegions(11)
    for top in range(0, 11, 2):
        crossing.parts(inside[top : top + 2], top)
    regions, _ = crossing.joined()
    assert [region.box.start for region in regions] == [(4, 4), (2, 2), (0, 0)]


def test_within_one_strip_is_no_border() -> None:
    crossing = CrossingRegions(5)
    assert not crossing.parts(np.ones((5, 4), dtype=bool), 0).any()
    regions, region_of = crossing.joined()
    assert (regions, region_of.tolist()) == ([], [0])
