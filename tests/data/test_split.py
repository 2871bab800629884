"""Whole groups on either side; the same split for the same seed; blocks of sequences; every class in training."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushape.data.pair import MaskFile, Pair
from ushape.data.split import Split, split
from ushape.errors import DataError, RecipeError
from ushape.images.source import Page


def pair(name: str, group: str) -> Pair:
    return Pair(name, Page(Path(f"{name}.png")), (MaskFile(Page(Path(f"{name}_mask.png"))),), None, group, "values")


def names(pairs: tuple[Pair, ...]) -> list[str]:
    return [p.name for p in pairs]


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=30),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_a_split_is_a_partition_that_tears_no_group_and_knows_no_order(
    groups: list[int], fraction: float, seed: int, shuffler: random.Random
) -> None:
    pairs = [pair(f"image{k}", f"group{g}") for k, g in enumerate(groups)]
    parts = split(pairs, validation_fraction=fraction, seed=seed)
    assert parts.training and parts.validation
    assert sorted(names(parts.training) + names(parts.validation)) == sorted(p.name for p in pairs)
    if len(set(groups)) > 1:
        assert not {p.group for p in parts.training} & {p.group for p in parts.validation}
    shuffler.shuffle(pairs)
    assert split(pairs, validation_fraction=fraction, seed=seed) == parts


def test_a_fifth_of_single_images_is_drawn() -> None:
    pairs = [pair(f"set{k}", f"set{k}") for k in range(20)]
    parts = split(pairs)
    assert (len(parts.training), len(parts.validation)) == (16, 4)
    assert parts.rule == "16 images to train on, 4 to validate on, drawn at random"
    assert len({tuple(names(split(pairs, seed=s).validation)) for s in range(5)}) == 5


def test_no_more_than_the_fraction_is_held_back_where_groups_allow() -> None:
    pairs = [pair(f"a{k}", "large") for k in range(27)] + [pair(n, n) for n in ("x", "y", "z")]
    for seed in range(5):
        assert sorted(names(split(pairs, seed=seed).validation)) == ["x", "y", "z"]
    of_two = [pair(f"a{k}", "a") for k in range(5)] + [pair(f"b{k}", "b") for k in range(9)]
    assert {p.group for p in split(of_two).validation} == {"a"}
    assert "1 whole group of 2 (a), drawn at random" in split(of_two).rule


def test_a_sequence_is_cut_into_blocks_of_neighbours() -> None:
    pairs = [pair(str(k), "sequence") for k in range(12)]
    assert names(split(pairs, validation_fraction=0.25).validation) == ["9", "10", "11"]
    assert names(split(pairs, validation_fraction=0.25, seed=1).validation) == ["6", "7", "8"]
    assert names(split(pairs, validation_fraction=0.25, seed=4).validation) == ["9", "10", "11"]
    assert (
        "the block 9 to 11 of one sequence, since neighbours are alike" in split(pairs, validation_fraction=0.25).rule
    )


def test_two_images_give_one_to_each_side() -> None:
    parts = split([pair("a", "a"), pair("b", "b")], validation_fraction=0.9)
    assert (len(parts.training), len(parts.validation)) == (1, 1)
    assert "the block 2 of one sequence" in split([pair("1", "s"), pair("2", "s")]).rule


def test_a_single_image_is_on_both_sides_and_the_rule_says_so() -> None:
    only = pair("a", "a")
    assert split([only]) == Split(
        (only,), (only,), "a is trained on and validated on: the score says nothing of other images"
    )


def test_nothing_is_held_back_where_none_is_asked_for() -> None:
    pairs = [pair(f"set{k}", f"set{k}") for k in range(10)]
    parts = split(pairs, validation_fraction=0)
    assert parts.training == tuple(pairs)
    assert parts.validation == split(pairs).validation and not parts.held_back and split(pairs).held_back
    scored = ", ".join(names(parts.validation))
    assert parts.rule == f"all 10 images are trained on; the scores, of {scored}, say nothing of other images"
    assert not split(pairs[:1]).held_back


@pytest.mark.parametrize("grouped", [True, False])
def test_every_class_is_in_training_where_that_can_be(grouped: bool) -> None:
    pairs = [pair(f"{k:02d}", f"g{k}" if grouped else "sequence") for k in range(10)]
    counts = {p.name: (100, 50, 7 if p.name in ("03", "09") else 0) for p in pairs}
    for seed in range(20):
        parts = split(pairs, seed=seed, counts=counts)
        for side in (parts.training, parts.validation):
            assert any(counts[p.name][2] for p in side)
    rare = {p.name: (100, 50, 7 if p.name == "09" else 0) for p in pairs}
    for seed in range(20):
        assert "09" in names(split(pairs, seed=seed, counts=rare).training)


def test_images_without_an_annotated_pixel_are_on_neither_side() -> None:
    pairs = [pair(f"{k:02d}", f"g{k}") for k in range(10)]
    counts = {p.name: (0, 0) if p.name in ("02", "07") else (5, 9) for p in pairs}
    parts = split(pairs, counts=counts)
    assert sorted(names(parts.training) + names(parts.validation)) == sorted(set(counts) - {"02", "07"})
    assert parts.rule == "6 images to train on, 2 to validate on, drawn at random; nothing is annotated in 02, 07"
    only = split(pairs[1:3], counts=counts)
    assert names(only.training) == names(only.validation) == ["01"]
    assert only.rule.endswith("says nothing of other images; nothing is annotated in 02")
    with pytest.raises(DataError, match="Not one pixel is annotated in 02, 07; annotate some, of every class"):
        split([pairs[2], pairs[7]], counts=counts)


def test_background_is_in_training_and_validation_where_little_is_annotated() -> None:
    pairs = [pair(f"{k:02d}", f"g{k}") for k in range(10)]
    counts = {p.name: (40 if p.name in ("03", "09") else 0, 9) for p in pairs}
    for seed in range(20):
        parts = split(pairs, seed=seed, counts=counts)
        assert all(any(counts[p.name][0] for p in side) for side in (parts.training, parts.validation))


def test_nothing_to_split() -> None:
    with pytest.raises(DataError, match="There are no annotated images to split"):
        split([])


@pytest.mark.parametrize("fraction", [1, -0.2, 20, float("nan")])
def test_fractions_that_are_none(fraction: float) -> None:
    with pytest.raises(RecipeError, match=r"a share from 0 up and below 1, such as 0\.2"):
        split([pair("a", "a"), pair("b", "b")], validation_fraction=fraction)


@pytest.mark.real_data
def test_real_patients_stay_whole(real_survey) -> None:
    parts = split(real_survey("sunnybrook_lv").pairs)
    assert not {p.group for p in parts.training} & {p.group for p in parts.validation}
    assert 95 <= len(parts.validation) <= 105
    isbi = split(real_survey("isbi2012").pairs)
    assert names(isbi.validation) == ["24", "25", "26", "27", "28", "29"]
