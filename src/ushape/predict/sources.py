"""Folders, files and patterns → the images there, every page of a stack."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from ushape.errors import ImageError
from ushape.images.dicom import is_series
from ushape.images.source import SUFFIXES, Page, is_image, pages_of, source_of
from ushape.images.zarr import is_store


def find_images(places: Iterable[str], *, axes: int = 2) -> list[Page]:
    """The images of folders, files and patterns (`*.tif`), every page of a stack, in the order of their names; for a
    network that sees 3 axes, the volumes.

    Raises ImageError, naming every place that holds none and every file that cannot be opened.
    """
    faults: list[str] = []
    files: dict[str, Path] = {}  # by absolute path: what two places share is predicted once
    for place in places:
        try:
            files |= {os.path.abspath(file): file for file in _files_in(place)}
        except ImageError as error:
            faults.append(str(error))
    found: list[Page] = []
    for file in files.values():
        try:
            in_file = pages_of(file, axes)
            source_of(in_file[0])
            found += in_file
        except ImageError as error:
            faults.append(str(error))
    if faults:
        raise ImageError("\n".join(faults))
    return found


def _files_in(place: str) -> list[Path]:
    path, kinds = Path(place), " ".join(sorted(SUFFIXES))
    try:
        if path.is_dir() and is_series(path):
            return [path]
        if path.is_dir() and not is_store(path):
            inside = sorted(f for f in path.iterdir() if is_image(f) and not f.name.startswith("."))
            if not inside:
                raise ImageError(
                    f"{place}: no image there of a kind we read ({kinds}); folders within it are not searched. "
                    "Name the folder that holds the images."
                )
            return inside
        if path.exists():
            return [path]
        matching = sorted(f for f in map(Path, glob.glob(place)) if is_image(f))
    except OSError as error:
        raise ImageError(f"{place} cannot be looked into: {error.strerror}. Check that you may read it.") from error
    if not matching:
        raise ImageError(f"{place}: no image there, by this name or pattern; we read {kinds}. Check the name.")
    return matching
