"""survey(root) → the annotated images of a folder as it lies, and everything that is wrong with it, at once.

Who answers what:

    layouts.py        which files belong together, told from their names       (bids.py, two_folders.py, names.py)
    groups.py         which images belong together
    inspection.py     what the images hold
    annotation.py     what the masks mean                                       (a second step: annotate(survey))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ushape.data.drawings import drawn_names
from ushape.data.found import Found, Match
from ushape.data.grids import grid_faults
from ushape.data.groups import grouped, grouped_by, merged
from ushape.data.inspection import SIDES, ImageFacts, copies, inspected, times
from ushape.data.layouts import recognise
from ushape.data.names import IMAGE_FOLDERS, folder_word
from ushape.data.orphans import closed, nothing, only_one, orphans, unread
from ushape.data.pair import Fault, MaskFile, Merge, Pair, counted, error, every_error, listed
from ushape.data.tree import list_tree
from ushape.errors import DataError, ImageError
from ushape.images.source import Page, pages_of
from ushape.images.suffix import stem_of
from ushape.images.zarr import is_store

__all__ = ["Fault", "ImageFacts", "MaskFile", "Merge", "Pair", "Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """A folder as it lies.

    layout, grouping: in words. images: facts by pair name, of images that can be read. unpaired: images without masks,
    and masks without images. notes: what was left alone, and why. value_names: what the layout calls mask values.
    """

    root: Path
    layout: str
    pairs: tuple[Pair, ...]
    faults: tuple[Fault, ...]
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    unpaired: tuple[Path, ...] = ()
    grouping: str = "none"
    notes: tuple[str, ...] = ()
    value_names: Mapping[int, str] = field(default_factory=dict)

    def require(self) -> None:
        """Raise DataError with every error at once, where there is one."""
        if message := every_error(self.faults, self.root):
            raise DataError(message)

    def summary(self) -> list[tuple[str, str]]:
        """What is in the folder, as (label, text) lines to print."""
        facts = list(self.images.values())
        lines = [("layout", self.layout), ("images", _number_of_images(self.pairs))]
        if facts:
            lines += [
                ("size", _kinds([times(f.shape) for f in facts], "sizes", SIDES[len(facts[0].shape)])),
                ("channels", _kinds([_channels(f) for f in facts], "kinds")),
                ("pixels", _kinds([f.dtype for f in facts], "types")),
            ]
        if spacings := {" x ".join(f"{n:.4g}" for n in f.spacing) + " µm" for f in facts if f.spacing}:
            lines.append(("pixel size", listed(sorted(spacings), most=4)))
        lines.append(("groups", self.grouping))
        return lines + [("note", note) for note in self.notes]


def survey(root: Path, *, include: str = "*", group_by: str | None = None, axes: int = 2) -> Survey:
    """What lies below root. Raises DataError only where root is no folder; all else is among the faults.

    include: patterns of image names such as "SC-HF-*,SC-N-0?", separated by commas. group_by: a regular expression
    whose first group, or whole match, in an image's name is what the image belongs to. axes: 2 to take every page of a
    file for an image, 3 to take its slices together for a volume.
    """
    tree = list_tree(root)
    found = recognise(tree, root)
    if found is None:
        return Survey(root, "not recognised", (), (*closed(tree), nothing(tree)))
    drafts, faults = _pairs(found, root, include, axes)
    pairs = [pair for pair in drafts if _included(pair.name, include)]
    alone = [path for path in found.images_alone if _included(stem_of(path), include)]
    masks_alone = [path for path in found.masks_alone if include == "*" or _included(stem_of(path), include)]
    faults = [*closed(tree), *found.faults, *faults, *orphans(drafts, alone, masks_alone), *unread(tree)]
    if drafts and not pairs:
        faults.append(_none_included(include, drafts))
    if group_by:
        together, grouping, group_faults = grouped_by(pairs, group_by)
        faults += group_faults
    else:
        together, grouping = grouped(pairs, found.grouping)
    images, image_faults = inspected(together)
    drawn, drawing_faults = drawn_names(together)
    if len(together) == 1:
        faults.append(only_one(together[0]))
    return Survey(
        root=root,
        layout=found.layout,
        pairs=merged(together, copies(together, images)),
        faults=(*faults, *image_faults, *grid_faults(together), *drawing_faults),
        images=images,
        unpaired=(*alone, *masks_alone),
        grouping=grouping,
        notes=found.notes,
        value_names=found.value_names or drawn,
    )


def has_masks(root: Path) -> bool:
    """Whether a folder holds masks, by the names in it; what they are, and whether they fit, `survey` tells."""
    if not root.is_dir() or is_store(root):
        return False
    found = recognise(list_tree(root), root)
    return found is not None and bool(found.matches or found.masks_alone)


def _pairs(found: Found, root: Path, include: str, axes: int) -> tuple[list[Pair], list[Fault]]:
    """A pair for every page of every match, each with a name of its own; and what is wrong with those included."""
    pairs: list[Pair] = []
    faults: list[Fault] = []
    stems = Counter(stem_of(match.image) for match in found.matches)
    for match in found.matches:
        places = [part for part in match.image.relative_to(root).parent.parts if folder_word(part) not in IMAGE_FOLDERS]
        prefix = "".join(f"{place}_" for place in places if stems[stem_of(match.image)] > 1)
        wrong: list[Fault] = []
        pairs += _paged(match, prefix, wrong, axes)
        name = prefix + stem_of(match.image)
        faults += wrong if _included(name, include) or _included(f"{name}_000", include) else []
    return pairs, faults


def _paged(match: Match, prefix: str, faults: list[Fault], axes: int) -> list[Pair]:
    """A pair per page of the image file, or per volume; none, and a fault more, where that cannot be."""
    files = [match.image, *(path for path, _ in match.masks), *([match.valid] if match.valid else [])]
    page_lists = [_pages(path, faults, axes) for path in files]
    if not all(page_lists):
        return []
    image = page_lists[0]
    for path, found in zip(files[1:], page_lists[1:], strict=True):
        if len(found) != len(image):
            faults.append(
                error(
                    f"{path} has {counted(len(found), 'page')}, but its image {match.image} has {len(image)}. "
                    "A stack needs as many pages of masks as of images, in the same order.",
                    [match.image, path],
                )
            )
            return []
    classes = [name for _, name in match.masks]
    return [
        Pair(
            name=prefix + page.name,
            image=page,
            masks=tuple(MaskFile(page_lists[1 + k][page.index], name) for k, name in enumerate(classes)),
            valid=page_lists[-1][page.index] if match.valid else None,
            group=match.group or "",
            merge=match.merge,
        )
        for page in image
    ]


def _pages(path: Path, faults: list[Fault], axes: int) -> list[Page]:
    try:
        return pages_of(path, axes)
    except ImageError as damage:
        faults.append(error(str(damage), [path]))
        return []


def _included(name: str, include: str) -> bool:
    return any(fnmatchcase(name, pattern.strip()) for pattern in include.split(","))


def _none_included(include: str, pairs: Sequence[Pair]) -> Fault:
    names = listed((pair.name for pair in pairs), most=4)
    return error(f"No image is called like {include!r}; there are {names}. * stands for any letters, ? for one.")


def _number_of_images(pairs: Sequence[Pair]) -> str:
    files = {pair.image.path for pair in pairs}
    stacks = {pair.image.path for pair in pairs if pair.image.pages > 1}
    inside = f", pages of {counted(len(stacks), 'file')}" if stacks else ""
    masks = sum(len(pair.masks) for pair in pairs)
    drawn = f" with {counted(masks, 'mask')}" if masks != len(pairs) else ""
    return f"{len(pairs)} annotated{inside if len(stacks) == len(files) else ''}{drawn}"


def _kinds(values: Sequence[str], noun: str, explained: str = "") -> str:
    """How often each value occurs; just the value where it is the only one."""
    often = Counter(values).most_common()
    explained = f" ({explained})" if explained else ""
    if len(often) == 1:
        return often[0][0] + explained
    return f"{len(often)} {noun}: {listed((f'{number} of {value}' for value, number in often), most=4)}{explained}"


def _channels(facts: ImageFacts) -> str:
    if facts.channels == 1:
        return "1 (grey)"
    return f"{facts.channels}, all equal (grey)" if facts.grey else str(facts.channels)
