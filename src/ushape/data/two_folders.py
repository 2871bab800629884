"""images/ and masks/, whatever the two are called; DRIVE's third folder, the field of view; folders below either."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ushape.data.found import Found, Match, left_alone, name_faults
from ushape.data.names import (
    DRAWN_BY_HAND,
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    REGION_FOLDERS,
    Matching,
    folder_word,
    is_held_back,
    is_training,
    match,
    named,
    names_a_mask,
    without_mask_words,
)
from ushape.data.pair import Fault, counted, error, listed
from ushape.data.tree import Tree
from ushape.images.suffix import stem_of


def two_folders(tree: Tree, folder: Path) -> Found | None:
    """Images in one folder and masks of like names in another."""
    mask_folders, region_folders = _folders_of_masks(tree, folder)
    choices = [
        _Choice.of(tree, images, masks, folder)
        for images in _folders_of_images(tree, folder, {*mask_folders, *region_folders})
        for masks in mask_folders
    ]
    if not choices:
        return None
    most = max(choice.pairs for choice in choices)
    best = [choice for choice in choices if choice.pairs == most]
    chosen = best[0]
    if not most and folder_word(chosen.images.name) not in IMAGE_FOLDERS:
        return None
    found = _with_regions(tree, chosen.found(), chosen.images, region_folders)
    notes = left_alone(tree, folder, {chosen.images, chosen.masks, *region_folders})
    faults = (*found.faults, *_strays(chosen), *_doubt(best if most else [], folder))
    return replace(found, faults=faults, notes=notes)


@dataclass(frozen=True)
class _Choice:
    """One folder taken for the images and another for the masks."""

    images: Path
    masks: Path
    matching: Matching
    twice: tuple[tuple[Path, ...], ...]

    @staticmethod
    def of(tree: Tree, images: Path, masks: Path, folder: Path) -> _Choice:
        pictures, twice = named(tree.direct(folder) if images == folder else tree.below(images), images)
        drawn, drawn_twice = named(tree.below(masks), masks)
        matching = match(_for_training(pictures), _for_training(drawn))
        return _Choice(images, masks, matching, (*twice, *drawn_twice))

    @property
    def called(self) -> str:
        """The folder of images as it stands in messages; the current folder has no name."""
        return f"{self.images.name or '.'}/"

    @property
    def pairs(self) -> int:
        return len(self.matching.pairs)

    @property
    def strays(self) -> tuple[Path, ...]:
        """Images without a mask whose name says that they are the mask of another image in their folder."""
        paired = {without_mask_words(stem_of(image)) for image, _ in self.matching.pairs}
        stems = {path: stem_of(path) for path in self.matching.images_alone}
        return tuple(path for path, stem in stems.items() if names_a_mask(stem) and without_mask_words(stem) in paired)

    def found(self) -> Found:
        places = {image: image.relative_to(self.images.parent).parent.as_posix() for image, _ in self.matching.pairs}
        nested = len(set(places.values())) > 1
        strays = self.strays
        return Found(
            layout=f"{self.called} and {self.masks.name}/"
            + f", paired {self.matching.rule}" * bool(self.matching.rule),
            matches=tuple(
                Match(image, ((mask, None),), group=places[image] if nested else None)
                for image, mask in self.matching.pairs
            ),
            images_alone=tuple(path for path in self.matching.images_alone if path not in strays),
            masks_alone=self.matching.masks_alone,
            grouping=f"by folder below {self.called}" if nested else "",
            faults=name_faults(self.matching, self.twice),
        )


def _folders_of_masks(tree: Tree, folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders of masks, and folders that only tell which part of an image counts."""
    masks = tree.called(folder, MASK_FOLDERS)
    regions = tree.called(folder, REGION_FOLDERS)
    if by_hand := [path for path in masks if folder_word(path.name) in DRAWN_BY_HAND]:
        regions += [path for path in masks if folder_word(path.name) in ("mask", "masks")]
        masks = by_hand
    return masks, regions


def _folders_of_images(tree: Tree, folder: Path, taken: set[Path]) -> list[Path]:
    """Folders called like images; where there are none, any other folder, and this one itself."""
    if called_so := tree.called(folder, IMAGE_FOLDERS):
        return called_so
    others = [path for path in tree.children(folder) if path not in taken and not is_held_back(path.name)]
    return others + ([folder] if tree.direct(folder) else [])


def _for_training(names: dict[str, Path]) -> dict[str, Path]:
    """Without what lies in val/ or test/, where something lies in train/."""
    tops = {name: name.split("/")[0] for name in names if "/" in name}
    if not any(is_training(top) for top in tops.values()):
        return names
    return {name: path for name, path in names.items() if not is_held_back(tops.get(name, ""))}


def _with_regions(tree: Tree, found: Found, images: Path, folders: Iterable[Path]) -> Found:
    """Every match with its field of view, where a folder of those has one."""
    for folder in folders:
        names, _ = named((found_match.image for found_match in found.matches), images)
        matching = match(names, named(tree.below(folder), folder)[0])
        regions = dict(matching.pairs)
        matches = tuple(replace(m, valid=regions.get(m.image, m.valid)) for m in found.matches)
        missing = [m.image for m in matches if m.valid is None]
        faults = found.faults
        if missing:
            faults += (
                error(
                    f"{counted(len(missing), 'image')} of {len(matches)} have no field of view in {folder.name}/: "
                    f"{listed(path.name for path in missing)}. Add them, or move {folder.name}/ away.",
                    missing,
                ),
            )
        layout = f"{found.layout}, field of view in {folder.name}/ (0 is ignored)"
        found = replace(found, matches=matches, layout=layout, faults=faults)
    return found


def _strays(chosen: _Choice) -> list[Fault]:
    if not chosen.strays:
        return []
    return [
        error(
            f"{chosen.images} holds {counted(len(chosen.strays), 'file')} that look like masks of its images: "
            f"{listed(path.name for path in chosen.strays)}. Move them out; masks belong in {chosen.masks.name}/.",
            chosen.strays,
        )
    ]


def _doubt(best: list[_Choice], folder: Path) -> list[Fault]:
    if len(best) < 2:
        return []
    ways = listed(f"{choice.called} with {choice.masks.name}/" for choice in best)
    return [
        error(
            f"{folder} can be paired in {len(best)} ways: {ways}. Move the folders that you do not mean out of it.",
            [path for choice in best for path in (choice.images, choice.masks)],
        )
    ]
