"""Annotated images → patients, their moments in time, and the slices of each in the order of the stack.

A file of several pages is a stack; a volume with a time axis is one stack for each time. Single images say in their
names which slice and frame they are: `slice03_frame12`, or one number that runs through all frames of one slice, then
through those of the next, if it is said how many frames a slice has (`--frames 20` for Sunnybrook's IM-0001-0048).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ushape.data.names import natural
from ushape.data.pair import Pair, listed
from ushape.errors import DataError
from ushape.images.source import grid_of

Voxel = tuple[float, float, float]
"""Millimetres from slice to slice, along y and along x."""

Key = TypeVar("Key", bound=Hashable)

_SLICE = re.compile(r"(?<![a-z])(?:slice|sl|z)[\s_\-]*(\d+)", re.IGNORECASE)
_FRAME = re.compile(r"(?<![a-z])(?:frame|fr|phase|time|t)[\s_\-]*(\d+)", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(\d+)\D*$")
_MOMENT = re.compile(
    r"[\s_\-.]+(?:(?:frame|fr|phase|time|t)[\s_\-.]*\d+|ed|es|(?:end[\s_\-]?)?(?:diastole|systole)).*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Frame:
    """One moment of one heart. number: of the frame, from 1, as its name or its place in time says; None if neither.

    pairs: the slices in the order of the stack. voxel_mm: None where files do not say. along_stack: whether who looks
    at a slice looks the way that the slices go on, by the file's geometry; None where that is not known.
    """

    name: str
    number: int | None
    pairs: tuple[Pair, ...]
    voxel_mm: Voxel | None = None
    along_stack: bool | None = None


@dataclass(frozen=True)
class Patient:
    name: str
    frames: tuple[Frame, ...]


def patients_of(
    pairs: Sequence[Pair], *, grouped: bool = False, frames: int | None = None, voxel_mm: Voxel | None = None
) -> list[Patient]:
    """All patients, by name.

    grouped: whether the groups of the pairs are the patients, as the user says; else what names a moment is taken off
    them. frames: of a slice, where single images are numbered through. voxel_mm: in place of what files say. Of a
    patient of whom some files do not say it, none counts, so that volumes can be compared.
    DataError, naming them, for single images that do not say which slice they are.
    """
    by_patient: dict[str, list[Frame]] = defaultdict(list)
    for group, members in _sorted_into(pairs, lambda pair: pair.group).items():
        stacks = [pair for pair in members if pair.image.pages > 1]
        single = [pair for pair in members if pair.image.pages == 1]
        found = [*_stacks(stacks), *_of_single_images(single, frames)]
        by_patient[group if grouped else _MOMENT.sub("", group)] += found
    return [_patient(name, by_patient[name], voxel_mm) for name in sorted(by_patient, key=natural)]


def _patient(name: str, frames: Sequence[Frame], voxel_mm: Voxel | None) -> Patient:
    ordered = sorted(frames, key=lambda frame: natural(frame.name))
    if voxel_mm is not None or any(frame.voxel_mm is None for frame in ordered):
        ordered = [replace(frame, voxel_mm=voxel_mm) for frame in ordered]
    return Patient(name, tuple(ordered))


def _stacks(pairs: Sequence[Pair]) -> Iterator[Frame]:
    for path, members in _sorted_into(pairs, lambda pair: pair.image.path).items():
        ordered = sorted(members, key=lambda pair: pair.image.index)
        grid = grid_of(path)
        depth, times = (ordered[0].image.pages, 1) if grid is None else grid.shape[2:]
        voxel, along_stack = None, None
        if grid is not None and grid.measured:
            voxel = grid.voxel_mm[2], grid.voxel_mm[1], grid.voxel_mm[0]
            along_stack = bool(np.linalg.det(grid.affine[:3, :3]) > 0)  # x to the right, y down, z away from the eye
        stem = ordered[0].name.removesuffix(f"_{ordered[0].image.index:03d}")
        for time in range(times):
            slices = tuple(pair for pair in ordered if pair.image.index // depth == time)
            if slices:
                name = stem if times == 1 else f"{stem}, time {time + 1}"
                yield Frame(name, _number(stem) if times == 1 else time + 1, slices, voxel, along_stack)


def _of_single_images(pairs: Sequence[Pair], frames: int | None) -> Iterator[Frame]:
    if not pairs:
        return
    placed = {pair.name: _place(pair.name, frames) for pair in pairs}
    lost = [name for name, place in placed.items() if place is None]
    if lost:
        raise DataError(
            f"Which slice and which frame are these images of? {listed(lost)}. Names may say it, as slice03_frame12 "
            "does; for numbers that run through all frames of one slice, then of the next, say how many frames a slice "
            "has: --frames 20, or --frames 1 where numbers are slices."
        )
    places = {name: place for name, place in placed.items() if place is not None}
    moments = _sorted_into(pairs, lambda pair: places[pair.name][1])
    for moment, members in moments.items():
        ordered = tuple(sorted(members, key=lambda pair: places[pair.name][0]))
        name = members[0].group if len(moments) == 1 else f"{members[0].group}, frame {moment}"
        yield Frame(name, moment, ordered, None)


def _place(name: str, frames: int | None) -> tuple[int, int] | None:
    """The slice and the frame of a single image."""
    if frames is not None:
        last = _LAST_NUMBER.search(name)
        return None if last is None else ((int(last[1]) - 1) // frames, (int(last[1]) - 1) % frames + 1)
    of_slice = _SLICE.search(name)
    return None if of_slice is None else (int(of_slice[1]), _number(name) or 1)


def _number(name: str) -> int | None:
    """Of the frame that a name says it is."""
    found = _FRAME.search(name)
    return int(found[1]) if found else None


def _sorted_into(pairs: Sequence[Pair], by: Callable[[Pair], Key]) -> dict[Key, list[Pair]]:
    found: dict[Key, list[Pair]] = defaultdict(list)
    for pair in pairs:
        found[by(pair)].append(pair)
    return dict(found)
