"""Contours in text files beside DICOM slices, as the Sunnybrook Cardiac Data have them; every patient is a group."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ushape.data.found import Found, Match
from ushape.data.pair import Fault, counted, error
from ushape.data.tree import Tree
from ushape.errors import ImageError
from ushape.images.contour import inner_of, is_outer, slice_of

_BETWEEN = ("contour", "expert", "manual")
"""Folders called so lie between a patient's and the contours."""


def contours(tree: Tree, folder: Path) -> Found | None:
    """PATIENT/…/IM-0001-0048.dcm with PATIENT/…/IM-0001-0048-icontour-manual.txt."""
    drawn = [path for path in tree.contours if path.is_relative_to(folder)]
    if not drawn:
        return None
    on: dict[Path, list[Path]] = defaultdict(list)
    faults: list[Fault] = []
    for path in drawn:
        try:
            on[slice_of(path)].append(path)
        except ImageError as lost:
            faults.append(error(str(lost), [path]))
    both = {image for image, paths in on.items() if any(is_outer(path) and inner_of(path) for path in paths)}
    nested = len(both) == len(on) and bool(on)
    matches = []
    for image, paths in on.items():
        chosen = [path for path in paths if is_outer(path) == nested]
        if len(chosen) > 1:
            faults.append(error(f"{image} has {len(chosen)} contours of a kind; keep one of them.", [image, *chosen]))
        if chosen:
            matches.append(Match(image, ((chosen[0], None),), group=_patient(chosen[0])))
    names = {0: "background", 1: "myocardium", 2: "cavity"} if nested else {0: "background", 1: "cavity"}
    return Found(
        layout=f"contours beside DICOM slices, {'epicardial and endocardial' if nested else 'endocardial'}",
        matches=tuple(matches),
        grouping="by patient's folder",
        faults=tuple(faults),
        notes=_notes(nested, len(both), len(on)),
        value_names=names,
    )


def _notes(nested: bool, both: int, every: int) -> tuple[str, ...]:
    if nested or not both:
        return ()
    return (
        f"{both} of {counted(every, 'slice')} have an epicardial contour too. Where one is missing nobody knows the "
        "myocardium, so the cavity alone is learned; to learn both, leave out the slices without.",
    )


def _patient(contour: Path) -> str:
    """The nearest folder that is not called after the contours."""
    inner = (above.name for above in contour.parents if not any(word in above.name.casefold() for word in _BETWEEN))
    return next(inner, contour.parent.name)
