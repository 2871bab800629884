from __future__ import annotations

import numpy as np

from ushape.geometry.tiles import Window
from ushape.images.source import from_array
from ushape.predict.predicted import background, no_pixels

WINDOW = Window((1, 2), (3, 5))


def test_background_is_certain():
    probability = background(3, WINDOW)
    assert probability.shape == (3, 2, 3) and probability.dtype == np.float32
    assert (probability[0] == 1).all() and not probability[1:].any()


def test_pixels_that_nobody_asks_for_take_no_memory():
    source = from_array(np.ones((9, 9, 3), np.uint16))
    pixels = no_pixels(source, WINDOW)
    assert pixels.shape == (2, 3, 3) and pixels.dtype == np.uint16 and not pixels.any()
    assert pixels.strides == (0, 0, 0)
