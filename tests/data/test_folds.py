"""Folds: a partition that tears no group, as even as can be, in which every class can be learned without any part."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ushape.data.folds import Folds, folds
from ushape.data.pair import MaskFile, Pair
from ushape.errors import DataError, RecipeError
from ushape.images.source import Page

NAMES = ("background", "cell")


def pair(name: str, group: str) -> Pair:
    return Pair(name, Page(Path(f"{name}.png")), (MaskFile(Page(Path(f"{name}_mask.png"))),), None, group, "values")


def folded(groups: dict[str, str], number: int, counts: dict[str, tuple[int, ...]] | None = None, seed: int = 0):
    pairs = [pair(name, group) for name, group in groups.items()]
    even = dict.fromkeys(groups, (50, 50))
    return folds(pairs, number, counts=counts or even, class_names=NAMES, seed=seed)


def named(found: Folds) -> list[list[str]]:
    return [[p.name for p in part] for part in found.parts]


@given(
    st.lists(st.integers(0, 7), min_size=4, max_size=24),
    st.integers(2, 5),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_folds_are_a_partition_that_tears_no_group_and_knows_no_order(
    groups: list[int], number: int, seed: int, shuffler: random.Random
):
    assume(number <= len(set(groups)))
    pairs = [pair(f"image{k}", f"group{g}") for k, g in enumerate(groups)]
    counts = {p.name: (10 + k, 90 - k) for k, p in enumerate(pairs)}
    found = folds(pairs, number, counts=counts, class_names=NAMES, seed=seed)
    assert len(found.parts) == number and all(found.parts)
    assert sorted(p.name for part in found.parts for p in part) == sorted(p.name for p in pairs)
    homes = {p.group: k for k, part in enumerate(found.parts) for p in part}
    assert all(homes[p.group] == k for k, part in enumerate(found.parts) for p in part)
    sizes = [len(part) for part in found.parts]
    assert max(sizes) - min(sizes) <= max(groups.count(g) for g in groups)
    shuffler.shuffle(pairs)
    assert folds(pairs, number, counts=counts, class_names=NAMES, seed=seed) == found


def test_single_images_make_folds_that_differ_by_one_at_most():
    for images, number in product(range(5, 14), range(2, 6)):
        found = folded({f"i{k}": f"i{k}" for k in range(images)}, number)
        assert {len(part) for part in found.parts} <= {images // number, -(-images // number)}
    assert found.rule == "5 folds of 2 to 3 images, drawn so that their classes are alike"


def test_classes_are_spread_evenly():
    rng = np.random.default_rng(0)
    shares = {f"i{k}": int(share) for k, share in enumerate(rng.integers(0, 1000, 20))}
    counts = {name: (1000 - share, share) for name, share in shares.items()}
    found = folded({name: name for name in shares}, 5, counts)
    sums = [sum(shares[name] for name in part) for part in named(found)]
    assert (max(sums) - min(sums)) / np.mean(sums) < 0.05, "dealt blindly, they differ by half of the mean or so"


def test_a_class_of_two_groups_lies_in_two_folds():
    counts = {f"i{k}": (90, 10 if k in (3, 8) else 0) for k in range(12)}
    for seed in range(5):
        found = named(folded({name: name for name in counts}, 2, counts, seed))
        assert sum("i3" in part for part in found) == 1
        assert not any({"i3", "i8"} <= set(part) for part in found)


def test_as_many_folds_as_groups_leave_one_out():
    found = folded({f"i{k}": f"patient{k % 4}" for k in range(9)}, 4)
    assert sorted(map(len, found.parts)) == [2, 2, 2, 3]
    assert all(len({p.group for p in part}) == 1 for part in found.parts)
    assert found.rule == "4 folds of 2 to 3 images: whole groups, 4 in all: one group each"
    assert folded({f"i{k}": f"i{k}" for k in range(3)}, 3).rule.endswith("classes are alike: one image each")


def test_one_sequence_is_cut_into_blocks():
    found = folded({f"slice{k}": "stack" for k in range(11)}, 3)
    assert named(found) == [[f"slice{k}" for k in span] for span in (range(4), range(4, 7), range(7, 11))]
    assert found.rule == "3 folds of 3 to 4 images: blocks of one sequence, since neighbours are alike"


@pytest.mark.parametrize(
    ("groups", "number", "error", "words"),
    [
        ({"a": "a", "b": "b"}, 1, RecipeError, r"of 1 folds holds nothing back; give --folds 2 or more"),
        ({"a": "p", "b": "p", "c": "q"}, 3, DataError, r"3 folds cannot be made of 2 groups.*Give --folds 2 or fewer"),
        ({"a": "s", "b": "s"}, 5, DataError, r"5 folds cannot be made of 2 images of one sequence. Give --folds 2"),
        ({"a": "a"}, 2, DataError, r"made of 1 image of one sequence.*annotate a second image"),
    ],
)
def test_impossible_numbers_say_what_can_be(groups: dict[str, str], number: int, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        folded(groups, number)


def test_a_class_of_one_group_cannot_be_learned_without_it():
    groups = {"a": "p", "b": "p", "c": "q", "d": "r"}
    counts = {"a": (90, 10), "b": (80, 20), "c": (100, 0), "d": (100, 0)}
    with pytest.raises(DataError, match=r"cell is only in a, b \(group p\)\. Annotate it in images of another group"):
        folded(groups, 2, counts)
