"""Which images are trained on and which are scored: groups stay whole, and names are told apart."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushape.compare.division import divided, patterns
from ushape.data.pair import Pair
from ushape.data.split import split
from ushape.errors import DataError
from ushape.images.source import Page


def pairs(*names: str, group_letters: int = 0) -> tuple[Pair, ...]:
    """Pairs without files, each its own group, or grouped by the first letters of their names."""
    return tuple(Pair(n, Page(Path(n)), (), None, n[:group_letters] or n, "values") for n in names)


def divide(of: tuple[Pair, ...], test: str = "") -> tuple[list[str], list[str], str]:
    found = divided(of, test, split(of))
    return [pair.name for pair in found.training], [pair.name for pair in found.test], found.rule


def test_patterns_name_the_test_images():
    training, test, rule = divide(pairs("a1", "b1", "b2", "c1"), "a*, c?")
    assert (training, test) == (["b1", "b2"], ["a1", "c1"])
    assert rule == "2 images to train on, 2 to score on: those called like a*, c?"


def test_without_patterns_it_is_the_split_that_every_training_draws():
    of = pairs(*(f"{letter}{n}" for letter in "abcdefghij" for n in range(2)), group_letters=1)
    training, test, rule = divide(of)
    drawn = split(of)
    assert (training, test) == ([p.name for p in drawn.training], [p.name for p in drawn.validation])
    assert len(test) == 4 and not {name[0] for name in training} & {name[0] for name in test}
    assert "16 images to train on, 4 to score on: 2 whole groups of 10" in rule


def test_a_group_is_never_torn():
    of = pairs("a1", "a2", "b1", "b2", "c1", group_letters=1)
    with pytest.raises(DataError, match=r"--test 'a1,b2' takes a part of 2 groups: a, b\. .* Name whole groups"):
        divide(of, "a1,b2")


def test_a_single_sequence_may_be_cut_and_says_so():
    training, test, rule = divide(pairs("t1", "t2", "t3", "t4", group_letters=1), "t4")
    assert (training, test) == (["t1", "t2", "t3"], ["t4"])
    assert "of one sequence with the others" in rule


@pytest.mark.parametrize(
    ("names", "test", "message"),
    [
        (("a", "b", "c"), "x*", r"No image is called like --test 'x\*'; there are a, b, c"),
        (("a", "b", "c"), "a,b", "There are 3 annotated images, of which 2 are to score on. .* at least 2 others"),
        (("a", "b"), "", "There are 2 annotated images, of which 1"),
        (("a",), "", "There are 1 annotated image, of which 1"),
    ],
)
def test_too_few_images_on_a_side_are_refused(names, test, message):
    with pytest.raises(DataError, match=message):
        divide(pairs(*names), test)


def test_names_that_no_pattern_tells_apart_are_refused():
    with pytest.raises(DataError, match="No pattern tells a;1 from the training images"):
        divide(pairs("a,1", "b", "c", "a;1"), "a;1")


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6, unique=True))
def test_patterns_match_every_name_they_were_made_of(names: list[str]):
    made = [pattern.strip() for pattern in patterns(names).split(",")]
    assert len(made) == len(names)
    assert all(fnmatchcase(name, pattern) for name, pattern in zip(names, made, strict=True))


@settings(max_examples=50)
@given(st.lists(st.text("a1[]*?!-", min_size=1, max_size=5), min_size=2, max_size=2, unique=True))
def test_patterns_match_no_other_name(names: list[str]):
    meant, other = names
    assert not fnmatchcase(other, patterns([meant]))
