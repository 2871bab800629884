"""nnU-Net's imagesTr/ and labelsTr/ with dataset.json: the names of the labels, and channels as files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ushape.data.found import Found
from ushape.data.pair import Fault, counted, warning
from ushape.data.tree import Tree
from ushape.data.two_folders import two_folders
from ushape.images.suffix import stem_of

_ABOUT = "dataset.json"
_LARGEST_BYTES = 1 << 24
_FURTHER_CHANNEL = re.compile(r".+_(?!0000)\d{4}")


def nnunet(tree: Tree, folder: Path) -> Found | None:
    """imagesTr/case_0000 with labelsTr/case; labels are called as dataset.json calls them."""
    if not (folder / _ABOUT).is_file() or not (folder / "imagesTr").is_dir():
        return None
    found = two_folders(tree, folder)
    if found is None:
        return None
    names, faults = _label_names(folder / _ABOUT)
    channels = [path for path in found.images_alone if _FURTHER_CHANNEL.fullmatch(stem_of(path))]
    notes = found.notes
    if channels:
        notes += (
            f"{counted(len(channels), 'file')} of further channels (_0001 …) are left alone: an image is read from one "
            "file, here the first channel (_0000). To train on all, save them as channels of one file.",
        )
    return replace(
        found,
        layout=f"nnU-Net: {found.layout}",
        images_alone=tuple(path for path in found.images_alone if path not in channels),
        faults=(*found.faults, *faults),
        notes=notes,
        value_names=names,
    )


def _label_names(path: Path) -> tuple[Mapping[int, str], list[Fault]]:
    """Names by value: "labels" is name → value in the second version of nnU-Net, value → name in the first."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("the file is too large")
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        pairs = [(value, name) if _is_number(value) else (name, value) for name, value in labels.items()]
        return {int(value): str(name) for value, name in pairs if _is_number(value)}, []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{path} has no labels that we can read ({type(error).__name__}); classes are named after their values."
        return {}, [warning(f"{why} Its “labels” should be like {{'background': 0, 'heart': 1}}.", [path])]


def _is_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())
