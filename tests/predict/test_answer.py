"""An answer that is computed on the way: that of the predictor, with what is known of it in the end."""

from __future__ import annotations

import numpy as np
import pytest

from ushape.images.source import from_array
from ushape.metrics.trust import ExpectedDice
from ushape.predict.answer import Computed
from ushape.predict.tiled import Predictor
from ushape.predict.where import Where

IMAGE = np.random.default_rng(4).integers(0, 256, (60, 50)).astype(np.uint8)


def test_parts_are_the_predictors_own_and_the_dice_is_known_at_the_end(make_trained):
    predictor, source = Predictor(make_trained(), keep_px=16), from_array(IMAGE)
    classes, probability = predictor.whole(source)
    answer = Computed(predictor, source)
    for part in answer.parts():
        assert (part.classes == classes[part.window.slices]).all()
        assert (part.probability == probability[:, *part.window.slices]).all()
    assert answer.expected.dice == pytest.approx(ExpectedDice.of(classes, probability).dice)


@pytest.mark.parametrize("wanted", [False, True])
def test_pixels_of_what_is_not_computed_are_read_only_where_they_count(make_trained, wanted: bool):
    predictor = Predictor(make_trained(), keep_px=16)
    where = Where(np.array([[True], [False], [False]]), IMAGE.shape)
    answer = Computed(predictor, from_array(IMAGE), where)
    for part in answer.parts(pixels=wanted):
        there = wanted or part.window.start[0] < 20
        assert (part.pixels[..., 0] == (IMAGE[part.window.slices] if there else 0)).all()
        outside = np.arange(part.window.start[0], part.window.stop[0]) >= 20
        assert not part.classes[outside].any() and (part.probability[0, outside] == 1).all()
