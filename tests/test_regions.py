"""Regions: what their declaration means, and every word that a bad one is refused with."""

from __future__ import annotations

import numpy as np
import pytest

from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.regions import Region, check_declared, declared_in, region_facts, regions_of

HEART = Labels(("background", "right ventricle", "myocardium", "cavity"), (0, 85, 170, 255))


def test_classes_go_by_name_by_mask_value_and_by_colour() -> None:
    expected = (Region("endocardium", (3,)), Region("epicardium", (2, 3)))
    assert regions_of({"endocardium": ["cavity"], "epicardium": ["cavity", "myocardium"]}, HEART) == expected
    assert regions_of({"endocardium": [255], "epicardium": [170, "cavity", 255]}, HEART) == expected
    coloured = Labels(("background", "colour #ff0000"), (0, 0xFF0000), coloured=True)
    assert regions_of({"wall": ["#FF0000"]}, coloured) == (Region("wall", (1,)),)


def test_a_union_of_classes_holds_what_is_made_of_fewer() -> None:
    endo, epi = regions_of({"endocardium": ["cavity"], "epicardium": ["myocardium", "cavity"]}, HEART)
    assert epi.holds(endo) and not endo.holds(epi) and not epi.holds(epi)
    anything = np.random.default_rng(0).integers(0, 4, (50, 50)).astype(np.uint8)
    assert not (endo.of(anything) & ~epi.of(anything)).any()
    assert epi.of(anything).sum() == (anything >= 2).sum()


def test_they_are_told_with_what_they_hold() -> None:
    regions = regions_of({"endocardium": [255], "epicardium": [170, 255]}, HEART)
    assert region_facts(regions, HEART) == [
        ("region endocardium", "cavity"),
        ("region epicardium", "myocardium + cavity; holds endocardium"),
    ]


def test_the_command_line_declares_them_too() -> None:
    assert declared_in(["endocardium=3", "wall = 2,right ventricle"]) == {
        "endocardium": [3],
        "wall": [2, "right ventricle"],
    }
    for words in ("endocardium", "=3", "wall="):
        with pytest.raises(RecipeError, match="declares none; it takes a name and its classes"):
            declared_in([words])


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"a": 3}, "The region a in .regions. is 3; it takes a list of classes"),
        ({"a": []}, "it takes a list of classes"),
        ({"a": [True]}, "it takes a list of classes"),
        ({"a": [1.5]}, "it takes a list of classes"),
        ({"a/b": [3]}, "'a/b' in .regions. is no name"),
        ({"": [3]}, "'' in .regions. is no name"),
    ],
)
def test_what_is_no_declaration_is_refused(declared: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check_declared(declared)


def test_regions_in_one_piece_are_declared_ones() -> None:
    check_declared({"cell": [1]}, ["cell"])
    with pytest.raises(RecipeError, match="names 'cel', which is no region: did you mean 'cell'"):
        check_declared({"cell": [1]}, ["cel"])
    with pytest.raises(RecipeError, match=r"names 'cell', which is no region: \[regions\] declares none"):
        check_declared({}, ["cell"])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("cavty", r"takes the class 'cavty', which there is not. Did you mean 'cavity'\? There are: background .mask"),
        (3, r"takes the class 3, which there is not. There are: .* cavity \(mask value 255\)"),
        (0, "takes 0, the background, which is part of no region"),
        ("background", "the background, which is part of no region"),
    ],
)
def test_a_class_that_there_is_not_is_refused_with_those_that_there_are(part: str | int, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        regions_of({"endocardium": [part]}, HEART)
