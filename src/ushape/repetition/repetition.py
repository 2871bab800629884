"""Several trainings of one recipe, one after another, and their scores: resumable at any moment.

DIR/fold-1, fold-2, … or seed-0, seed-1, …   a run folder each           DIR/ensemble.json   what was begun (ledger.py)
DIR/out-of-fold/                             where asked for: the mask of each image, by the network judged on it
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from ushape.atomic import output_error
from ushape.data.annotation import read_objects
from ushape.data.pair import Pair, listed
from ushape.errors import OutputError
from ushape.evaluate import Evaluation, Scored, Scoring
from ushape.images.suffix import stem_of
from ushape.metrics.families import FamilyName, family
from ushape.predict.destination import check_names
from ushape.predict.files import Job
from ushape.predict.tiled import Predictor, load
from ushape.regions import regions_of
from ushape.repetition.beginning import Beginning
from ushape.repetition.ledger import Ledger
from ushape.repetition.member import Member
from ushape.repetition.results import REPORT, RESULTS, SCORES, Results
from ushape.train.continuation import TrainingEvent
from ushape.train.plan import Plan
from ushape.train.prepare import truths_of
from ushape.train.validate import Truth

MASKS = "out-of-fold"
_OURS = re.compile(r"(fold|seed|images)-\d+")


@dataclass(frozen=True)
class MemberBegun:
    """A training that begins or goes on: the `number`-th of `members`, counted from 1. progress: 0 … 1 of all."""

    name: str
    number: int
    members: int
    progress: float


@dataclass(frozen=True)
class InMember:
    """What happened in a training."""

    name: str
    event: TrainingEvent
    progress: float


@dataclass(frozen=True)
class MemberEnded:
    """A training that is done."""

    name: str
    progress: float


RepetitionEvent = MemberBegun | InMember | MemberEnded | Scored


class Repetition:
    """Trainings that share all but their images or seeds; iterate over `events()`, then take `results()`.

    Closing the iterator at any moment leaves all whole, and an equal Repetition goes on where it stopped: what is
    trained is not trained again, what is scored is. `cross_validation` and `several_seeds` make one.

    families: scores beside those of pixels, as `Scoring` takes them. masks: also write each image's mask by the network
    that is judged on it. held_back: whether no network learned from the images that it is judged on. RecipeError for
    scores that the classes do not have, OutputError for masks of several networks that would be one file.
    """

    def __init__(
        self,
        begin: Beginning,
        plan: Plan,
        ledger: Ledger,
        members: Sequence[Member],
        rule: str,
        *,
        families: Collection[FamilyName] | None = None,
        masks: bool = False,
        held_back: bool = True,
        overwrite: bool = False,
    ) -> None:
        self.data, self.out, self.device = begin.data, begin.out, begin.device
        self.found, self.annotation, self.plan = begin.found, begin.annotation, plan
        self.members, self.rule, self.masks = tuple(members), rule, masks
        self.families = None if families is None else tuple(families)
        self._ledger, self._held_back, self._overwrite = ledger, held_back, overwrite
        for name in self.families or ():
            if name != "calibration":  # which any classes have
                labels = self.annotation.labels
                family(name, labels.names, regions_of(plan.recipe.regions, labels))
        if masks:
            self._check_masks()
        self._evaluation: Evaluation | None = None

    @property
    def kind(self) -> str:
        """ "cross-validation", "seeds" or "learning-curve"."""
        return self._ledger.kind

    @property
    def finished(self) -> tuple[str, ...]:
        """The members that are trained to the end."""
        return self._ledger.finished

    def events(self, command: str = "") -> Iterator[RepetitionEvent]:
        """Train all that is not trained yet, then judge every network on its images. command: for the checkpoints."""
        self._begin()
        for number, member in enumerate(self.members):
            if member.name in self.finished:
                continue
            yield MemberBegun(member.name, number + 1, len(self.members), number / len(self.members))
            course = member.events(self.data, self.out, device=self.device, command=command)
            with closing(cast("Generator[tuple[float, TrainingEvent]]", course)) as events:
                for share, event in events:
                    yield InMember(member.name, event, (number + share) / len(self.members))
            self._ledger = self._ledger.with_finished(member.name)
            self._ledger.write(self.out)
            yield MemberEnded(member.name, (number + 1) / len(self.members))
        yield from self._judged()

    def results(self) -> Results:
        """Those of all members, once `events` has come to its end."""
        assert self._evaluation is not None, "the events have not come to their end"
        task = self.annotation.task
        judged = self.members, self._evaluation
        return Results.of(self.kind, self.rule, self.out, *judged, task, held_back=self._held_back)

    def predictor(self, member: Member) -> Predictor:
        """A member's best network."""
        return load(self.out / member.name, device=str(self.device))

    def truth(self, member: Member, pair: Pair) -> Truth:
        """An image that a member is judged on; where several may be judged on it, called after both."""
        truth = truths_of([pair], self.annotation)[0]
        if self.families and truth.objects is None:
            truth = replace(truth, objects=read_objects(pair, self.annotation))
        return truth if self.kind == "cross-validation" else replace(truth, name=f"{pair.name} ({member.name})")

    def _judged(self) -> Iterator[Scored]:
        scoring, done = None, 0
        for member in self.members:
            predictor = self.predictor(member)
            scoring = scoring or Scoring(predictor, self.families)
            for pair in member.judged:
                truth = self.truth(member, pair)
                scoring.add(truth, predictor)
                done += 1
                yield Scored(truth.name, done, self._judgements)
            if self.masks:
                images = [pair.image for pair in member.judged]
                for _ in Job(predictor, images, self.out / MASKS, overwrite=True).events():
                    pass
        assert scoring is not None
        self._evaluation = scoring.result()

    @cached_property
    def _judgements(self) -> int:
        return sum(len(member.judged) for member in self.members)

    def _check_masks(self) -> None:
        """OutputError for stacks of which several networks answer a part, and for images of one name."""
        files = {pair.image.path: [self.out / MASKS / stem_of(pair.image.path)] for pair in self.found.pairs}
        check_names(files, (), self.out / MASKS)
        homes = {path: {m.name for m in self.members for p in m.judged if p.image.path == path} for path in files}
        torn = [str(path) for path, names in homes.items() if len(names) > 1]
        if torn:
            raise OutputError(
                f"The pages of {listed(torn)} lie in several folds, whose masks would be one file. Save pages as "
                "single images, or leave --masks out."
            )

    def _begin(self) -> None:
        """The folder and its ledger; with overwrite, nothing of earlier trainings."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            if self._overwrite:
                for folder in self.out.iterdir():
                    if _OURS.fullmatch(folder.name) or folder.name == MASKS:
                        shutil.rmtree(folder)
                for name in (REPORT, RESULTS, SCORES):
                    (self.out / name).unlink(missing_ok=True)
        except OSError as error:
            raise output_error(self.out, error) from error
        self._overwrite = False
        self._ledger.write(self.out)
