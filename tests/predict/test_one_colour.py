from __future__ import annotations

import numpy as np
import pytest

from ushape.images.source import from_array
from ushape.predict.one_colour import OneColour
from ushape.predict.tiled import Predictor


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_colour_is_computed_once_as_long_as_it_is_kept(dtype: str):
    known, computed = OneColour(most=2), []

    def answer(value: int, side: int = 4, speck: int = 0) -> float:
        pixels = np.full((side, side, 3), value, dtype=dtype)
        pixels[-1, -1, -1] += speck
        found = known.answer(pixels, lambda: (computed.append(value), np.full((2, 1, 1), len(computed), np.float32))[1])
        return float(found[0, 0, 0])

    assert [answer(7), answer(7), answer(7, speck=1), answer(8), answer(7), answer(7, side=5)] == [1, 1, 2, 3, 1, 4]
    assert answer(7) == 5, "the oldest was let go of"


def test_empty_ground_is_computed_once_and_not_a_bit_changes(make_trained, monkeypatch: pytest.MonkeyPatch):
    image = np.full((300, 70), 240, np.uint8)
    image[100:120, 20:60] = np.random.default_rng(0).integers(0, 256, (20, 40))
    source, trained, passes = from_array(image), make_trained(), []
    real = Predictor._logits
    monkeypatch.setattr(Predictor, "_logits", lambda *words: (passes.append(1), real(*words))[1])
    each, once = Predictor(trained, keep_px=16), Predictor(trained, keep_px=16, engine="torch")
    for _ in range(2):
        passes.clear()
        expected = each.whole(source)[1]
        all_passes = len(passes)
        passes.clear()
        found = once.whole(source)[1]
        assert len(passes) < all_passes / 2
        np.testing.assert_allclose(found, expected, atol=1e-5)  # "torch" folds the normalisation into the convolutions
    one_by_one = Predictor(trained, keep_px=16, engine="torch")
    one_by_one._one_colour = OneColour(most=0)
    assert (one_by_one.whole(source)[1] == found).all()
