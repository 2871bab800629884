"""Plain values → dataclasses; what recipes do with it is told in test_recipe.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from ushape.errors import RecipeError
from ushape.settings import built, check_types, nearest, unknown_names


@dataclass(frozen=True)
class Inner:
    share: float = 0.5
    kind: Literal["a", "b"] | Literal["c"] = "a"


@dataclass(frozen=True)
class Part:
    name: str
    share: float = 1.0


@dataclass(frozen=True)
class Outer:
    count: int = 1
    on: bool = False
    name: str = ""
    numbers: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    inner: Inner = Inner()
    either: bool | Literal["auto"] = "auto"
    parts: tuple[Part, ...] = ()


def test_nested_values_become_nested_dataclasses() -> None:
    values = {
        "count": 3,
        "on": True,
        "numbers": [1, 2],
        "names": ["a"],
        "options": {"x": None},
        "inner": {"share": 1, "kind": "c"},
    }
    assert built(Outer, values, "the file") == Outer(3, True, "", (1, 2), ("a",), {"x": None}, Inner(1.0, "c"))
    assert [built(Outer, {"either": value}, "the file").either for value in (True, False, "auto")] == [
        True,
        False,
        "auto",
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": 1.5}, "count in the file is 1.5; it takes a whole number."),
        ({"count": True}, "count in the file is True; it takes a whole number."),
        ({"on": 1}, "on in the file is 1; it takes true or false."),
        ({"either": 1}, "either in the file is 1; it takes one of true, false, auto."),
        ({"either": "on"}, "either in the file is 'on'; it takes one of true, false, auto."),
        ({"name": 7}, "name in the file is 7; it takes text."),
        ({"numbers": [1, "2"]}, "numbers in the file is [1, '2']; it takes a list of whole numbers."),
        ({"names": ["a", 2]}, "names in the file is ['a', 2]; it takes a list of texts."),
        ({"options": 1}, "options in the file is 1; it takes a table."),
        ({"inner": 1}, "inner in the file is 1; it takes a table of settings, [inner]."),
        ({"parts": 1}, "parts in the file is 1; it takes tables of settings, a [[parts]] for each."),
        ({"parts": [1]}, "parts in the file is [1]; it takes tables of settings, a [[parts]] for each."),
        ({"parts": [{"name": 2}]}, "name in [[parts]] is 2; it takes text."),
        ({"parts": [{"share": 2}]}, "[[parts]] says nothing of name; it must."),
        ({"inner": {"share": "x"}}, "share in [inner] is 'x'; it takes a number."),
        ({"inner": {"kind": "d"}}, "kind in [inner] is 'd'; it takes one of a, b, c."),
    ],
)
def test_a_value_of_another_type_is_told_with_what_would_do(values: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as error:
        built(Outer, values, "the file")
    assert str(error.value) == words


def test_all_unknown_names_are_told_with_the_nearest() -> None:
    values = {"cuont": 1, "inner": {"shear": 1}, "zzz": 0}
    assert list(unknown_names(Outer, values, "the file")) == [
        "'cuont' in the file: did you mean 'count'?",
        "'shear' in [inner]: did you mean 'share'?",
        "'zzz' in the file: there are: count, on, name, numbers, names, options, inner, either, parts.",
    ]
    parts = {"parts": [{"name": "a"}, {"nme": "b"}]}
    assert list(unknown_names(Outer, parts, "the file")) == ["'nme' in [[parts]]: did you mean 'name'?"]


def test_a_table_for_each_of_several() -> None:
    parts = built(Outer, {"parts": [{"name": "a"}, {"name": "b", "share": 2}]}, "the file").parts
    assert parts == (Part("a"), Part("b", 2.0))


def test_what_code_put_in_is_checked_too() -> None:
    check_types(Outer(), "the file")
    with pytest.raises(RecipeError, match=r"inner in the file is \{\}; it takes a Inner"):
        check_types(Outer(inner={}), "the file")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"share in \[\[parts\]\] is '1'; it takes a number"):
        check_types(Outer(parts=(Part("a"), Part("b", share="1"))), "the file")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"share in \[inner\] is '1'; it takes a number"):
        check_types(Outer(inner=Inner(share="1")), "the file")  # type: ignore[arg-type]


def test_nearest_lists_all_where_nothing_is_near():
    assert nearest("qqq", ["minutes", "steps"]) == "there are: minutes, steps."
