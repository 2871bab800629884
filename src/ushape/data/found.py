"""What a layout makes of a folder: which files belong together, before any of them is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ushape.data.names import MASK_FOLDERS, Matching, folder_word, names_a_mask
from ushape.data.pair import Fault, Merge, counted, error, listed
from ushape.data.tree import Tree
from ushape.images.suffix import stem_of


@dataclass(frozen=True)
class Match:
    """An image file and the files that annotate it, each with the class it shows where it shows only one.

    group: what the image belongs to, where the folder says so. valid: the file of its field of view.
    """

    image: Path
    masks: tuple[tuple[Path, str | None], ...]
    merge: Merge = "values"
    group: str | None = None
    valid: Path | None = None


@dataclass(frozen=True)
class Found:
    """A recognised layout, in words, and everything in it.

    grouping: in words, where the folder itself says what belongs together. notes: what was left alone, and why.
    value_names: what mask values are called, where the layout says so.
    """

    layout: str
    matches: tuple[Match, ...]
    images_alone: tuple[Path, ...] = ()
    masks_alone: tuple[Path, ...] = ()
    grouping: str = ""
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    value_names: Mapping[int, str] = field(default_factory=dict)


def combined(layout: str, grouping: str, parts: Iterable[Found]) -> Found:
    """Several parts of one folder as one."""
    every = list(parts)
    return Found(
        layout=layout,
        matches=tuple(match for part in every for match in part.matches),
        images_alone=tuple(path for part in every for path in part.images_alone),
        masks_alone=tuple(path for part in every for path in part.masks_alone),
        grouping=grouping,
        faults=tuple(fault for part in every for fault in part.faults),
        notes=tuple(note for part in every for note in part.notes),
    )


def left_alone(tree: Tree, folder: Path, used: set[Path]) -> tuple[str, ...]:
    """A note on each folder of images, directly inside this one, that the layout has no use for."""
    notes = []
    for child in tree.children(folder):
        if child in used:
            continue
        images = tree.below(child)
        if any(marks_a_mask(path, folder) for path in images):
            notes.append(f"{child.name}/ has masks of its own and is left alone: point at it to score or train on it.")
        else:
            notes.append(f"{child.name}/ ({counted(len(images), 'image')}) has no masks and is left alone.")
    return tuple(notes)


def name_faults(matching: Matching, twice: Iterable[tuple[Path, ...]]) -> tuple[Fault, ...]:
    """Files that share a name, and images that several masks claim."""
    return (
        *(
            error(
                f"{files[0].parent / stem_of(files[0])} is there {len(files)} times: {_names(files)}. "
                "Keep one of them.",
                files,
            )
            for files in twice
        ),
        *(
            error(f"{image} could have any of {len(masks)} masks: {_names(masks)}. Keep one of them.", (image, *masks))
            for image, *masks in matching.several
        ),
    )


def marks_a_mask(path: Path, below: Path) -> bool:
    """Whether a file, or a folder that it lies in, is called like a mask."""
    inner = path.relative_to(below)
    return names_a_mask(stem_of(path)) or any(folder_word(part) in MASK_FOLDERS for part in inner.parent.parts)


def _names(files: Iterable[Path]) -> str:
    return listed(path.name for path in files)
