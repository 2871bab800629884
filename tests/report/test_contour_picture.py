"""Slices with contours: where the lines run, and what is shown around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ushape.cardiac.ventricle import Ventricle
from ushape.report.contour_picture import MANUAL_COLOUR, PREDICTED_COLOUR, contour_picture, window_around


def square(left: int, side: int = 20) -> NDArray[np.bool_]:
    mask = np.zeros((100, 120), dtype=bool)
    mask[40 : 40 + side, left : left + side] = True
    return mask


def near(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (np.abs(picture.astype(int) - colour) < 60).all(axis=2)
    return found


def test_each_reader_has_a_colour_and_lines_run_along_the_edges() -> None:
    window = slice(30, 70), slice(30, 90)
    picture = contour_picture(np.zeros((100, 120, 1)), {"endo": square(40)}, {"endo": square(60)}, window)
    times = picture.shape[0] / 40
    assert picture.shape[1] == 60 * times
    for colour, left in ((MANUAL_COLOUR, 40), (PREDICTED_COLOUR, 60)):
        y, x = np.nonzero(near(picture, colour))
        assert abs(x.min() - (left - 30) * times) < 4
        assert abs(x.max() - (left + 20 - 30) * times) < 4
        assert abs(y.min() - (40 - 30) * times) < 4
        assert abs(y.max() - (60 - 30) * times) < 4
    assert not near(picture, MANUAL_COLOUR)[int(20 * times), int(20 * times)], "the inside is left to be seen"


def test_where_readers_agree_both_show() -> None:
    window = slice(30, 70), slice(30, 90)
    picture = contour_picture(np.zeros((100, 120, 1)), {"endo": square(40)}, {"endo": square(40)}, window)
    assert near(picture, MANUAL_COLOUR).any() and near(picture, PREDICTED_COLOUR).any()


def test_the_window_shows_all_of_both_and_some_around() -> None:
    first, second = Ventricle(square(40)[None]), Ventricle(square(70)[None])
    rows, columns = window_around([first, second])
    assert rows.start < 40 and rows.stop > 60 and rows.stop - rows.start >= 48
    assert columns.start < 40 and columns.stop > 90
    empty = Ventricle(np.zeros((1, 100, 120), dtype=bool))
    assert window_around([empty]) == (slice(0, 100), slice(0, 120))
