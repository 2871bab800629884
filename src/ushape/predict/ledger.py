"""OUT/.ushape-prediction: which masks in a folder are complete, what made them, and what there is of unfinished ones.

`images.jsonl` gains a line for each image that is begun and for each that is complete; the last line of an image holds.
`unfinished/STEM/PAGE` is what there is of a page (unfinished.py), until its image is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ushape.atomic import output_error
from ushape.data.pair import listed
from ushape.errors import CheckpointError, OutputError
from ushape.images.source import Page
from ushape.images.suffix import stem_of
from ushape.predict.conditions import Conditions, differences, fingerprint

FOLDER = ".ushape-prediction"
_LISTED = 5  # images with the same trouble, by name


@dataclass(frozen=True)
class Entry:
    """The last that was noted of an image. written: what is known of its masks, once they are complete."""

    image: list[list[Any]]  # Any: JSON, as `fingerprint` gives it
    made_by: Conditions
    written: Mapping[str, Any] | None = None


class Ledger:
    """Of one folder of masks, for a prediction with these conditions.

    resume: whether what is there may be gone on from; else it is begun anew.
    """

    def __init__(self, out: Path, made_by: Conditions, *, resume: bool) -> None:
        self.out, self.made_by, self.resume = out, made_by, resume
        self._folder = out / FOLDER
        self._entries = self._read()

    def complete(self, made: Mapping[Path, Sequence[Path]]) -> dict[Path, Mapping[str, Any]]:
        """Of the images to predict, with the files to be made of each, those whose files are complete already.

        CheckpointError, with every difference, where images were begun with another network, other settings, or were
        others themselves; OutputError for files of which nothing is noted.
        """
        if not self.resume:
            return {}
        found: dict[Path, Mapping[str, Any]] = {}
        otherwise: dict[str, list[str]] = {}
        unknown: list[str] = []
        for image, files in made.items():
            entry, there = self._entries.get(stem_of(image)), [path for path in files if path.exists()]
            if entry is None:
                unknown += [str(path) for path in there]
                continue
            different = list(differences(entry.made_by, self.made_by))
            if entry.image != fingerprint(image):
                different.append("the image itself has changed")
            if different:
                otherwise.setdefault("; ".join(different), []).append(image.name)
            elif entry.written is not None and len(there) == len(files):
                found[image] = entry.written
        self._refuse(otherwise, unknown)
        return found

    def begin(self, image: Path) -> None:
        """Note that files of an image are going to be there."""
        self._note(image, None)

    def finish(self, image: Path, written: Mapping[str, Any]) -> None:
        """Note that all files of an image are complete; what was kept while they were made goes."""
        self._note(image, written)
        self.forget(image)

    def forget(self, image: Path) -> None:
        """Nothing is left of what an image's masks are made from."""
        shutil.rmtree(self._unfinished / stem_of(image), ignore_errors=True)
        with suppress(OSError):  # others are unfinished, or there was nothing
            self._unfinished.rmdir()

    def place_of(self, page: Page) -> Path:
        """Where the answer for a page is kept while it is made; the folder above is there."""
        return self._made(self._unfinished / stem_of(page.path)) / str(page.index)

    def files_of(self, image: Path) -> Path:
        """A folder, with nothing in it, for an image's files until all are complete."""
        folder = self._unfinished / stem_of(image) / "files"
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process left
        return self._made(folder)

    def require_nothing_begun(self, images: Sequence[Path]) -> None:
        """OutputError where a prediction of one of these images was begun here, and is neither gone on with nor
        to be replaced.
        """
        begun = [image.name for image in images if (self._unfinished / stem_of(image)).is_dir()]
        if begun:
            raise OutputError(
                f"{self.out} holds what was predicted so far of {listed(begun, most=_LISTED)}. Go on with --resume, "
                "or begin anew with --overwrite."
            )

    @staticmethod
    def _made(folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        return folder

    @property
    def _unfinished(self) -> Path:
        return self._folder / "unfinished"

    def _note(self, image: Path, written: Mapping[str, Any] | None) -> None:
        stem, entry = stem_of(image), Entry(fingerprint(image), self.made_by, written)
        line = json.dumps({"stem": stem, **vars(entry)}, ensure_ascii=True) + "\n"
        place = self._folder / "images.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with place.open("ab+") as file:
                if file.tell() and not _ends_with_line(file):
                    line = "\n" + line  # what a crash left of a line is one that nobody can read
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(place, error) from error
        self._entries[stem] = entry

    def _read(self) -> dict[str, Entry]:
        try:
            lines = (self._folder / "images.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise output_error(self._folder, error) from error
        entries = {}
        for line in lines:
            try:
                values = json.loads(line)
                stem = str(values.pop("stem"))
                entries[stem] = Entry(**values)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # cut short: what it told of is done again
        return entries

    def _refuse(self, otherwise: Mapping[str, list[str]], unknown: Sequence[str]) -> None:
        if otherwise:
            told = ". ".join(f"{words} (of {listed(names, most=_LISTED)})" for words, names in otherwise.items())
            raise CheckpointError(
                f"The prediction in {self.out} was begun otherwise: {told}. Go on with what it was begun with, choose "
                "another --out, or begin anew with --overwrite."
            )
        if unknown:
            raise OutputError(
                f"{self.out} holds files of which is not noted who made them: {listed(unknown, most=_LISTED)}. Choose "
                "another --out, or replace them with --overwrite."
            )


def _ends_with_line(file: Any) -> bool:  # Any: a file that is read and written in binary
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
