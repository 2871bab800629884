"""Results in the form that two challenges of U-Net's paper take: the Cell Tracking Challenge and the EM one of 2012."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ushape.atomic import check_place, output_error, replacing
from ushape.data.names import natural
from ushape.errors import ImageError, OutputError
from ushape.images.sink import CLASSIC_TIFF_BYTES
from ushape.interchange.outlines import fault_of

LARGEST_CTC_NUMBER = 2**16 - 1
"""The masks of the Cell Tracking Challenge have 16 bits."""

_FRAME = re.compile(r"t(\d{3,})")


def ctc_names(images: Sequence[str]) -> dict[str, str]:
    """Image name → mask name, as the Cell Tracking Challenge pairs them.

    Images named t000, t001, … keep their numbers and digits. Others are counted from 0 in the order of their names,
    with three digits, or four where there are more than 1,000. Raises ImageError where a name comes twice.

    >>> ctc_names(["t012.tif", "t013.tif"]), ctc_names(["day10.png", "day9.png"])
    ({'t012.tif': 'mask012.tif', 't013.tif': 'mask013.tif'}, {'day9.png': 'mask000.tif', 'day10.png': 'mask001.tif'})
    """
    twice = sorted({image for image in images if images.count(image) > 1})
    if twice:
        raise ImageError(f"{', '.join(twice)}: several images have this name. Give each frame a name of its own.")
    own = [match[1] for image in images if (match := _FRAME.fullmatch(Path(image).stem))]
    if len(set(own)) == len(images) and len({len(number) for number in own}) == 1:
        return {image: f"mask{number}.tif" for image, number in zip(images, own, strict=True)}
    digits = max(3, len(str(len(images) - 1)))
    ordered = sorted(images, key=lambda image: (natural(image), image))
    return {image: f"mask{frame:0{digits}d}.tif" for frame, image in enumerate(ordered)}


@contextmanager
def ctc_folder(folder: Path, images: Sequence[str], *, overwrite: bool = False) -> Iterator[CtcFolder]:
    """A CtcFolder to add the frames `images` to, in any order; `folder` (01_RES, say) gets all masks on a clean end.

    There is no res_track.txt, because nothing was tracked: the masks are a result for the Cell Segmentation Benchmark,
    or the input of a tracker. Raises OutputError at once where `folder` cannot be written, holds masks already (unless
    `overwrite`), or holds masks of other frames or tracks that would not fit these; at the end ImageError, naming every
    frame that cannot be written. Then nothing is written.
    """
    masks = ctc_names(images)
    _check_folder(folder, masks.values(), overwrite=overwrite)
    stage = (folder if folder.is_dir() else folder.parent) / f".ushape-{uuid.uuid4().hex[:12]}.part"
    try:
        stage.mkdir()
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        frames = CtcFolder(stage, folder, masks)
        yield frames
        frames.check()
        _move(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


class CtcFolder:
    """Frames of one sequence, written to a folder of their own until all are there."""

    def __init__(self, stage: Path, folder: Path, masks: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._stage, self._folder, self._missing = stage, folder, dict(masks)

    def add(self, image: str, objects: NDArray[np.integer]) -> None:
        """One frame: (H, W) object map → 16-bit mask. Where it cannot be written so, `faults` gets a line."""
        name = self._missing.pop(image)
        fault = fault_of(objects)
        if not fault and objects.size and objects.max() > LARGEST_CTC_NUMBER:
            fault = (
                f"its objects have numbers up to {objects.max()}, and the challenge's masks of 16 bits hold at most "
                f"{LARGEST_CTC_NUMBER}. Number them from 1 on, as skimage.segmentation.relabel_sequential does."
            )
        if fault:
            self.faults.append(f"{image}: {fault}")
            return
        try:
            with (self._stage / name).open("xb") as file:
                tifffile.imwrite(file, objects.astype(np.uint16), photometric="minisblack", metadata=None)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(self._folder / name, error) from error

    def check(self) -> None:
        """Raises ImageError for all faults together, OutputError where frames are missing."""
        if self.faults:
            raise ImageError("\n".join(self.faults))
        if self._missing:
            raise OutputError(
                f"{self._folder} was not written: {', '.join([*self._missing][:5])} had no result "
                f"({len(self._missing)} in all). The challenge takes whole sequences; segment every frame."
            )


def _check_folder(folder: Path, masks: Collection[str], *, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file; results of the challenge are a folder. Choose another name.")
    present = {path.name for path in folder.iterdir()}
    strange = sorted(name for name in present - {*masks} if re.fullmatch(r"mask\d+\.tif|res_track\.txt", name))
    if strange:
        raise OutputError(
            f"{folder} holds results that do not belong to these frames: {', '.join(strange[:5])} "
            f"({len(strange)} in all). Move them away, or choose another folder."
        )
    existing = sorted(present & {*masks})
    if existing and not overwrite:
        raise OutputError(
            f"{folder} already holds {len(existing)} of these masks ({', '.join(existing[:5])}). "
            "Choose another folder, or ask for them to be overwritten."
        )


def _move(stage: Path, folder: Path) -> None:
    try:
        if folder.exists():
            for file in sorted(stage.iterdir()):
                os.replace(file, folder / file.name)
        else:
            os.rename(stage, folder)
    except OSError as error:
        raise output_error(folder, error) from error


@contextmanager
def isbi_stack(path: Path, *, overwrite: bool = False) -> Iterator[IsbiStack]:
    """An IsbiStack to add slices to; `path` gets the TIFF stack that the EM challenge of ISBI 2012 takes.

    That is a stack of 32-bit floats from 0, a membrane for certain, to 1, the inside of a cell for certain. Raises
    OutputError at once where the file cannot be written or exists, and at the end ImageError, naming every slice that
    is no such probability. Then nothing is written.
    """
    check_place(path, overwrite=overwrite)
    stack = IsbiStack()
    yield stack
    if stack.faults:
        raise ImageError("\n".join(stack.faults))
    size = sum(page.nbytes for page in stack.pages)
    if not 0 < size <= CLASSIC_TIFF_BYTES:
        raise OutputError(
            f"{path} was not written: {len(stack.pages)} slices have {size} bytes, and a stack that ImageJ reads has 1 "
            f"to {CLASSIC_TIFF_BYTES}. The challenge has 30 slices of 512 x 512."
        )
    with replacing(path) as temporary, tifffile.TiffWriter(temporary) as writer:
        for page in stack.pages:
            writer.write(page, photometric="minisblack", metadata=None, software="ushape")


class IsbiStack:
    """Slices in the order they are added."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.pages: list[NDArray[np.float32]] = []

    def add(self, image: str, inside: NDArray[np.floating]) -> None:
        """The next slice, (H, W): how probably each pixel lies inside a cell. A fault gives `faults` a line."""
        if inside.ndim != 2 or not np.issubdtype(inside.dtype, np.floating):
            self.faults.append(
                f"{image}: an array of {inside.dtype} with shape {inside.shape}; a slice has floats and the shape "
                "(height, width). Give the probability, not a mask."
            )
        elif not (inside.size and inside.min() >= 0 and inside.max() <= 1):  # False for NaN, too
            self.faults.append(f"{image}: its values are not all from 0 to 1. Give the probability, not logits.")
        elif self.pages and inside.shape != self.pages[0].shape:
            self.faults.append(
                f"{image}: its shape is {inside.shape}, that of the first slice {self.pages[0].shape}. "
                "Slices of a stack are alike; write images of other sizes elsewhere."
            )
        else:
            self.pages.append(inside.astype(np.float32))
