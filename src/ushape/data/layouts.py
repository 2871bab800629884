"""The folders that users have: one function per layout, tree and folder → Found or None, tried in the order of LAYOUTS.

Only names are looked at here; no file is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ushape.data.acdc import acdc
from ushape.data.bids import subjects
from ushape.data.contours import contours
from ushape.data.found import Found, Match, combined, left_alone, name_faults
from ushape.data.names import IMAGE_FOLDERS, MASK_FOLDERS, is_training, match, named, names_a_mask
from ushape.data.nnunet import nnunet
from ushape.data.tree import Tree
from ushape.data.two_folders import two_folders
from ushape.images.suffix import stem_of


def recognise(tree: Tree, folder: Path) -> Found | None:
    """The first layout that the folder has; where there is but one folder in it, that one is opened first."""
    inner = tree.children(folder)
    opened = recognise(tree, inner[0]) if len(inner) == 1 and not tree.direct(folder) else None
    if opened and opened.matches:
        return replace(opened, layout=f"{inner[0].name}/ with {opened.layout}")
    return next((found for layout in LAYOUTS if (found := layout(tree, folder))), opened)


def object_folders(tree: Tree, folder: Path) -> Found | None:
    """images/x.png with masks/x/*.png: one file per object."""
    for masks in tree.called(folder, MASK_FOLDERS):
        drawn = {inner.name.casefold(): tree.direct(inner) for inner in tree.children(masks)}
        for images in tree.called(folder, IMAGE_FOLDERS):
            pictures = {stem_of(path).casefold(): path for path in tree.direct(images)}
            if tree.direct(masks) or not pictures.keys() & drawn.keys():
                continue
            return Found(
                layout=f"{images.name}/x with one file per object in {masks.name}/x/",
                matches=tuple(_object_match(path, drawn[name]) for name, path in pictures.items() if drawn.get(name)),
                images_alone=tuple(path for name, path in pictures.items() if not drawn.get(name)),
                masks_alone=tuple(path for name, paths in drawn.items() if name not in pictures for path in paths),
                notes=left_alone(tree, folder, {images, masks}),
            )
    return None


def training_part(tree: Tree, folder: Path) -> Found | None:
    """train/ beside test/: what is in train/; the rest is left alone."""
    for inner in tree.children(folder):
        if is_training(inner.name) and (found := recognise(tree, inner)):
            notes = (*found.notes, *left_alone(tree, folder, {inner}))
            return replace(found, layout=f"{inner.name}/ with {found.layout}", notes=notes)
    return None


def object_cases(tree: Tree, folder: Path) -> Found | None:
    """ID/images/ID.png with ID/masks/*.png, one file per object (Data Science Bowl 2018 as it lies)."""
    cases = {path: _object_case(tree, path) for path in tree.children(folder)}
    matches = [case for case in cases.values() if case]
    equal_names = sum(stem_of(case.image) in {stem_of(mask) for mask, _ in case.masks} for case in matches)
    if not matches or equal_names > len(matches) // 2:
        return None
    return Found(
        layout="a folder per image: ID/images/ID with one file per object in ID/masks/",
        matches=tuple(matches),
        images_alone=tuple(path for inner, case in cases.items() if not case for path in tree.below(inner)),
    )


def cases(tree: Tree, folder: Path) -> Found | None:
    """A folder per patient, each with images/ and masks/, or with x.png beside x_mask.png."""
    for layout in (two_folders, side_by_side):
        inner = {path: found for path in tree.children(folder) if (found := layout(tree, path))}
        if any(found.matches for found in inner.values()):
            first = next(found for found in inner.values() if found.matches)
            notes = left_alone(tree, folder, set(inner))
            parts = [_grouped(found, path.name) for path, found in inner.items()]
            found = combined(f"a folder per case, each with {first.layout}", "by folder", parts)
            return replace(found, notes=(*found.notes, *notes))
    return None


def side_by_side(tree: Tree, folder: Path) -> Found | None:
    """x.png beside x_mask.png in one folder; train-volume.tif beside train-labels.tif."""
    files, twice = named(tree.direct(folder), folder)
    masks = {name: path for name, path in files.items() if names_a_mask(name)}
    images = {name: path for name, path in files.items() if name not in masks}
    matching = match(images, masks)
    if not matching.pairs and not matching.several:
        return None
    example = next(iter(matching.pairs or matching.several))
    return Found(
        layout=f"masks beside the images ({example[0].name} with {example[1].name})",
        matches=tuple(Match(image, ((mask, None),)) for image, mask in matching.pairs),
        images_alone=matching.images_alone,
        masks_alone=matching.masks_alone,
        faults=name_faults(matching, twice),
        notes=left_alone(tree, folder, set()),
    )


LAYOUTS: tuple[Callable[[Tree, Path], Found | None], ...] = (
    contours,
    acdc,
    nnunet,
    subjects,
    object_folders,
    two_folders,
    training_part,
    object_cases,
    side_by_side,
    cases,
)


def _object_match(image: Path, masks: tuple[Path, ...]) -> Match:
    return Match(image, tuple((mask, None) for mask in masks), "objects")


def _object_case(tree: Tree, folder: Path) -> Match | None:
    """The image of a folder that has one in images/, with whatever lies in masks/."""
    pictures = [path for images in tree.called(folder, IMAGE_FOLDERS) for path in tree.direct(images)]
    masks = [path for drawn in tree.called(folder, MASK_FOLDERS) for path in tree.direct(drawn)]
    return _object_match(pictures[0], tuple(masks)) if len(pictures) == 1 and masks else None


def _grouped(found: Found, group: str) -> Found:
    return replace(found, matches=tuple(replace(m, group=group) for m in found.matches))
