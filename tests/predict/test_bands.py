from __future__ import annotations

from collections.abc import Callable

import pytest

from ushape.errors import RecipeError
from ushape.models import build
from ushape.predict.bands import BandPlanner, Bands
from ushape.predict.row_stream import MeasuredStream


@pytest.fixture(scope="module")
def planner() -> BandPlanner:
    return BandPlanner.of(build("unet", classes=2, width=8, depth=2))


@pytest.mark.parametrize("shape", [(1, 1), (700, 333), (50, 4000), (90_000, 70_001)])
@pytest.mark.parametrize("spare", [0, 1 << 20, 1 << 34])
def test_kept_columns_partition_the_image_and_memory_is_kept(planner: BandPlanner, shape: tuple[int, int], spare: int):
    memory = planner.least_bytes + spare
    planned = planner.plan(shape, memory)
    assert planned.bytes <= memory
    assert [band.first for band in planned.bands] == [0, *[band.last for band in planned.bands[:-1]]]
    assert planned.bands[-1].last == shape[1]
    for band in planned.bands:
        assert band.first % 4 == 0 and band.left == band.first - 20, "on the pooling grid, with the margin"
        assert band.right - band.left >= band.last - band.first + 2 * 20
    assert planned.rows % 4 == 0


def test_more_memory_makes_fewer_bands_and_enough_makes_one(planner: BandPlanner):
    counts = [len(planner.plan((5000, 5000), planner.least_bytes * factor).bands) for factor in (1, 4, 16, 4096)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 1250, "one step of the grid each"
    assert counts[-1] == 1


def test_bands_are_as_wide_as_each_other(planner: BandPlanner):
    planned = planner.plan((5000, 5000), planner.least_bytes * 8)
    widths = [band.last - band.first for band in planned.bands]
    assert len(set(widths[:-1])) == 1 and widths[0] - widths[-1] < 4 * len(widths)


def test_narrow_images_are_pushed_more_rows_at_a_time(planner: BandPlanner):
    rows = [planner.plan((5000, width), 1 << 34).rows for width in (100, 1000, 5000)]
    assert rows == sorted(rows, reverse=True) and rows[0] > 4 * rows[-1]
    assert planner.plan((9, 9), 1 << 34).rows == 64, "no more than the image has, in whole steps"


def test_a_plan_tells_what_a_pass_counts(planner: BandPlanner):
    planned: Bands = planner.plan((5000, 2000), 1 << 26)
    model = build("unet", classes=2, width=8, depth=2)
    stream = MeasuredStream(model, planned.bands[0].right - planned.bands[0].left)
    for _ in range(20):
        stream.push_rows(planned.rows)
    ends = 4 * (1 + 2) * planned.rows * (planned.bands[0].right - planned.bands[0].left)
    assert planned.bytes == 4 * (stream.most_elements + ends)


def test_too_little_memory_is_refused_with_the_least_that_will_do(planner: BandPlanner):
    with pytest.raises(RecipeError, match=r"0 MiB are too little .* narrowest band, 44 pixels wide, takes about 1 MiB"):
        planner.plan((100, 100), planner.least_bytes - 1)


@pytest.mark.parametrize(
    ("name", "possible"), [("unetpp", True), ("resunet", True), ("fcn8s", False), ("u2netp", False)]
)
def test_networks_that_see_edges_have_no_bands(name: str, possible: bool):
    assert BandPlanner.of(build(name, classes=2)).possible is possible


def test_a_network_is_measured_once(monkeypatch: pytest.MonkeyPatch):
    model = build("unet", classes=2, width=4, depth=1)
    assert BandPlanner.of(model) is BandPlanner.of(model)
    first: Callable[[], int] = lambda: BandPlanner.of(model).least_bytes  # noqa: E731
    measured = first()
    monkeypatch.setattr("ushape.predict.bands.MeasuredStream", None)
    assert first() == measured
