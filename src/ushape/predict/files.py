"""Image files → mask files, one for each, under the image's stem; and whatever else is wanted beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ushape.device import free_bytes
from ushape.errors import ImageError, RecipeError
from ushape.freed_memory import keeping_freed_memory
from ushape.images.source import Page, source_of
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
from ushape.predict.writing import MaskWritten, TileDone, Writing

__all__ = ["Job", "MaskWritten", "TileDone"]


class Job:
    """All masks of a list of images, into one folder; of a network that tells objects apart, their object maps.

    probability: also float32 TIFFs of each foreground class. uncertainty: also one of where not to trust the mask.
    overlay: also a PNG of the mask over the image.
    formats: also what other programs read; each image's maps are then held in memory whole.
    ledger: where it is noted what is complete, and blocks are kept of what is not, so that it can be gone on with.
    mask_format: the kind of file for masks and maps, in place of the one that suits the image (storage.py).
    Raises, before anything is computed: RecipeError for what is not made of volumes; ImageError, naming every image
    that the network cannot take; OutputError where results exist (unless `overwrite`), where two images would make the
    same file, or where `out` cannot be written.
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
        overwrite: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        by_slices = predictor.axes == 2 and predictor.pieces_in == "volumes"  # that are to be mended together
        self._whole = predictor.one_piece if by_slices else ()
        self.predictor = predictor.in_all_pieces() if self._whole else predictor
        self.out, self.rule = out, predictor.trained.object_rule
        self.overlay, self.mask_format = overlay, mask_format
        self.maps = tuple(maps_of(self._labels, probability=probability, uncertainty=uncertainty))
        self._check_axes(formats)
        self.files = [list(group) for _, group in groupby(images, key=lambda page: page.path)]
        self._ledger, self._replaces = ledger, overwrite or (ledger is not None and ledger.resume)
        regions = predictor.trained.regions if formats else ()
        objects = self.rule is not None
        self.formats = Formats(
            formats, self.files, out, self._labels, regions=regions, objects=objects, overwrite=self._replaces
        )
        self._check_images()
        made = {file[0].path: self._made_of(file) for file in self.files}
        check_names(made, self.formats.together.values(), out)
        self._before = ledger.complete(made) if ledger else {}
        check_folder(out, made, self.formats.together.values(), overwrite=self._replaces)
        if ledger is not None and not self._replaces:
            ledger.require_nothing_begun(list(made))

    def events(self) -> Iterator[TileDone | MaskWritten]:
        """Predict, image after image; each file appears whole or not at all, `formats.together` at the end."""
        todo = [file for file in self.files if file[0].path not in self._before]
        if self.formats.together and todo:
            todo = self.files  # what holds all images is made of all of them
        for file in self.files:
            if file not in todo:
                yield _told(file[0], self._before[file[0].path])
        if not todo:
            return
        written = []
        with keeping_freed_memory(), self.formats.opened():
            for file in todo:
                if self._ledger:
                    self._ledger.begin(file[0].path)
                kept = {page: each for page in file if (each := self._unfinished(page, file)) is not None}
                for page, unfinished in kept.items():
                    yield from self._computed(page, unfinished)
                written.append((yield from self._written(file, kept)))
                if not self.formats.together:
                    self._finish(written[-1])
                yield written[-1]
        if self.formats.together:
            for each in written:
                self._finish(each)

    def paths(self, page: Page) -> dict[str, Path]:
        """The files made of an image: "mask", then its maps by the ends of their names, and "overlay", where wanted."""
        stem, suffix = stem_of(page.path), suffix_for(self._form[page.path], page.path)
        made = {"mask": self.out / f"{stem}{suffix}"}
        for each in self.maps:
            made[each.ending] = self.out / f"{stem}{each.ending}{suffix.replace('.png', '.tif')}"
        if self.overlay:
            made["overlay"] = self.out / f"{page.name}_overlay.png"
        return made

    def _made_of(self, file: list[Page]) -> list[Path]:
        """Every file of an image or stack, those that a stack shares once."""
        every = [path for page in file for path in self.paths(page).values()]
        return list(dict.fromkeys([*every, *self.formats.paths(file)]))

    def _computed(self, page: Page, unfinished: Unfinished) -> Iterator[TileDone]:
        """All blocks of a page that are not there yet."""
        blocks, missing = unfinished.blocks, unfinished.missing()
        left = sum(blocks.progress(blocks.window(number)) for number in missing)
        for number in missing:
            unfinished.compute(number)
            left -= blocks.progress(blocks.window(number))
            total = blocks.total + (self.rule is not None)  # to find the objects is the last step
            yield TileDone(page, blocks.total - left, total, unit=blocks.unit)

    def _written(self, file: list[Page], kept: Mapping[Page, Unfinished]) -> Generator[TileDone, None, MaskWritten]:
        """All files of an image or stack, from what is kept of its answers, or computed on the way."""

        def answer_for(page: Page) -> Answer:
            return kept.get(page) or Computed(self.predictor, source_of(page))

        path, mended = file[0].path, None
        if self._whole:
            require_memory(file, self._labels.classes, free_bytes(torch.device("cpu")))
            mended = VolumePieces(answer_for, file, self._whole)
        writing = Writing(
            self.predictor, self._form[path], self.paths, self.maps, self.formats, self.overlay, self._replaces
        )
        yield from writing.events(file, mended or answer_for)
        made, told = tuple(self._made_of(file)), tuple(mended.told) if mended else ()
        return MaskWritten(file[0], made, writing.expected_dice, tuple(writing.damage), mended=told)

    def _unfinished(self, page: Page, file: list[Page]) -> Unfinished | None:
        """Where a page's blocks are kept until its files are complete; None where it is computed in one go."""
        if self._ledger is None or self.predictor.axes != 2 or not zarr_is_installed():
            return None
        several = len(self.predictor.blocks(source_of(page).shape)) > 1
        if not (several or len(file) > 1 or self.formats.together):
            return None
        wanted = bool(self.maps or self.rule or self.formats.names or self.predictor.one_piece or self._whole)
        unfinished = Unfinished(self._ledger.place_of(page), self.predictor, page, probability=wanted)
        if self._ledger.resume and unfinished.made_by() == self._ledger.made_by:
            unfinished.drop_torn()
        else:
            unfinished.begin(self._ledger.made_by)
        return unfinished

    def _finish(self, written: MaskWritten) -> None:
        if self._ledger is not None:
            self._ledger.finish(written.page.path, written.to_dict())

    def _check_axes(self, formats: Collection[FormatName]) -> None:
        """RecipeError for what is not made of volumes yet."""
        asked = {"--overlay": self.overlay, f"--format {','.join(formats)}": bool(formats), "objects": bool(self.rule)}
        wanted = [name for name, is_asked in asked.items() if is_asked]
        if self.predictor.axes == 3 and wanted:
            raise RecipeError(
                f"Of volumes there are masks and maps, and no {' and no '.join(wanted)} yet. Leave that out."
            )

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
                sources = [source_of(page) for page in file]
                for source in sources:
                    self.predictor.check(source)
                largest = max(math.prod(source.plane_shape) for source in sources)
                count = sum(math.prod(source.shape[:-2]) for source in sources)
                self._form[file[0].path] = form_of(
                    file[0], count, largest, self.mask_format, png=png, grid=self._channels == 1
                )
            except ImageError as error:
                faults.append(str(error))
        if faults:
            raise ImageError("\n".join(faults))


def _told(page: Page, noted: Mapping[str, Any]) -> MaskWritten:
    """What the ledger has of an image."""
    expected = {name: math.nan if dice is None else dice for name, dice in noted["expected_dice"].items()}
    damage, mended = tuple(noted["damage"]), tuple(noted.get("mended", ()))
    return MaskWritten(page, tuple(map(Path, noted["files"])), expected, damage, before=True, mended=mended)
