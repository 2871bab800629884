"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ushape.errors import OutputError

_PREFIX, _SUFFIX = ".ushape-", ".part"  # of what is being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder; what was written there is flushed to disk and takes `path`'s place.

    After any exception, Ctrl-C included, the temporary file is gone and `path` is as it was. Raises OutputError, with
    what to do, where the folder is missing, cannot be written, or the disk is full.
    """
    temporary = path.parent / f"{_PREFIX}{uuid.uuid4().hex[:12]}{_SUFFIX}"
    try:
        temporary.open("xb").close()  # not tempfile: its files are private, and not every file system can change that
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OutputError:
        raise
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # it is gone after a clean end, and was never there where the folder refused it
            temporary.unlink()


def write_whole(path: Path, content: str | bytes) -> None:
    """Text (UTF-8) or bytes, replacing the file at once; OutputError where that cannot be."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes were writing in a folder; only for one in which nobody else can be writing."""
    try:
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def check_place(path: Path, *, overwrite: bool) -> None:
    """OutputError where a file cannot be written at `path`, or is there already and may not be replaced.

    Asked before any work, so that hours are not lost at the end.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; a file cannot take its place. Choose another name.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already. Choose another place, or ask for it to be overwritten.")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path: Path, error: OSError) -> OutputError:
    """Why `path` could not be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"The disk is full: {path} could not be written; nothing of it is left. Free some space.")
    if error.errno == errno.ENOENT and not path.parent.exists():
        return OutputError(f"{path} cannot be written: there is no folder {path.parent}. Create it first.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} cannot be written: no permission in {path.parent}. Choose another folder.")
    return OutputError(f"{path} cannot be written: {error.strerror or error}. Choose another place.")
