"""Image files → mask files, one for each, under the image's stem; and whatever else is wanted beside them."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ushape.atomic import output_error
from ushape.device import free_bytes
from ushape.errors import ImageError, OutputError
from ushape.freed_memory import keeping_freed_memory
from ushape.images.source import Page, open_image
from ushape.images.suffix import stem_of
from ushape.images.zarr import zarr_is_installed
from ushape.labels import Labels
from ushape.predict.answer import Answer, Computed
from ushape.predict.destination import check_folder, check_names
from ushape.predict.formats import FormatName, Formats
from ushape.predict.ledger import Ledger
from ushape.predict.maps import maps_of
from ushape.predict.storage import Form, MaskFormat, form_of, suffix_for
from ushape.predict.tiled import Predictor
from ushape.predict.unfinished import Unfinished
from ushape.predict.volume_pieces import VolumePieces, require_memory
from ushape.predict.where import Where
from ushape.predict.writing import MaskWritten, TileDone, Writing

__all__ = ["Crew", "Job", "MaskWritten", "TileDone"]

_LARGE_STACK_PIXELS = 1 << 22

File = Sequence[Page]
"""The pages of one image or stack."""


class Crew(Protocol):
    """Who shares the work of a job (cluster.py)."""

    def events(self, job: Job, files: Sequence[File]) -> Iterator[TileDone | MaskWritten]:
        """Predict these images, in any order: `begin`, compute what is missing, `assemble`."""
        ...


class Job:
    """All masks of a list of images, into one folder; of a network that tells objects apart, their object maps.

    probability: also float32 TIFFs of each foreground class. uncertainty: also one of where not to trust the mask.
    overlay: also a PNG of the mask over the image.
    formats: also what other programs read; each image's maps are then held in memory whole.
    ledger: where it is noted what is complete, and blocks are kept of what is not, so that it can be gone on with.
    where: of each page, the part of it that is to be predicted; all else is background.
    mask_format: the kind of file for masks and maps, in place of the one that suits the image (storage.py).
    Raises, before anything is computed: ImageError, naming every image that the network cannot take; OutputError where
    results exist (unless `overwrite`), where two images would make the same file, or where `out` cannot be written.
    """

    def __init__(
        self,
        predictor: Predictor,
        images: list[Page],
        out: Path,
        *,
        probability: bool = False,
        uncertainty: bool = False,
        overlay: bool = False,
        formats: Collection[FormatName] = (),
        mask_format: MaskFormat = "auto",
        where: Mapping[Page, Where] | None = None,
        overwrite: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        self._whole = predictor.one_piece if predictor.pieces_in == "volumes" else ()
        self.predictor = predictor.in_all_pieces() if self._whole else predictor
        self.out, self.rule = out, predictor.trained.object_rule
        self.overlay, self.mask_format, self.where = overlay, mask_format, where or {}
        self.maps = tuple(maps_of(self._labels, probability=probability, uncertainty=uncertainty))
        self.files = [list(group) for _, group in groupby(images, key=lambda page: page.path)]
        self.ledger, self.replaces = ledger, overwrite or (ledger is not None and ledger.resume)
        regions = predictor.trained.regions if formats else ()
        objects = self.rule is not None
        self.formats = Formats(
            formats, self.files, out, self._labels, regions=regions, objects=objects, overwrite=self.replaces
        )
        self._check_images()
        made = {file[0].path: self.made_of(file) for file in self.files}
        check_names(made, self.formats.together.values(), out)
        self._before = ledger.complete(made) if ledger else {}
        check_folder(out, made, self.formats.together.values(), overwrite=self.replaces)
        if ledger is not None and not self.replaces:
            ledger.require_nothing_begun(list(made))

    def events(self, crew: Crew | None = None) -> Iterator[TileDone | MaskWritten]:
        """Predict, image after image, or as a crew has it; each file appears whole or not at all, `formats.together` at
        the end.
        """
        before = self._before
        if self.formats.together and len(before) < len(self.files):
            before = {}  # what holds all images is made of all of them
        todo = [file for file in self.files if file[0].path not in before]
        for file in self.files:
            if file[0].path in before:
                yield self.told(file, before[file[0].path], before=True)
        if not todo:
            return
        written = []
        with keeping_freed_memory(), self.formats.opened():
            for event in crew.events(self, todo) if crew else self._alone(todo):
                if isinstance(event, MaskWritten):
                    written.append(event)
                    self._finish(event, together=False)
                yield event
        for event in written:
            self._finish(event, together=True)

    def begin(self, file: File, *, in_blocks: bool = False) -> dict[Page, Unfinished]:
        """Note that the files of an image or stack are going to be there. For each page that is not computed in one go
        (of all, `in_blocks`): what there is of its blocks.
        """
        if self.ledger is None:
            return {}
        self.ledger.begin(file[0].path)
        if not in_blocks and not (zarr_is_installed() and self._worth_keeping(file)):
            return {}
        return {page: self._unfinished(page, self.ledger) for page in file}

    def at_once(self, file: File) -> bool:
        """Whether an image is one page and one block, whose answer does not have to wait for those of others."""
        return len(file) == 1 and self._blocks(file) == 1 and not self.formats.together

    def assemble(self, file: File, kept: Mapping[Page, Unfinished]) -> Iterator[TileDone | MaskWritten]:
        """All files of an image or stack, from what is kept of its answers, or computed on the way."""

        def answer_for(page: Page) -> Answer:
            return kept.get(page) or Computed(self.predictor, open_image(page.path, page.index), self.where.get(page))

        form, folder = self._form[file[0].path], self.ledger.files_of(file[0].path) if self.ledger else self.out
        look = self.names, folder, self.maps, self.formats, self.overlay
        writing = Writing(self.predictor, form, *look, overwrite=self.replaces)
        mended = None
        if self._whole:
            require_memory(file, self._labels.classes, free_bytes(torch.device("cpu")))
            mended = VolumePieces(answer_for, file, self._whole)
        yield from writing.events(file, mended or answer_for)
        self.take(file, folder)
        made, damage = tuple(self.made_of(file)), tuple(writing.damage)
        changed = tuple(mended.told) if mended else ()
        yield MaskWritten(file[0], made, writing.expected_dice, damage, self._skipped(file), mended=changed)

    def take(self, file: File, folder: Path) -> None:
        """The files of an image, which lie complete in a folder, take their place in that of the job, the mask last."""
        if folder == self.out:
            return
        mask = self.out / self.names(file[0])["mask"]
        for path in sorted(self.made_of(file), key=lambda path: path == mask):
            if path.exists() and not self.replaces:
                raise OutputError(f"{path} has come up meanwhile. Move it away and go on with --resume.")
            try:
                if path.is_dir():  # a store that is replaced
                    shutil.rmtree(path)
                os.replace(folder / path.name, path)
            except OSError as error:
                raise output_error(path, error) from error

    def told(self, file: File, noted: Mapping[str, Any], *, before: bool = False) -> MaskWritten:
        """What MaskWritten.to_dict told of an image; its files are those of this job."""
        expected = {name: math.nan if dice is None else dice for name, dice in noted["expected_dice"].items()}
        made, damage = tuple(self.made_of(file)), tuple(noted["damage"])
        mended = tuple(noted.get("mended", ()))
        return MaskWritten(file[0], made, expected, damage, noted.get("skipped"), before, mended)

    def names(self, page: Page) -> dict[str, str]:
        """The files made of an image: "mask", then its maps by the ends of their names, and "overlay", where wanted."""
        stem, suffix = stem_of(page.path), suffix_for(self._form[page.path], page.path)
        made = {"mask": f"{stem}{suffix}"}
        for each in self.maps:
            made[each.ending] = f"{stem}{each.ending}{suffix.replace('.png', '.tif')}"
        if self.overlay:
            made["overlay"] = f"{page.name}_overlay.png"
        return made

    def made_of(self, file: File) -> list[Path]:
        """Every file of an image or stack, those that a stack shares once."""
        every = [self.out / name for page in file for name in self.names(page).values()]
        return list(dict.fromkeys([*every, *self.formats.paths(file)]))

    def _alone(self, files: Sequence[File]) -> Iterator[TileDone | MaskWritten]:
        for file in files:
            kept = self.begin(file)
            for page, unfinished in kept.items():
                for number in unfinished.missing():
                    unfinished.compute(number)
                    yield self.progress(page, unfinished)
            yield from self.assemble(file, kept)

    def progress(self, page: Page, unfinished: Unfinished) -> TileDone:
        """How much of a page's blocks is there."""
        blocks = unfinished.blocks
        done = sum(blocks.progress(blocks.window(number)) for number in unfinished.there)
        total = blocks.total + (self.rule is not None)  # to find the objects is the last step
        return TileDone(page, done, total, unit=blocks.unit)

    def _unfinished(self, page: Page, ledger: Ledger) -> Unfinished:
        wanted = bool(self.maps or self.rule or self.formats.names or self.predictor.one_piece or self._whole)
        unfinished = Unfinished(
            ledger.place_of(page), self.predictor, page, probability=wanted, where=self.where.get(page)
        )
        if ledger.resume and unfinished.made_by() == ledger.made_by:
            unfinished.drop_torn()
        else:
            unfinished.begin(ledger.made_by)
        return unfinished

    def _worth_keeping(self, file: File) -> bool:
        """Whether blocks are kept: not of small stacks, whose pages are computed again as soon."""
        several = self._blocks(file) > len(file)
        large = len(file) > 1 and sum(math.prod(shape) for shape in self._shapes(file)) >= _LARGE_STACK_PIXELS
        return several or large or bool(self.formats.together)

    def _blocks(self, file: File) -> int:
        return sum(len(self.predictor.blocks(shape)) for shape in self._shapes(file))

    @staticmethod
    def _shapes(file: File) -> list[tuple[int, int]]:
        return [open_image(page.path, page.index).shape for page in file]

    def _skipped(self, file: File) -> float | None:
        """The share of an image or stack that lies in tiles which are not computed; None where all is."""
        if not self.where:
            return None
        areas = [math.prod(self.where[page].shape) for page in file]
        shares = [self.where[page].skipped(self.predictor.blocks(self.where[page].shape)) for page in file]
        return sum(share * area for share, area in zip(shares, areas, strict=True)) / sum(areas)

    def _finish(self, written: MaskWritten, *, together: bool) -> None:
        """Note that an image is done, once the files of all images are, where there are such."""
        if self.ledger is not None and together == bool(self.formats.together):
            self.ledger.finish(written.page.path, written.to_dict())

    @property
    def _labels(self) -> Labels:
        return self.predictor.trained.labels

    @property
    def _channels(self) -> int:
        return 3 if self._labels.coloured and not self.rule else 1

    def _check_images(self) -> None:
        """Notes how the mask of each file is stored, which depends on how large it is."""
        self._form: dict[Path, Form] = {}
        png = self.rule is None and self._labels.mask_dtype in (np.uint8, np.uint16)
        faults = []
        for file in self.files:
            try:
                sources = [open_image(page.path, page.index) for page in file]
                for source in sources:
                    self.predictor.check(source)
                largest = max(height * width for height, width in (source.shape for source in sources))
                self._form[file[0].path] = form_of(
                    file[0], len(file), largest, self.mask_format, png=png, grid=self._channels == 1
                )
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise ImageError("\n".join(faults))
