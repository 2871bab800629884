"""A report on hearts under way: from images and answers to pages, held against manual masks or by the network alone.

Both courses are iterated over for their progress, then have results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ushape.cardiac.answers import MaskAnswers
from ushape.cardiac.cine import CineStudy
from ushape.cardiac.cine_results import CineResults
from ushape.cardiac.frames import Voxel
from ushape.cardiac.results import Results
from ushape.cardiac.study import CardiacStudy
from ushape.data.folder import has_masks
from ushape.errors import DataError, ImageError, RecipeError
from ushape.images.source import Page
from ushape.predict.files import Job, MaskWritten
from ushape.predict.sources import find_images
from ushape.predict.tiled import Predictor
from ushape.regions import Declared
from ushape.report.cardiac import CardiacReport
from ushape.report.cine import CineReport

MASKS = "masks"
"""The folder of the network's masks, in that of a report on images alone."""

_SHARE_OF_PREDICTION = 0.95

Progress = tuple[float, str]
"""The share that is done, and what is worth knowing meanwhile."""


@dataclass(frozen=True)
class Asked:
    """What is said of the images: fields as CardiacStudy and CineStudy take them; None: what the training did."""

    regions: Declared = field(default_factory=dict)
    group_by: str | None = None
    frames: int | None = None
    voxel_mm: Voxel | None = None
    include: str | None = None
    ignored_values: Sequence[int] | None = None


@dataclass(frozen=True)
class Destination:
    """The folder of a report; command: the line that makes it again."""

    out: Path
    command: str
    overwrite: bool = False


class AgainstManual:
    """The answers of a network, or masks in a folder, held against the masks of an annotated folder."""

    results: Results
    paths: list[Path]

    def __init__(self, answers: Predictor | Path, data: Path, asked: Asked, to: Destination) -> None:
        trained_on = answers.trained.recipe.data if isinstance(answers, Predictor) else None
        group_by, ignored = asked.group_by, asked.ignored_values
        if trained_on is not None:
            group_by = trained_on.group_by if group_by is None else group_by
            ignored = trained_on.ignored_values if ignored is None else ignored
        self._study = CardiacStudy(
            data,
            answers,
            regions=asked.regions,
            include=asked.include or "*",
            group_by=group_by or "",
            ignored_values=ignored or (),
            frames=asked.frames,
            voxel_mm=asked.voxel_mm,
        )
        self._patients = [patient.name for patient in self._study.patients]
        self._pages = CardiacReport(to.out, self._patients, to.command, overwrite=to.overwrite)
        self._data = data

    def events(self, answers: str) -> Iterator[Progress]:
        """answers: what they are, in words."""
        for number, (patient, heart) in enumerate(zip(self._patients, self._study.hearts(), strict=True), start=1):
            self._pages.add(patient, heart)
            yield number / len(self._patients), patient
        facts = [("predicted", answers), ("manual", str(self._data)), *self._study.facts()]
        self.results, self.paths = self._pages.finish(facts, self._study.notes())


class Alone:
    """A network's answers for images that nobody drew on: their masks are written too.

    places: folders, files and patterns of images, as `ushape predict` takes them.
    """

    results: CineResults
    paths: list[Path]

    def __init__(self, predictor: Predictor, places: Sequence[Path], asked: Asked, to: Destination) -> None:
        if predictor.trained.object_rule is not None:
            raise RecipeError(
                "This network tells objects apart; figures of the heart need one that tells classes apart. Train it "
                "with --task semantic."
            )
        pages, masks = _images(places), to.out / MASKS
        regions = {**predictor.trained.recipe.regions, **asked.regions}
        answers = MaskAnswers(masks, predictor.trained.labels)
        self._study = CineStudy(
            pages, answers, regions, group_by=asked.group_by or "", frames=asked.frames, voxel_mm=asked.voxel_mm
        )
        self._patients = [patient.name for patient in self._study.patients]
        self._pages = CineReport(to.out, self._patients, to.command, overwrite=to.overwrite)
        self._job = Job(predictor, pages, masks, overwrite=to.overwrite)
        self._places, self._count = places, len(pages)

    def events(self, answers: str) -> Iterator[Progress]:
        """answers: what they are, in words."""
        seen = 0
        mended: list[str] = []
        for event in self._job.events():
            if isinstance(event, MaskWritten):
                mended += event.mended
            else:
                yield _SHARE_OF_PREDICTION * (seen + event.done / event.total) / self._count, event.page.name
                seen += event.done == event.total
        for number, (patient, heart) in enumerate(zip(self._patients, self._study.hearts(), strict=True), start=1):
            self._pages.add(patient, heart)
            rest = 1 - _SHARE_OF_PREDICTION
            yield _SHARE_OF_PREDICTION + rest * number / len(self._patients), patient
        facts = [
            ("predicted", answers),
            ("images", ", ".join(map(str, self._places))),
            ("masks", str(self._job.out)),
            ("manual", "none"),
            *self._study.facts(),
        ]
        self.results, self.paths = self._pages.finish(facts, self._study.notes(), mended)


def course(answers: Predictor | Path, places: Sequence[Path], asked: Asked, to: Destination) -> AgainstManual | Alone:
    """Which of the two the places call for: one folder with masks, or images alone.

    RecipeError where it is neither, or where there is no network for images alone.
    """
    annotated = [place for place in places if has_masks(place)]
    if annotated and len(places) > 1:
        raise RecipeError(
            f"{annotated[0]} has masks, and other places are named beside it. Give one annotated folder, or images "
            "alone."
        )
    if annotated:
        return AgainstManual(answers, places[0], asked, to)
    if not isinstance(answers, Predictor):
        raise DataError(
            f"No masks are recognised in {', '.join(map(str, places))} to hold those of {answers} against. Name an "
            "annotated folder (`ushape check` explains it), or a trained network in place of the masks."
        )
    if asked.include is not None or asked.ignored_values is not None:
        raise RecipeError(
            "--include and --ignore are for annotated folders, and no masks are recognised here; name the images that "
            "are meant."
        )
    return Alone(answers, places, asked, to)


def _images(places: Sequence[Path]) -> list[Page]:
    try:
        return find_images(list(map(str, places)))
    except ImageError as error:
        raise ImageError(
            f"{error}\n(No masks are recognised there either: `ushape check` shows what an annotated folder is.)"
        ) from error
