"""BIDS derivatives: sub-*/…/X.png, annotated in derivatives/…/sub-*/…/X_seg-axon-manual.png, one file per class."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import permutations
from pathlib import Path

from ushape.data.found import Found, Match
from ushape.data.pair import Fault, Merge, counted, error, listed
from ushape.data.tree import Tree
from ushape.images.suffix import stem_of

_ENTITY = re.compile(r"_(?:seg|label|desc)-(?P<name>[A-Za-z0-9]+)(?:[-_][A-Za-z0-9]+)*")
_WHOLE = re.compile(r"_(?:mask|dseg|seg|label)s?(?:[-_]manual)?")


def subjects(tree: Tree, folder: Path) -> Found | None:
    """sub-*/ with derivatives/…/sub-*/; every subject is a group."""
    images = [path for child in tree.children(folder) if _is_subject(child.name) for path in tree.below(child)]
    masks = [path for path in tree.below(folder / "derivatives") if any(_is_subject(part) for part in path.parts)]
    if not images or not masks:
        return None
    by_image, masks_alone = _claimed(images, masks)
    classes = sorted({name for found in by_image.values() for name in found if name})
    unions = [name for name in classes if any(a + b == name for a, b in permutations(classes, 2))]
    kept = [name for name in classes if name not in unions]
    shown: list[str | None] = [*kept] or [None]
    merge: Merge = "classes" if kept else "values"
    matches, faults = [], []
    for image, found in by_image.items():
        wanted = {name: paths for name, paths in found.items() if name in shown}
        faults += _faults(image, wanted, kept)
        group = next(part for part in image.relative_to(folder).parts if _is_subject(part))
        files = tuple((wanted[name][0], name) for name in shown if name in wanted)
        if files:
            matches.append(Match(image, files, merge, group))
    drawn = f", one file per class: {', '.join(kept)}" if kept else ""
    return Found(
        layout=f"BIDS derivatives: sub-*/ annotated in derivatives/{drawn}",
        matches=tuple(matches),
        images_alone=tuple(image for image in images if image not in by_image),
        masks_alone=tuple(masks_alone),
        grouping="by subject (sub-*)",
        faults=tuple(faults),
        notes=tuple(f"The {name} masks are left alone: they repeat the other classes in one file." for name in unions),
    )


def _is_subject(name: str) -> bool:
    return name.startswith("sub-")


def _claimed(images: list[Path], masks: list[Path]) -> tuple[dict[Path, dict[str | None, list[Path]]], list[Path]]:
    """Images with their masks by class (None: the file shows all classes), and masks of no image."""
    by_image: dict[Path, dict[str | None, list[Path]]] = {}
    alone = []
    by_stem = {stem_of(image): image for image in images}
    for mask in masks:
        stem = stem_of(mask)
        cuts = [stem[:end] for end in range(len(stem), 0, -1) if stem[end : end + 1] in ("_", "")]
        image = next((by_stem[cut] for cut in cuts if cut in by_stem), None)
        rest = stem[len(stem_of(image)) :] if image else ""
        entity = _ENTITY.fullmatch(rest)
        if image is None or not (entity or rest == "" or _WHOLE.fullmatch(rest)):
            alone.append(mask)
            continue
        name = entity["name"] if entity else None
        by_image.setdefault(image, defaultdict(list))[name].append(mask)
    return {image: by_image[image] for image in images if image in by_image}, alone


def _faults(image: Path, found: dict[str | None, list[Path]], classes: list[str]) -> list[Fault]:
    faults = []
    missing = [name for name in classes if name not in found]
    if missing:
        faults.append(
            error(
                f"{image} lacks {counted(len(missing), 'mask')} that other images have: {', '.join(missing)}. "
                "Draw it, or leave the image out.",
                [image],
            )
        )
    for name, paths in found.items():
        if len(paths) > 1:
            which = f"of {name}" if name else ""
            faults.append(
                error(
                    f"{image} has {len(paths)} masks {which} ({listed(map(str, paths))}); keep one of them.",
                    [image, *paths],
                )
            )
    return faults
