"""A page is handed over once it is whole, and not at all where something went wrong."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from ushape.geometry.tiles import Window
from ushape.images.page_buffer import PageBuffer


def test_a_whole_page_is_handed_over() -> None:
    got: list[np.ndarray] = []
    with PageBuffer((3, 4), np.uint16, got.append) as page:
        page.write(Window((1, 0), (3, 4)), np.full((2, 4), 7, np.uint16))
        page.write(Window((0, 0), (1, 4)), np.full((1, 4), 9, np.uint16))
        assert got == []
    assert got[0].dtype == np.uint16 and got[0].tolist() == [[9] * 4, [7] * 4, [7] * 4]


def test_a_page_with_gaps_or_an_error_is_not() -> None:
    got: list[np.ndarray] = []
    with pytest.raises(AssertionError, match="4 of 12 were written"), PageBuffer((3, 4), np.uint8, got.append) as page:
        page.write(Window((1, 0), (2, 4)), np.ones((1, 4), np.uint8))
    with suppress(KeyboardInterrupt), PageBuffer((1, 4), np.uint8, got.append) as page:
        page.write(Window((0, 0), (1, 4)), np.ones((1, 4), np.uint8))
        raise KeyboardInterrupt
    assert got == []


def test_what_does_not_fit_is_refused() -> None:
    page = PageBuffer((3, 4), np.uint8, lambda _: None)
    with pytest.raises(AssertionError, match="got pixels of shape"):
        page.write(Window((0, 0), (2, 4)), np.ones((1, 4), np.uint8))
    with pytest.raises(AssertionError, match="a page of uint8 got uint16"):
        page.write(Window((0, 0), (1, 4)), np.ones((1, 4), np.uint16))
