"""Contours as the left-ventricle challenge of MICCAI 2009 takes them: a text file for each contour, "x y" a line.

SLICE-icontour-auto.txt is the endocardium, SLICE-ocontour-auto.txt the epicardium, SLICE the name of the DICOM file
that was drawn on. Places are in pixels, (0, 0) the middle of the first one, as images/contour.py reads them: the
challenge does not say. A file holds one closed polygon; of a region in several pieces it is the largest, without its
holes.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ushape.atomic import output_error
from ushape.images.dicom import slice_name
from ushape.images.dicom_file import is_dicom
from ushape.images.source import Page
from ushape.images.zarr import is_store
from ushape.interchange.subpixel import SmoothPolygon

Side = Literal["endocardium", "epicardium"]
SIDES: dict[Side, str] = {"endocardium": "i", "epicardium": "o"}
"""How a file's name says which contour it is."""


@contextmanager
def sunnybrook_folder(folder: Path) -> Iterator[SunnybrookFolder]:
    """A SunnybrookFolder to add pages to; on a clean end it takes the place of `folder`.

    OutputError where it cannot be written.
    """
    stage = folder.parent / f".ushape-{uuid.uuid4().hex[:12]}.part"
    try:
        stage.mkdir()
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        yield SunnybrookFolder(stage, folder)
        _move(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


class SunnybrookFolder:
    """Contours, written to a folder of their own until all are there."""

    def __init__(self, stage: Path, folder: Path) -> None:
        self._stage, self._folder = stage, folder

    def add(self, page: Page, side: Side, pieces: Sequence[SmoothPolygon]) -> None:
        """The contour of one side on a page; no file where there are no pieces."""
        if not pieces:
            return
        largest = max(pieces, key=lambda piece: piece.area_px)
        lines = "".join(f"{x - 0.5:.2f} {y - 0.5:.2f}\n" for y, x in largest.outer.tolist())
        try:
            (self._stage / f"{_drawn_on(page)}-{SIDES[side]}contour-auto.txt").write_text(lines, encoding="ascii")
        except OSError as error:
            raise output_error(self._folder, error) from error


def _drawn_on(page: Page) -> str:
    """What a contour on this page is called after."""
    of_series = page.path.is_dir() and not is_store(page.path)
    return slice_name(page.path, page.index) if of_series or is_dicom(page.path) else page.name


def _move(stage: Path, folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
        os.rename(stage, folder)
    except OSError as error:
        raise output_error(folder, error) from error
