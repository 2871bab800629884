"""An image and what was drawn on it; a fault of a folder; and the words both are told in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ushape.images.source import Page

Merge = Literal["values", "classes", "objects"]
"""How the mask files of one image combine: one file whose values speak; one file per class; one file per object."""


@dataclass(frozen=True)
class MaskFile:
    """One page of annotation; class_name is the class it alone shows, where every class has its own file."""

    page: Page
    class_name: str | None = None


@dataclass(frozen=True)
class Pair:
    """An annotated image.

    name: one of its kind in the folder. valid: a mask whose 0 pixels are to be ignored (a field of view).
    group: what belongs together (a patient, a stack, a sequence) and must not lie on both sides of a split.
    """

    name: str
    image: Page
    masks: tuple[MaskFile, ...]
    valid: Page | None
    group: str
    merge: Merge


@dataclass(frozen=True)
class Fault:
    """What is wrong with some files. An error forbids training; a warning is something to know."""

    severity: Literal["error", "warning"]
    message: str
    files: tuple[Path, ...] = ()


def error(message: str, files: Iterable[Path] = ()) -> Fault:
    return Fault("error", message, tuple(files))


def warning(message: str, files: Iterable[Path] = ()) -> Fault:
    return Fault("warning", message, tuple(files))


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "image"), counted(20, "image")
    ('1 image', '20 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in a row, the first few of many.

    >>> listed(["a.png", "b.png", "c.png"], most=2)
    'a.png, b.png and 1 more'
    """
    every = list(names)
    if len(every) <= most:
        return ", ".join(every)
    return f"{', '.join(every[:most])} and {len(every) - most} more"


def every_error(faults: Sequence[Fault], root: Path) -> str | None:
    """All errors as one message, a line each; None where there is no error."""
    errors = [fault.message for fault in faults if fault.severity == "error"]
    if not errors:
        return None
    return f"{root} cannot be used yet: {counted(len(errors), 'fault')}.\n" + "\n".join(f"- {e}" for e in errors)
