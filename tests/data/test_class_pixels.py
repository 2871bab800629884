from __future__ import annotations

from collections import Counter

import pytest
import torch

from ushape.data.class_pixels import ClassPixels
from ushape.labels import IGNORED

CLASSES = torch.tensor([[0, 0, 255, 3], [255, 255, 255, 255], [3, 0, 255, 1]], dtype=torch.uint8)


def test_classes_present_are_told_without_the_ignored_ones() -> None:
    pixels = ClassPixels(CLASSES)
    assert (pixels.present, pixels.foreground) == ((0, 1, 3), (1, 3))
    assert pixels.annotated == 0.5
    nothing = ClassPixels(torch.full((2, 2), IGNORED, dtype=torch.uint8))
    assert (nothing.present, nothing.annotated) == ((), 0.0)


def test_classes_are_equally_likely_and_so_are_the_pixels_of_one() -> None:
    pixels, generator = ClassPixels(CLASSES), torch.Generator().manual_seed(0)
    drawn = Counter(pixels.draw((0, 3), generator) for _ in range(1200))
    expected = {(0, 0): 200, (0, 1): 200, (2, 1): 200, (0, 3): 300, (2, 0): 300}
    assert drawn.keys() == expected.keys()
    assert {place: drawn[place] for place in expected} == pytest.approx(expected, abs=60)  # 4 standard deviations
