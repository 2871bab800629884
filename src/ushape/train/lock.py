"""One training at a time in a folder: a lock that the system releases when its holder ends, however that ends."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from ushape.atomic import output_error
from ushape.errors import OutputError

NAME = ".ushape-lock"

if sys.platform == "win32":
    import msvcrt

    _BEYOND_THE_TEXT = 2**30  # other processes cannot read locked bytes, and shall read whose lock it is

    def _lock(file: int) -> None:
        os.lseek(file, _BEYOND_THE_TEXT, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """The right to write into a folder, until `release`, the end of a `with`, or the end of the process.

    The folder holds a file meanwhile, with the holder's name; what a killed process leaves of it is no obstacle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / NAME
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, if this does not have it yet; OutputError, with its holder, where another has it."""
        while self._file is None:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise output_error(self._path, error) from error
            try:
                self._take(file)
            except BaseException:
                os.close(file)
                raise
            if _is_at(file, self._path):
                self._file = file
            else:  # its last holder has removed it since it was opened here: whoever comes next opens another
                os.close(file)

    def release(self) -> None:
        """Give it back; nothing where there is none."""
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):  # Windows removes no file that is open; the folder may be gone
            self._path.unlink()
        os.close(file)
        if sys.platform == "win32":
            with suppress(OSError):  # the next holder may have opened it already
                self._path.unlink()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()

    def _take(self, file: int) -> None:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            holder = os.read(file, 1000).decode(errors="replace") or "another process"
            raise OutputError(
                f"A training is under way in {self._folder}: {holder}. Wait for its end, or choose another folder."
            ) from error
        except OSError:  # a file system without locks: two trainings in one folder are rarer than such disks
            pass
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        try:
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()} on {platform.node()}, since {since}".encode())
        except OSError as error:
            raise output_error(self._path, error) from error


def require_unlocked(folder: Path) -> None:
    """OutputError where a training is under way in a folder, which need not exist."""
    if (folder / NAME).exists():
        with FolderLock(folder):
            pass


def _is_at(file: int, path: Path) -> bool:
    try:
        there, here = os.stat(path), os.fstat(file)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
