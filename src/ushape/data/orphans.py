"""Files that go with nothing, and folders that hold nothing to train on: what to tell the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ushape.data.found import marks_a_mask
from ushape.data.names import IMAGE_FOLDERS, MASK_FOLDERS, folder_word
from ushape.data.pair import Fault, Pair, counted, error, listed, warning
from ushape.data.tree import Tree, format_of
from ushape.images.source import SUFFIXES


def only_one(pair: Pair) -> Fault:
    """What a single annotated image is worth."""
    return warning(
        f"{pair.name} is the only annotated image: it will be trained on and validated on, which says nothing of other "
        "images. Annotate a second one.",
        [pair.image.path],
    )


def orphans(pairs: Sequence[Pair], images: Sequence[Path], masks: Sequence[Path]) -> list[Fault]:
    """Partial annotation is normal; a mask whose image is missing is work that would be lost unseen."""
    if images and masks and not pairs:
        return [
            error(
                f"None of the {counted(len(images), 'image')} ({_names(images, 3)}) goes with any of the "
                f"{counted(len(masks), 'mask')} ({_names(masks, 3)}). Give each mask the name of its image.",
                [*images, *masks],
            )
        ]
    faults = []
    if images:
        verb = "has" if len(images) == 1 else "have"
        faults.append(
            warning(
                f"{counted(len(images), 'image')} {verb} no mask and will be left out: {_names(images)}. "
                "That is fine if they are not annotated yet; else check the names of their masks.",
                images,
            )
        )
    if masks:
        verb = "has" if len(masks) == 1 else "have"
        faults.append(
            error(
                f"{counted(len(masks), 'mask')} {verb} no image: {_names(masks)}. "
                "Give each the name of its image, or move it away.",
                masks,
            )
        )
    return faults


def unread(tree: Tree) -> list[Fault]:
    """Files of formats that we know of and do not read, beside those we do."""
    if not tree.foreign:
        return []
    return [
        warning(
            f"{_formats(tree)} will be left out ({_names(tree.foreign)}): we read {_readable_formats()}. "
            "Convert them, best to TIFF, if they belong here.",
            tree.foreign,
        )
    ]


def closed(tree: Tree) -> list[Fault]:
    """Folders that may not be listed."""
    return [error(f"The folder {path} cannot be listed. Check that you may read it.", [path]) for path in tree.closed]


def nothing(tree: Tree) -> Fault:
    """Why no layout was recognised."""
    readable = tree.below(tree.root)
    wanted = "Put images into images/ and masks of the same names into masks/."
    if not readable and tree.foreign:
        return error(
            f"{tree.root} holds {_formats(tree)}, such as {tree.foreign[0].name}; that format is not read yet. "
            f"We read {_readable_formats()}. Convert the files, best to TIFF.",
            tree.foreign,
        )
    if not readable:
        return error(f"{tree.root} holds no images; we read {_readable_formats()}. {wanted}")
    above = tree.root.resolve()
    if folder_word(above.name) in IMAGE_FOLDERS and (beside := _folders_of_masks_beside(above)):
        wanted = f"There are masks in {listed(beside)} beside it: name the folder that holds both, {above.parent}."
    masks = [path for path in readable if marks_a_mask(path, tree.root)]
    if len(masks) == len(readable):
        return error(f"{tree.root} holds {counted(len(masks), 'mask')}, but no images. {wanted}", masks)
    places = listed(f"{child.name}/" for child in tree.children(tree.root)) or tree.root.name
    besides = f" ({_formats(tree)} cannot be read yet.)" if tree.foreign else ""
    return error(
        f"{tree.root} holds {counted(len(readable), 'image')} in {places}, but no masks for them that we recognise"
        f"{besides}. {wanted}",
        readable,
    )


def _folders_of_masks_beside(folder: Path) -> list[str]:
    return [f"{p.name}/" for p in sorted(folder.parent.iterdir()) if p.is_dir() and folder_word(p.name) in MASK_FOLDERS]


def _names(paths: Sequence[Path], most: int = 8) -> str:
    return listed((path.name for path in paths), most)


def _readable_formats() -> str:
    return " ".join(sorted(SUFFIXES))


def _formats(tree: Tree) -> str:
    kinds = Counter(format_of(path.name) or "" for path in tree.foreign)
    return ", ".join(f"{counted(number, f'{kind} file')}" for kind, number in kinds.most_common())
