"""Thirds of the ventricle, which end is the base, and what is told of slices that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ushape.cardiac.levels import base_is_last, inconsistencies, levels, reach
from ushape.cardiac.ventricle import Ventricle

Phantom = Callable[..., Ventricle]


@pytest.mark.parametrize(("slices", "expected"), [(3, "bma"), (4, "bbma"), (5, "bbmma"), (10, "bbbbmmmaaa"), (1, "b")])
def test_levels_are_thirds_of_what_shows_the_ventricle(slices: int, expected: str) -> None:
    shown = np.zeros((slices + 3, 4, 4), dtype=bool)
    shown[2 : 2 + slices] = True
    found = levels(Ventricle(shown))
    assert found[:2] == [None, None] and found[-1] is None
    assert "".join(level[0] for level in found if level) == expected


def test_an_empty_stack_has_no_levels() -> None:
    empty = Ventricle(np.zeros((3, 4, 4), dtype=bool))
    assert levels(empty) == [None] * 3
    assert not base_is_last(empty)
    assert inconsistencies(empty) == []


def test_the_base_is_the_larger_end(heart: Phantom) -> None:
    whole = heart()
    half = Ventricle(whole.endocardium[26:], whole.epicardium[26:], None, whole.voxel_mm)
    assert not base_is_last(half)
    assert base_is_last(half.upside_down())
    assert (half.upside_down().upside_down().outer == half.outer).all()


def test_a_heart_as_it_should_be_has_nothing_to_tell(heart: Phantom) -> None:
    assert inconsistencies(heart()) == []
    assert inconsistencies(replace(heart(), epicardium=None)) == []


def test_gaps_pieces_bare_cavities_and_jumps_are_told_by_slice(tube: Phantom) -> None:
    spoilt = tube(8, 12, slices=8, side=101)
    assert spoilt.epicardium is not None
    spoilt.endocardium[2] = False
    spoilt.epicardium[4] = spoilt.endocardium[4]
    spoilt.endocardium[5, 50, 75] = spoilt.epicardium[5, 50, 75] = True
    for mask in (spoilt.endocardium, spoilt.epicardium):
        mask[7] = np.roll(mask[7], 30, axis=1)
    assert inconsistencies(spoilt) == [
        "No cavity in slice 3, between slices that have it.",
        "Cavity without any wall in slice 5.",
        "The endocardium is in several pieces in slice 6.",
        "The endocardium of slices 7 and 8 have no pixel in common.",
        "The epicardium is in several pieces in slice 6.",
        "The epicardium of slices 7 and 8 have no pixel in common.",
        "The epicardium has 193 pixels in slice 5, but 437 and 438 in its neighbours.",
    ]
    spoilt.epicardium[3] = spoilt.endocardium[3] = False
    assert "No cavity in slices 3, 4, between slices that have it." in inconsistencies(spoilt)
    assert "No wall or cavity in slice 4, between slices that have it." in inconsistencies(spoilt)


def test_where_the_cavity_ends_is_told(tube: Phantom) -> None:
    manual, predicted = tube(8, 12, slices=6), tube(8, 12, slices=6)
    manual.endocardium[0] = False
    predicted.endocardium[4:] = False
    assert reach(predicted, manual) == [
        "At the base the predicted cavity has 1 slice more.",
        "At the apex the predicted cavity has 2 slices fewer.",
    ]
    assert reach(manual, manual) == []
    predicted.endocardium[:] = False
    assert reach(predicted, manual) == ["Only one of the two readers sees a cavity."]
    assert reach(predicted, predicted) == []


def test_an_area_that_jumps_is_told_and_one_that_shrinks_is_not(tube) -> None:
    ventricle = tube(10, 16, slices=5)
    y, x = np.ogrid[:81, :81]
    assert not any("neighbours" in words for words in inconsistencies(ventricle))
    ventricle.endocardium[2] = np.hypot(y - 40, x - 40) < 5
    small, usual = int(ventricle.endocardium[2].sum()), int(ventricle.endocardium[1].sum())
    told = f"The endocardium has {small} pixels in slice 3, but {usual} and {usual} in its neighbours."
    assert inconsistencies(ventricle) == [told]
    for number, radius in enumerate((10, 9, 8, 5, 2)):
        ventricle.endocardium[number] = np.hypot(y - 40, x - 40) < radius
    assert inconsistencies(ventricle) == []
