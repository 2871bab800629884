"""The structures of DICOM-SEG and RTSTRUCT files, which all masks of a folder must share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ushape.data.pair import Fault, Pair, error, listed
from ushape.errors import ImageError
from ushape.images.dicom_drawing import drawing_names
from ushape.images.dicom_file import drawing_kind


def drawn_names(pairs: Sequence[Pair]) -> tuple[Mapping[int, str], list[Fault]]:
    """Names by value, of folders whose masks are such files; and an error where their structures differ."""
    names: dict[Path, tuple[str, ...]] = {}
    for path in dict.fromkeys(mask.page.path for pair in pairs for mask in pair.masks):
        if drawing_kind(path):
            try:
                names[path] = drawing_names(path)
            except ImageError:
                continue  # told of where its pages are counted
    if not names:
        return {}, []
    usual = Counter(names.values()).most_common(1)[0][0]
    odd = {path: found for path, found in names.items() if found != usual}
    if odd:
        found = listed((f"{path.name} ({', '.join(names)})" for path, names in odd.items()), most=4)
        return {}, [
            error(
                f"Drawings hold different structures: most have {', '.join(usual)}, but not {found}. Export the same "
                "structures, under the same names, for every patient.",
                odd,
            )
        ]
    return {0: "background"} | dict(enumerate(usual, start=1)), []
