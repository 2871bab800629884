"""Nested plain values, as TOML and JSON give them, → nested frozen dataclasses; what cannot be is told by name.

A value's type is what the field is annotated with: a bool, int, float, str, a Literal, a bool or a Literal, a tuple of
numbers or of texts, a mapping, another dataclass, whose values stand in a table of their own, or a tuple of one,
a table for each.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, is_dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ushape.errors import RecipeError

Name = TypeVar("Name", bound=str)


def built(kind: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """A dataclass from plain values, its nested ones too."""
    hints = get_type_hints(kind)
    fields = {}
    for key, value in values.items():
        several = _kind_of_several(hints[key])
        if several is not None:
            fields[key] = tuple(built(several, each, f"[[{key}]]") for each in _tables(value, key, where))
        elif not is_dataclass(hints[key]):
            fields[key] = checked(value, hints[key], f"{key} in {where}")
        elif isinstance(value, Mapping):
            fields[key] = built(hints[key], value, f"[{key}]")
        else:
            raise RecipeError(f"{key} in {where} is {value!r}; it takes a table of settings, [{key}].")
    missing = [f.name for f in dataclass_fields(kind) if _is_required(f) and f.name not in fields]
    if missing:
        raise RecipeError(f"{where} says nothing of {', '.join(missing)}; it must.")
    return kind(**fields)


def unknown_names(kind: type[Any], values: Mapping[str, Any], where: str) -> Iterator[str]:
    """Every key that is no field of a dataclass or of those in it, with the nearest that is."""
    hints = get_type_hints(kind)
    for key, value in values.items():
        if key not in hints:
            yield f"{key!r} in {where}: {nearest(key, hints)}"
        elif is_dataclass(hints[key]) and isinstance(value, Mapping):
            yield from unknown_names(hints[key], value, f"[{key}]")
        elif (several := _kind_of_several(hints[key])) is not None:
            for each in _tables(value, key, where):
                yield from unknown_names(several, each, f"[[{key}]]")


def check_types(table: Any, where: str) -> None:
    """What Python code, unlike a TOML file, could still have put in."""
    for key, hint in get_type_hints(type(table)).items():
        value = getattr(table, key)
        several = _kind_of_several(hint)
        if several is not None:
            for each in value:
                check_types(each, f"[[{key}]]")
        elif not (isinstance(hint, type) and is_dataclass(hint)):
            checked(value, hint, f"{key} in {where}")
        elif isinstance(value, hint):
            check_types(value, f"[{key}]")
        else:
            raise RecipeError(f"{key} in {where} is {value!r}; it takes a {hint.__name__}.")


def checked(value: Any, hint: Any, where: str) -> Any:
    """The value as the hint wants it, or RecipeError with what it takes."""
    if hint in (bool, int, str) and type(value) is hint:
        return value
    if hint is float and type(value) in (int, float):
        return float(value)
    if bool in get_args(hint) and type(value) is bool:
        return value
    if get_origin(hint) is tuple and isinstance(value, list | tuple) and _all_of(get_args(hint)[0], value):
        return tuple(float(number) for number in value) if get_args(hint)[0] is float else tuple(value)
    if get_origin(hint) is Mapping and isinstance(value, Mapping):
        return dict(value)
    allowed = _choices(hint)
    if value in allowed:
        return value
    either = ["true", "false"] if bool in get_args(hint) else []
    takes = "one of " + ", ".join([*either, *allowed]) if allowed else _in_words(hint)
    raise RecipeError(f"{where} is {value!r}; it takes {takes}.")


def chosen(text: str, about: Mapping[Name, str], what: str) -> tuple[Name, ...]:
    """The names in a text with commas between, each once and in the order of `about`.

    RecipeError, with what each that there is stands for, where one is unknown or none is given.

    >>> chosen("b, a", {"a": "the first", "b": "the second"}, "letter")
    ('a', 'b')
    """
    asked = [name.strip() for name in text.split(",") if name.strip()]
    require_known(asked or ["without a name"], about, what)
    return tuple(name for name in about if name in asked)


def require_known(names: Iterable[str], about: Mapping[Name, str], what: str) -> None:
    """RecipeError, with what each that there is stands for, where a name is unknown."""
    unknown = [name for name in names if name not in list(about)]
    if unknown:
        listed = "; ".join(f"{name} ({words})" for name, words in about.items())
        raise RecipeError(f"There is no {what} {', '.join(unknown)}. There are: {listed}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at what was meant.

    >>> nearest("minuts", ["minutes", "steps"])
    "did you mean 'minutes'?"
    """
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}."


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Mapping: "a table",
}


_SEVERAL = {int: "whole numbers", float: "numbers", str: "texts"}


def _all_of(kind: type[Any], values: Sequence[Any]) -> bool:
    return all(type(value) is kind or (kind is float and type(value) is int) for value in values)


def _in_words(hint: Any) -> str:
    """What a field that is no choice takes."""
    if get_origin(hint) is tuple:
        return f"a list of {_SEVERAL[get_args(hint)[0]]}"
    return _WORDS.get(get_origin(hint) or hint, str(hint))


def _kind_of_several(hint: Any) -> type[Any] | None:
    """The dataclass of a field that holds a tuple of one."""
    kind = get_args(hint)[0] if get_origin(hint) is tuple else None
    return kind if isinstance(kind, type) and is_dataclass(kind) else None


def _tables(value: Any, key: str, where: str) -> Sequence[Mapping[str, Any]]:
    if isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value):
        return value
    raise RecipeError(f"{key} in {where} is {value!r}; it takes tables of settings, a [[{key}]] for each.")


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _choices(hint: Any) -> list[str]:
    """All strings of a Literal, or of a union of Literals."""
    if get_origin(hint) is Literal:
        return [str(a) for a in get_args(hint)]
    return [choice for part in get_args(hint) for choice in _choices(part)] if get_args(hint) else []
