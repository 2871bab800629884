"""The image files below a folder, listed once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ushape.data.names import folder_word, natural
from ushape.errors import DataError
from ushape.images.source import SUFFIXES
from ushape.images.zarr import is_store

FOREIGN = {
    ".nii": "NIfTI", ".nii.gz": "NIfTI", ".dcm": "DICOM", ".mha": "MetaImage", ".mhd": "MetaImage", ".nrrd": "NRRD",
    ".n5": "N5", ".h5": "HDF5", ".hdf5": "HDF5", ".mat": "MATLAB", ".npz": "NumPy archive",
    ".czi": "Zeiss CZI", ".lif": "Leica LIF", ".nd2": "Nikon ND2", ".oib": "Olympus OIB", ".oif": "Olympus OIF",
    ".vsi": "Olympus VSI", ".ndpi": "Hamamatsu NDPI", ".mrxs": "MIRAX", ".ims": "Imaris",
    ".webp": "WebP", ".jp2": "JPEG 2000", ".heic": "HEIC", ".pgm": "PGM", ".ppm": "PPM",
}  # fmt: skip
"""Image formats that people have and we do not read, so that they can be named."""


@dataclass(frozen=True)
class Tree:
    """What `list_tree` found: readable files and folders per folder, files of formats we do not read, and folders that
    we may not list."""

    root: Path
    files: dict[Path, tuple[Path, ...]]
    folders: dict[Path, tuple[Path, ...]]
    foreign: tuple[Path, ...]
    closed: tuple[Path, ...]

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
        return bool(self.direct(folder)) or any(self.holds_any(child) for child in self.folders.get(folder, ()))


def list_tree(root: Path) -> Tree:
    """Everything below root except hidden files and folders; DataError where root is no folder."""
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {found}; name the folder that holds images and masks, such as images/ and masks/.")
    closed: list[Path] = []
    files: dict[Path, tuple[Path, ...]] = {}
    folders: dict[Path, tuple[Path, ...]] = {}
    foreign: list[Path] = []
    for folder, inner, names in _walk(root, closed):
        readable = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
        files[folder] = tuple(folder / name for name in sorted(readable, key=natural))
        folders[folder] = tuple(folder / name for name in inner)
        foreign += [folder / name for name in sorted(names, key=natural) if format_of(name)]
    return Tree(root, files, folders, tuple(foreign), tuple(closed))


def format_of(name: str) -> str | None:
    """The name of a format that we know of and do not read.

    >>> format_of("patient001_frame01.nii.gz"), format_of("notes.txt")
    ('NIfTI', None)
    """
    return next((known for suffix, known in FOREIGN.items() if name.lower().endswith(suffix)), None)


def _walk(root: Path, closed: list[Path]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder with the folders and the files in it; those that cannot be listed go to `closed`.

    A Zarr store is a folder, but counts as one file.
    """
    seen: set[str] = set()
    walk = os.walk(root, onerror=lambda refusal: closed.append(Path(str(refusal.filename))), followlinks=True)
    for folder, inner, names in walk:
        true_place = os.path.realpath(folder)
        if true_place in seen:  # links may lead in circles
            inner.clear()
            continue
        seen.add(true_place)
        stores = [name for name in inner if format_of(name) or is_store(Path(folder, name))]
        inner[:] = sorted((n for n in inner if not n.startswith(".") and n not in stores), key=natural)
        yield Path(folder), list(inner), [name for name in (*names, *stores) if not name.startswith(".")]
