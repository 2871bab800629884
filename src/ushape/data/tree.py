"""The image files below a folder, listed once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ushape.data.names import IMAGE_FOLDERS, MASK_FOLDERS, folder_word, natural
from ushape.errors import DataError
from ushape.images.contour import is_contour
from ushape.images.dicom import is_series
from ushape.images.source import SUFFIXES
from ushape.images.suffix import suffix_of
from ushape.images.zarr import is_store

FOREIGN = {
    ".n5": "N5", ".h5": "HDF5", ".hdf5": "HDF5", ".mat": "MATLAB", ".npz": "NumPy archive",
    ".czi": "Zeiss CZI", ".lif": "Leica LIF", ".nd2": "Nikon ND2", ".oib": "Olympus OIB", ".oif": "Olympus OIF",
    ".vsi": "Olympus VSI", ".ndpi": "Hamamatsu NDPI", ".mrxs": "MIRAX", ".ims": "Imaris",
    ".webp": "WebP", ".jp2": "JPEG 2000", ".heic": "HEIC", ".pgm": "PGM", ".ppm": "PPM",
}  # fmt: skip
"""Image formats that people have and we do not read, so that they can be named."""


@dataclass(frozen=True)
class Tree:
    """What `list_tree` found: readable files and folders per folder, files of formats we do not read, folders that we
    may not list, and contours in text files."""

    root: Path
    files: dict[Path, tuple[Path, ...]]
    folders: dict[Path, tuple[Path, ...]]
    foreign: tuple[Path, ...]
    closed: tuple[Path, ...]
    contours: tuple[Path, ...] = ()

    def direct(self, folder: Path) -> tuple[Path, ...]:
        """Readable files that lie in the folder itself."""
        return self.files.get(folder, ())

    def below(self, folder: Path) -> tuple[Path, ...]:
        """Readable files in the folder and everywhere below it."""
        inner = (path for child in self.folders.get(folder, ()) for path in self.below(child))
        return (*self.direct(folder), *inner)

    def children(self, folder: Path) -> list[Path]:
        """Folders directly inside, in the order of counting, that hold readable files at any depth."""
        return [child for child in self.folders.get(folder, ()) if self.holds_any(child)]

    def called(self, folder: Path, words: frozenset[str]) -> list[Path]:
        """Those of the children whose name is one of these words."""
        return [child for child in self.children(folder) if folder_word(child.name) in words]

    def holds_any(self, folder: Path) -> bool:
        """Whether readable files lie in the folder or below it."""
        drawn = any(path.parent == folder for path in self.contours)
        return (
            bool(self.direct(folder)) or drawn or any(self.holds_any(child) for child in self.folders.get(folder, ()))
        )


def list_tree(root: Path) -> Tree:
    """Everything below root except hidden files and folders; DataError where root is no folder."""
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {found}; name the folder that holds images and masks, such as images/ and masks/.")
    closed: list[Path] = []
    files: dict[Path, tuple[Path, ...]] = {}
    folders: dict[Path, tuple[Path, ...]] = {}
    foreign: list[Path] = []
    contours: list[Path] = []
    for folder, inner, names in _walk(root, closed):
        readable = [name for name in names if suffix_of(Path(name)) in SUFFIXES or (folder / name).is_dir()]
        readable = [name for name in readable if not format_of(name)]
        files[folder] = tuple(folder / name for name in sorted(readable, key=natural))
        folders[folder] = tuple(folder / name for name in inner)
        places = [folder, *(folder / name for name in names if (folder / name).is_dir())]
        contours += [path for place in places for path in sorted(place.glob("*contour*.txt")) if is_contour(path)]
        foreign += [folder / name for name in sorted(names, key=natural) if format_of(name)]
    return Tree(root, files, folders, tuple(foreign), tuple(closed), tuple(contours))


def format_of(name: str) -> str | None:
    """The name of a format that we know of and do not read.

    >>> format_of("slide.ndpi"), format_of("notes.txt")
    ('Hamamatsu NDPI', None)
    """
    return next((known for suffix, known in FOREIGN.items() if name.lower().endswith(suffix)), None)


def _walk(root: Path, closed: list[Path]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder with the folders and the files in it; those that cannot be listed go to `closed`.

    A Zarr store is a folder, but counts as one file, and so does a DICOM series.
    """
    seen: set[str] = set()
    walk = os.walk(root, onerror=lambda refusal: closed.append(Path(str(refusal.filename))), followlinks=True)
    for folder, inner, names in walk:
        true_place = os.path.realpath(folder)
        if true_place in seen:  # links may lead in circles
            inner.clear()
            continue
        seen.add(true_place)
        stores = [n for n in inner if format_of(n) or is_store(Path(folder, n)) or _is_volume(Path(folder), n)]
        inner[:] = sorted((n for n in inner if not n.startswith(".") and n not in stores), key=natural)
        yield Path(folder), list(inner), [name for name in (*names, *stores) if not name.startswith(".")]


def _is_volume(parent: Path, name: str) -> bool:
    """Whether a folder is a DICOM series; slices in folders called images or masks are images of their own."""
    called = folder_word(name)
    if called in IMAGE_FOLDERS or called in MASK_FOLDERS or name.startswith("."):
        return False
    with suppress(OSError):  # folders that we may not list are told of when they are walked
        return is_series(parent / name)
    return False
