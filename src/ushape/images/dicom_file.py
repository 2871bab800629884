"""DICOM files through pydicom: headers, decompressed pixels, and damage told in words that quote nothing of the file.

pydicom's own warnings and errors quote the values that they find odd, which may be a patient's; ours name the file and
the kind of the error.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.errors import ImageError, MissingExtra

_DRAWINGS = {"1.2.840.10008.5.1.4.1.1.66.4": "SEG", "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT"}
_PREAMBLE_BYTES = 128

# What pydicom and its decoders raise for broken files, found by damaging files byte by byte.
_DAMAGE = (OSError, ValueError, KeyError, AttributeError, EOFError, NotImplementedError, TypeError, IndexError,
           OverflowError, ArithmeticError, AssertionError, MemoryError, RuntimeError, struct.error)  # fmt: skip


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its suffix, or, where it has none, by the four letters that say so."""
    if path.suffix.lower() == ".dcm":
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        with path.open("rb") as file:
            file.seek(_PREAMBLE_BYTES)
            return file.read(4) == b"DICM"
    except OSError:
        return False


def drawing_kind(path: Path) -> str | None:
    """ "SEG" or "RTSTRUCT" for a file that is one and can be opened."""
    return _kind(path, path.stat().st_mtime_ns) if is_dicom(path) else None


@lru_cache(maxsize=4096)
def _kind(path: Path, _changed: int) -> str | None:
    try:
        with damage_told(path):
            return _DRAWINGS.get(str(header(path, ("SOPClassUID",)).get("SOPClassUID", "")))
    except ImageError:
        return None  # told of when it is opened


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Around whatever looks into a file: ImageError for damage, and neither warnings nor lines of a log."""
    odd_length, log = _pydicom(path).errors.BytesLengthException, logging.getLogger("pydicom")
    was_off, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (ImageError, MissingExtra):
        raise
    except (*_DAMAGE, odd_length) as error:
        raise ImageError(
            f"{path} cannot be read as DICOM ({type(error).__name__}). It may be damaged or cut short; copy it again."
        ) from error
    finally:
        log.disabled = was_off


def header(path: Path, tags: tuple[str, ...] | None = None) -> Any:  # a pydicom FileDataset
    """What a file says, less the pixels; only these tags, where some are named."""
    pydicom = _pydicom(path)
    with damage_told(path):
        try:
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=None if tags is None else list(tags))
        except pydicom.errors.InvalidDicomError as error:
            raise ImageError(
                f"{path} is no DICOM file that we can open: it lacks the mark that they begin with. It may be "
                "encrypted or damaged; export it again, without a password."
            ) from error


def require_decoder(said: Any, path: Path) -> None:  # a pydicom FileDataset
    """ImageError where the pixels of a file are coded in a way that nothing here can read, before any is read."""
    pydicom = _pydicom(path)
    syntax = said.file_meta.TransferSyntaxUID
    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageError(
            f"{path} has pixels in {_in_words(syntax)}, which no decoder for Python reads. Export it from the scanner "
            "or archive uncompressed, or as JPEG 2000 or JPEG-LS."
        ) from error
    if not decoder.is_available:
        raise ImageError(
            f"{path} has pixels in {_in_words(syntax)}, which the installed decoders cannot read. Install more of "
            "them (pip install python-gdcm, or pylibjpeg with its plugins), or export it uncompressed."
        )


def decoded(path: Path, frame: int | None = None) -> NDArray[np.generic]:
    """Stored values, decompressed, colours as RGB: of one frame, counted from 0; of all, with an axis of frames in
    front where there are several.
    """
    pydicom = _pydicom(path)
    with damage_told(path):
        try:
            pixels: NDArray[np.generic] = pydicom.pixels.pixel_array(path, index=frame)
        except (RuntimeError, NotImplementedError, ImportError) as error:
            said = header(path, ("SOPClassUID",))
            require_decoder(said, path)
            syntax = _in_words(said.file_meta.TransferSyntaxUID)
            raise ImageError(
                f"{path} has pixels in {syntax}, and the installed decoders cannot read them ({type(error).__name__}). "
                "It may be damaged: copy it again, or export it uncompressed."
            ) from error
        except _DAMAGE as error:
            raise ImageError(
                f"{path} has pixels that cannot be read ({type(error).__name__}); it may be damaged or cut short. "
                "Copy it again."
            ) from error
    return pixels


def _in_words(syntax: Any) -> str:  # a pydicom UID
    """A transfer syntax by its name, if the standard has one."""
    if syntax.is_private or not syntax.is_transfer_syntax:
        return "a transfer syntax of its maker's own, or an unknown one"
    return f"the transfer syntax {syntax.name}"


def _pydicom(path: Path) -> ModuleType:
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtra(f"{path} is DICOM, which pydicom reads: pip install 'ushape[medical]'.") from error
    return pydicom
