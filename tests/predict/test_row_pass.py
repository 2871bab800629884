from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ushape.errors import ImageError
from ushape.geometry.footprint import Footprint
from ushape.geometry.tiles import Window
from ushape.images.source import ImageSource, from_array, read_mirrored
from ushape.predict.bands import Band
from ushape.predict.row_pass import Waiting, pass_band, read_rows

FOOTPRINT = Footprint(margin=6, multiple=4, smallest_input=16)
IMAGE = np.random.default_rng(0).integers(0, 255, (301, 40), dtype=np.uint8)
BAND = Band(8, 20, 2, 26)


@pytest.mark.parametrize("rows", [4, 32, 300])
def test_rows_come_as_one_reading_would_give_them(rows: int):
    parts = list(read_rows(from_array(IMAGE), BAND, FOOTPRINT, rows))
    assert [len(part) for part in parts[:-1]] == [rows] * (len(parts) - 1)
    stop = FOOTPRINT.read_for(0, 301, 301)[1]
    assert (np.concatenate(parts) == read_mirrored(from_array(IMAGE), Window((-6, 2), (stop, 26)))).all()


@pytest.mark.parametrize("rows", [4, 32, 300])
def test_windows_follow_each_other_with_their_own_pixels(rows: int):
    late: list[NDArray[np.generic]] = []

    def answer(pixels: NDArray[np.generic]) -> NDArray[np.float32] | None:
        """What a network with this margin says: here, the very pixels, 12 rows late."""
        late.append(pixels)
        known = np.concatenate(late)
        ready, told = known[6 : len(known) - 6, 6:-6, 0], answer.told
        answer.told = max(told, len(ready))
        return ready[None, told:].astype(np.float32) if len(ready) > told else None

    answer.told = 0
    top = 0
    for window, pixels, answers in pass_band(from_array(IMAGE), BAND, FOOTPRINT, rows, answer):
        assert window.start == (top, 8) and window.stop[1] == 20
        assert (pixels[..., 0] == IMAGE[window.slices]).all() and (answers[0] == IMAGE[window.slices]).all()
        top = window.stop[0]
    assert top == 301


def test_what_cannot_be_read_is_told_where_it_is_used():
    class Torn:
        shape, dtype, channels, page = (600, 40), np.dtype(np.uint8), 1, "torn.tif"

        def read(self, window: Window) -> NDArray[np.uint8]:
            if window.stop[0] > 400:
                raise ImageError("torn.tif ends at row 400.")
            return np.zeros((*window.shape, 1), dtype=np.uint8)

    source: ImageSource = Torn()  # type: ignore[assignment]
    rows = read_rows(source, BAND, FOOTPRINT, 32)
    assert len(next(rows)) == 32
    with pytest.raises(ImageError, match="row 400"):
        list(rows)


def test_rows_wait_in_order():
    waiting = Waiting()
    waiting.put(np.arange(3)[:, None, None])
    waiting.put(np.arange(3, 9)[:, None, None])
    assert waiting.taken(2).ravel().tolist() == [0, 1]
    assert waiting.taken(5).ravel().tolist() == [2, 3, 4, 5, 6]
    assert waiting.taken(2).ravel().tolist() == [7, 8]
