from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from ushape.report.colour_scale import STEPS, coloured, scale


def lab(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIE's L*a*b*, another model of what we see than the one that the scale was made in."""
    result: NDArray[np.float64] = rgb2lab(colours[None] / 255)[0]
    return result


def test_every_step_is_lighter_than_the_one_before() -> None:
    lightness = lab(scale())[:, 0]
    assert (np.diff(lightness[::4]) > 0).all()  # single steps are rounded to whole greys
    assert lightness[0] < 15 and lightness[-1] > 90


def test_steps_look_alike_wherever_they_are_taken() -> None:
    colours = lab(scale())[::15]
    steps = deltaE_ciede2000(colours[1:], colours[:-1])
    assert steps.max() < 2.2 * steps.min()


def test_the_scale_can_be_read_in_grey_and_by_who_does_not_tell_red_from_green() -> None:
    grey = scale() @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey[::4]) > 0).all()
    blind = scale().astype(float)
    blind[:, 0] = blind[:, 1]
    assert len(np.unique(blind.round(), axis=0)) > 200


def test_numbers_between_low_and_high_take_the_colours_in_their_order() -> None:
    values = np.linspace(2, 4, STEPS)
    assert np.array_equal(coloured(values, 2, 4), scale())


def test_numbers_beyond_the_ends_take_the_last_colours_and_no_number_the_first() -> None:
    result = coloured(np.array([[-np.inf, 0.0], [np.nan, 9.0]]), 1, 3)
    assert result.shape == (2, 2, 3)
    assert (
        (result[0] == scale()[0]).all() and (result[1, 0] == scale()[0]).all() and (result[1, 1] == scale()[-1]).all()
    )


def test_where_all_numbers_are_one_all_are_dark() -> None:
    assert (coloured(np.full((2, 2), 5.0), 5, 5) == scale()[0]).all()
