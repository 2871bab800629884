"""Slices are opened and completed in their order, whatever the tiles, and each is whole when it is closed."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import plan
from ushape.predict.layer import LayerSink

SHAPE = (7, 5, 6)
ANY = [Footprint(margin=0, multiple=1, smallest_input=1)] * 3


class OneSlice:
    def __init__(self, made: np.ndarray) -> None:
        self.made = made

    def write(self, window, pixels) -> None:
        self.made[window.slices] = pixels


class Slices:
    """What becomes of slices, in the order in which it does."""

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.made = np.zeros(SHAPE, np.uint8)

    @contextmanager
    def open(self, number: int):
        self.log.append(("open", number))

        try:
            yield OneSlice(self.made[number])
        except RuntimeError:
            self.log.append(("broken off", number))
            raise
        self.log.append(("done", number))


@pytest.mark.parametrize("keep", [(7, 5, 6), (2, 3, 4), (3, 2, 6), (1, 1, 1)])
def test_slices_come_in_their_order_and_whole(keep):
    volume, slices = np.random.default_rng(0).integers(0, 250, SHAPE).astype(np.uint8), Slices()
    with LayerSink(slices.open, SHAPE[1:]) as sink:
        for tile in plan(SHAPE, ANY, keep):
            sink.write(tile.keep, volume[tile.keep.slices])
    assert (slices.made == volume).all()
    for what in ("open", "done"):
        assert [number for event, number in slices.log if event == what] == list(range(7))
    most = max(sum(1 if event == "open" else -1 for event, _ in slices.log[:n]) for n in range(1, len(slices.log) + 1))
    assert most == keep[0]


def test_slices_that_are_open_hear_of_an_error():
    slices = Slices()
    tile = next(plan(SHAPE, ANY, (2, 3, 4)))

    def broken_off() -> None:
        with LayerSink(slices.open, SHAPE[1:]) as sink:
            sink.write(tile.keep, np.zeros(tile.keep.shape, np.uint8))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert slices.log == [("open", 0), ("open", 1), ("broken off", 0), ("broken off", 1)]
