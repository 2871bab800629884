"""Regions: unions of exclusive classes that have a name, such as an epicardium that holds myocardium and cavity.

They are declared by class names or mask values, in a recipe's table [regions] or as `--region NAME=VALUES`:

    [regions]
    endocardium = [3]
    epicardium = [2, 3]

The network tells exclusive classes apart, so that a region which is made of more classes than another always holds it:
no cavity lies outside an epicardium that way, whatever the network answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import RecipeError
from ushape.labels import Labels
from ushape.settings import nearest

Declared = Mapping[str, Sequence[str | int]]
"""The classes of each region by its name: their names, or their values in mask files."""


@dataclass(frozen=True)
class Region:
    """A name, and the numbers of the classes that make the region up."""

    name: str
    numbers: tuple[int, ...]

    def of(self, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(…) class numbers → where the region is.

        >>> Region("epicardium", (1, 2)).of(np.array([0, 1, 2, 3], dtype=np.uint8)).tolist()
        [False, True, True, False]
        """
        inside: NDArray[np.bool_] = np.isin(classes, self.numbers)
        return inside

    def holds(self, other: Region) -> bool:
        """Whether all of the other lies in it, and more may."""
        return set(other.numbers) < set(self.numbers)

    def in_words(self, labels: Labels) -> str:
        """Its classes by their names."""
        return " + ".join(labels.names[number] for number in self.numbers)


def check_declared(declared: Mapping[str, Any], one_piece: Sequence[str] = ()) -> None:
    """RecipeError for what declares no region, whatever classes there are, and for names in `one_piece` of none."""
    for name, parts in declared.items():
        listed = isinstance(parts, list | tuple) and len(parts) > 0
        if not listed or not all(type(part) in (str, int) for part in parts):
            raise RecipeError(
                f"The region {name} in [regions] is {parts!r}; it takes a list of classes, by name or by mask value, "
                'such as ["myocardium", "cavity"] or [2, 3].'
            )
        if not re.fullmatch(r"\w[\w -]*", name):
            raise RecipeError(f"{name!r} in [regions] is no name; it takes letters, digits, spaces, - and _.")
    for name in one_piece:
        if name not in declared:
            hint = nearest(name, declared) if declared else "[regions] declares none."
            raise RecipeError(f"one_piece in [prediction] names {name!r}, which is no region: {hint}")


def declared_in(words: Sequence[str]) -> dict[str, list[str | int]]:
    """What `--region` says of each region, as [regions] has it.

    >>> declared_in(["epicardium=2, cavity"])
    {'epicardium': [2, 'cavity']}
    """
    declared: dict[str, list[str | int]] = {}
    for word in words:
        name, is_said, parts = word.partition("=")
        classes = [part.strip() for part in parts.split(",") if part.strip()]
        if not is_said or not name.strip() or not classes:
            raise RecipeError(
                f"--region {word!r} declares none; it takes a name and its classes, by name or by mask value: "
                "epicardium=2,3."
            )
        declared[name.strip()] = [int(part) if part.isdecimal() else part for part in classes]
    check_declared(declared)
    return declared


def regions_of(declared: Declared, labels: Labels) -> tuple[Region, ...]:
    """The regions in the order of their declaration; RecipeError where one names no class, or the background.

    >>> regions_of({"cell": [128, "nucleus"]}, Labels(("background", "plasm", "nucleus"), (0, 128, 255)))
    (Region(name='cell', numbers=(1, 2)),)
    """
    check_declared(declared)
    return tuple(
        Region(name, tuple(sorted({_number_of(part, name, labels) for part in parts})))
        for name, parts in declared.items()
    )


def region_facts(regions: Sequence[Region], labels: Labels) -> list[tuple[str, str]]:
    """A line for each region: its classes, and which other regions it holds."""
    facts = []
    for region in regions:
        inner = [other.name for other in regions if region.holds(other)]
        facts.append(
            (f"region {region.name}", region.in_words(labels) + (f"; holds {', '.join(inner)}" if inner else ""))
        )
    return facts


def _number_of(part: str | int, region: str, labels: Labels) -> int:
    """The number of a class that is given by its name, by its mask value, or by its colour as #rrggbb."""
    is_colour = isinstance(part, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", part)
    value = int(str(part)[1:], 16) if is_colour else part
    known: dict[str | int, int] = {name: number for number, name in enumerate(labels.names)}
    known |= {value: number for number, value in enumerate(labels.values)}
    if value not in known:
        written = [f"#{v:06x}" if labels.coloured else str(v) for v in labels.values]
        there_are = ", ".join(f"{name} (mask value {v})" for name, v in zip(labels.names, written, strict=True))
        near = nearest(part, labels.names) if isinstance(part, str) else ""
        hint = f" {near[0].upper()}{near[1:]}" if near.startswith("did you") else ""
        raise RecipeError(
            f"The region {region} takes the class {part!r}, which there is not.{hint} There are: {there_are}."
        )
    if known[value] == 0:
        raise RecipeError(
            f"The region {region} takes {part!r}, the background, which is part of no region. Name foreground classes."
        )
    return known[value]
