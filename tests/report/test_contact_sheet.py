from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ushape.data.patches import Batch
from ushape.errors import SizeError
from ushape.labels import IGNORED, Labels
from ushape.report.contact_sheet import contact_sheet

TWO = Labels(("background", "cell"), (0, 1))
ORANGE = TWO.colour(1)
GAP = 10


def batch(image: Tensor, classes: Tensor) -> Batch:
    return Batch(image.float(), classes.to(torch.uint8), None)


def ramps(count: int, side: int = 320, channels: int = 1) -> Batch:
    """Grey ramps without any truth."""
    image = torch.linspace(-2, 2, side).expand(count, channels, side, side)
    return batch(image, torch.zeros(count, side, side))


def cell(sheet: NDArray[np.uint8], row: int = 0, column: int = 0, side: int = 320) -> NDArray[np.uint8]:
    y, x = (GAP + n * (side + GAP) for n in (row, column))
    return sheet[y : y + side, x : x + side]


def is_colour(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((picture == colour).all(axis=-1))


def test_patches_stand_in_rows_on_white() -> None:
    sheet = contact_sheet([ramps(4), ramps(4)], TWO, count=7, columns=3)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == GAP + 3 * 330 and sheet.shape[0] > GAP + 3 * 330
    assert (cell(sheet, 2, 0)[:, 0] < 10).all() and (cell(sheet, 2, 0)[:, -1] > 245).all()
    assert (cell(sheet, 2, 1) == 255).all()
    assert (sheet[:GAP] == 255).all()


def test_no_more_batches_are_drawn_than_are_shown() -> None:
    drawn = []

    def endless() -> Iterator[Batch]:
        while True:
            drawn.append(1)
            yield ramps(2, side=16)

    contact_sheet(endless(), TWO, count=5)
    assert len(drawn) == 3


def test_fewer_patches_than_asked_for_make_a_smaller_sheet() -> None:
    assert contact_sheet([ramps(2)], TWO).shape[1] == GAP + 2 * 330


def test_the_outline_of_a_class_lies_within_it_and_not_along_the_end_of_the_patch() -> None:
    classes = torch.zeros(1, 320, 320)
    classes[0, 100:200, 50:150] = 1
    classes[0, 250:, 250:] = 1
    found = is_colour(cell(contact_sheet([batch(torch.zeros(1, 1, 320, 320), classes)], TWO)), ORANGE)
    expected = np.zeros((320, 320), dtype=bool)
    expected[100:200, 50:150] = True
    expected[101:199, 51:149] = False
    expected[250, 250:] = expected[250:, 250] = True
    assert np.array_equal(found, expected)


def test_small_patches_are_enlarged_by_a_whole_factor_and_large_ones_made_smaller() -> None:
    sheet = contact_sheet([ramps(1, side=64)], TWO)
    enlarged = cell(sheet)
    assert np.array_equal(enlarged, enlarged[::5, ::5].repeat(5, axis=0).repeat(5, axis=1))
    assert contact_sheet([ramps(1, side=900)], TWO).shape[1] == 600 + 2 * GAP


def test_the_context_around_the_truth_is_darker_and_said_to_be() -> None:
    seen = batch(torch.ones(1, 1, 320, 320), torch.zeros(1, 120, 120))
    seen.image[..., :4] = -1
    sheet = contact_sheet([seen], TWO)
    shown = cell(sheet)[..., 0]
    assert (shown[100:220, 100:220] == 255).all()
    assert (shown[:100, 4:] == 102).all() and (shown[220:, 4:] == 102).all() and (shown[:, 220:] == 102).all()
    whole = contact_sheet([batch(seen.image, torch.zeros(1, 320, 320))], TWO)
    assert (sheet[340:] < 100).sum() > (whole[340:] < 100).sum()


def test_ignored_pixels_are_striped_and_make_no_edge() -> None:
    classes = torch.ones(1, 320, 320)
    classes[0, :, 160:] = IGNORED
    image = torch.ones(1, 1, 320, 320)
    image[..., :4] = -1
    shown = cell(contact_sheet([batch(image, classes)], TWO))
    assert not is_colour(shown, ORANGE).any()
    assert (shown[:, 4:160] == 255).all()
    assert set(np.unique(shown[:, 160:])) == {102, 255}
    assert (shown[:, 160:] == 102).mean() == pytest.approx(0.5, abs=0.02)


def test_each_patch_is_stretched_by_itself() -> None:
    dim = ramps(1)
    sheet = contact_sheet([dim, batch(dim.image * 0.5 + 3, dim.classes)], TWO)
    assert np.abs(cell(sheet, 0, 0).astype(int) - cell(sheet, 0, 1)).max() <= 1


def test_mere_noise_is_not_stretched_to_a_picture_and_stays_dark_or_bright() -> None:
    noise = 0.01 * torch.randn(1, 1, 320, 320, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(1, 320, 320)
    sheet = contact_sheet([ramps(1), batch(noise - 2, nothing), batch(noise + 2, nothing)], TWO)
    dark, bright = cell(sheet, 0, 1).astype(int), cell(sheet, 0, 2).astype(int)
    assert dark.max() < 40 and bright.min() > 215


@pytest.mark.parametrize(("channels", "coloured"), [(1, False), (2, False), (3, True), (5, True)])
def test_channels_are_shown_as_grey_or_as_red_green_and_blue(channels: int, coloured: bool) -> None:
    image = torch.zeros(1, channels, 320, 320)
    image[:, 0] = torch.linspace(0, 1, 320)
    shown = cell(contact_sheet([batch(image, torch.zeros(1, 320, 320))], TWO))
    assert shown[5, 300, 0] > 200
    assert (shown[5, 300, 1] < 50) == coloured


def test_a_patch_of_one_value_is_shown() -> None:
    assert contact_sheet([batch(torch.full((1, 1, 320, 320), 7.0), torch.zeros(1, 320, 320))], TWO).shape[2] == 3


def test_the_classes_are_named_in_their_colours_on_as_many_lines_as_they_need() -> None:
    few = contact_sheet([ramps(1)], TWO)
    assert is_colour(few[340:], ORANGE).sum() > 150
    names = tuple(f"a class with the name {number}" for number in range(9))
    many = Labels(names, tuple(range(9)))
    sheet = contact_sheet([ramps(1)], many)
    assert sheet.shape[0] > few.shape[0]
    assert all(is_colour(sheet[340:], many.colour(number)).any() for number in many.foreground)


def test_names_that_the_font_cannot_write_are_replaced_by_numbers() -> None:
    odd, plain = (Labels(("background", name), (0, 1)) for name in ("細胞", "class 1"))
    assert np.array_equal(contact_sheet([ramps(1)], odd), contact_sheet([ramps(1)], plain))


def test_long_names_are_cut() -> None:
    long, cut = (Labels(("background", name), (0, 1)) for name in ("x" * 200, "x" * 37 + "..."))
    assert np.array_equal(contact_sheet([ramps(1)], long), contact_sheet([ramps(1)], cut))


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(SizeError, match="sheet of 12 patches was asked for, and there is none to show; give at least"):
        contact_sheet([], TWO)
