from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ushape.data.borders import BorderForm, border_weights, reach_px, separated
from ushape.data.targets import Targets
from ushape.labels import IGNORED

TWO_THAT_TOUCH = torch.tensor([[[0, 1, 1, 2, 2, 2, 0]]], dtype=torch.int32).repeat(1, 7, 1)


def classes_of(objects: Tensor) -> Tensor:
    return (objects > 0).to(torch.uint8)


def random_objects(height: int = 80, width: int = 80) -> Tensor:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 6, (2, height // 8, width // 8)).repeat(8, 1).repeat(8, 2)
    return torch.from_numpy(blocks.astype(np.int32))


def test_objects_that_touch_get_a_line_of_background_between_them():
    classes, weights = Targets(apart=True).of(classes_of(TWO_THAT_TOUCH), TWO_THAT_TOUCH)
    assert classes.shape == (1, 5, 5) and weights is None  # a pixel at each side is context
    assert classes[0].tolist() == [[1, 1, 0, 1, 1]] * 5


def test_classes_that_touch_stay_as_they_are_where_objects_need_not_be_told_apart():
    several = TWO_THAT_TOUCH.to(torch.uint8)
    classes, weights = Targets(apart=False).of(several, TWO_THAT_TOUCH)
    assert torch.equal(classes, several) and weights is None


def test_ignored_pixels_stay_ignored_and_weigh_nothing():
    classes = classes_of(TWO_THAT_TOUCH)
    classes[:, 3, 3] = IGNORED
    known, _ = Targets(apart=True).of(classes, TWO_THAT_TOUCH)
    assert known[0, 2, 2] == IGNORED
    objects = random_objects()
    ignored = classes_of(objects)
    ignored[:, :, 40:] = IGNORED
    targets = Targets(apart=True, borders="unet-2015", class_weights=(1.0, 1.0))
    known, weights = targets.of(ignored, objects)
    assert weights is not None and torch.equal(weights == 0, known == IGNORED) and (known == IGNORED).any()


@pytest.mark.parametrize("form", ["unet-2015", "unet-2019"])
def test_weights_are_those_of_the_separated_objects_in_the_whole_patch(form: BorderForm):
    size = 2 * reach_px(form) + 16
    objects = random_objects(size // 8 * 8 + 8, size // 8 * 8 + 8)[:, :size, :size]
    targets = Targets(apart=True, borders=form, class_weights=(1.0, 1.0))
    known, weights = targets.of(classes_of(objects), objects)
    inner = slice(targets.reach_px, -targets.reach_px)
    apart = separated(objects.numpy())
    assert weights is not None and weights.dtype == torch.float32 and weights.shape == known.shape == (2, 16, 16)
    np.testing.assert_allclose(weights.numpy(), border_weights(apart, form=form)[:, inner, inner], atol=1e-6)


def test_each_class_has_its_weight_beside_the_borders_share():
    objects = random_objects()
    classes = (objects % 3).to(torch.uint8)
    with_borders = Targets(apart=False, borders="unet-2015", class_weights=(0.25, 2.0, 3.0))
    known, weights = with_borders.of(classes, objects)
    borders = border_weights(objects.numpy(), form="unet-2015", class_weights=(0.0, 0.0))
    inner = slice(with_borders.reach_px, -with_borders.reach_px)
    wanted = torch.tensor([0.25, 2.0, 3.0])[known.long()] + torch.from_numpy(borders)[:, inner, inner]
    assert weights is not None
    torch.testing.assert_close(weights, wanted)
