"""Whether a result will find its place: asked before any work, so that hours are not lost at the end."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ushape.atomic import output_error
from ushape.errors import OutputError


def check_place(path: Path, *, overwrite: bool) -> None:
    """Raises OutputError where a file cannot be written at `path`, or is there already and may not be replaced."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; a file cannot take its place. Choose another name.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already. Choose another place, or ask for it to be overwritten.")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise output_error(path, error) from error
