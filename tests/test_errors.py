"""The family of errors is the tree that the module draws."""

from __future__ import annotations

import builtins
import inspect
import re

import pytest

from ushape import errors
from ushape.errors import UshapeError

FAMILY = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and cls.__module__ == errors.__name__}


def test_the_tree_in_the_docstring_names_every_error_and_no_other():
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__)
    assert ["UshapeError", *drawn] == list(FAMILY)  # in the order of the file, too


def test_every_error_descends_from_ours_directly_and_from_one_of_pythons():
    for name, cls in FAMILY.items():
        if cls is not UshapeError:
            ours, pythons = cls.__bases__
            assert ours is UshapeError, name
            assert getattr(builtins, pythons.__name__) is pythons, name


@pytest.mark.parametrize(
    ("name", "also"),
    [
        ("SizeError", ValueError),
        ("ImageError", ValueError),
        ("DataError", ValueError),
        ("RecipeError", ValueError),
        ("CheckpointError", ValueError),
        ("OutputError", OSError),
        ("TrainingError", RuntimeError),
        ("MissingExtra", ImportError),
    ],
)
def test_errors_are_caught_by_those_who_expect_pythons_own(name, also):
    with pytest.raises(also, match="what to do next"):
        raise FAMILY[name]("wing.tif is 3x3: what to do next")


@pytest.mark.parametrize("name", FAMILY)
def test_the_message_is_all_that_is_printed(name):
    assert str(FAMILY[name]("cells.png is empty. Save it again.")) == "cells.png is empty. Save it again."
    assert FAMILY[name].__doc__
