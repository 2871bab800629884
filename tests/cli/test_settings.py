"""Flags become tables of a recipe; sizes are read as people write them."""

from __future__ import annotations

import pytest

from ushape.cli.options import TaskChoice
from ushape.cli.settings import bytes_of, must_stand_alone, tables
from ushape.errors import RecipeError


def test_flags_find_their_tables():
    flags = {"model": "unet", "width": 8, "task": TaskChoice.semantic, "group_by": "x", "flips": False, "seed": 0}
    flags |= {"ignore": "0,#0000ff"}
    assert tables(None, flags) == {
        "model": {"name": "unet", "options": {"width": 8}},
        "data": {"task": "semantic", "group_by": "x", "ignored_values": [0, 255]},
        "prediction": {"flips": False},
        "seed": 0,
    }


def test_flags_that_were_not_given_say_nothing():
    assert tables(None, {"width": None, "flips": None}) == {}


def test_a_file_keeps_what_no_flag_overrules(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('[model]\nname = "unet"\ndepth = 3\nwidth = 16\n[data]\ntask = "semantic"\n', encoding="utf-8")
    assert tables(file, {"width": 8, "include": "a*"}) == {
        "model": {"name": "unet", "options": {"depth": 3, "width": 8}},
        "data": {"task": "semantic", "include": "a*"},
    }


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2**31), ("1.5 GiB", 3 * 2**29), ("500MB", 500_000_000), ("64m", 64_000_000)]
)
def test_sizes_as_people_write_them(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "2", "GiB", "-1GiB", "2 giraffes"])
def test_what_is_no_size(text):
    with pytest.raises(RecipeError, match="a number and its unit, such as 2GiB"):
        bytes_of(text)


def test_what_must_stand_alone_names_what_is_too_much():
    must_stand_alone("--resume", {"width": None, "overwrite": False}, "goes on")
    with pytest.raises(RecipeError, match="--resume goes on; leave out --group-by"):
        must_stand_alone("--resume", {"width": None, "group_by": "x"}, "goes on")
