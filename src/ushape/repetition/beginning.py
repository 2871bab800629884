"""What all trainings of a repetition begin with: a folder that was looked at, and one recipe, planned once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ushape.checkpoint import ENSEMBLE
from ushape.compare.ledger import check_place
from ushape.data.annotation import Annotation
from ushape.data.folder import Survey
from ushape.device import choose_device
from ushape.recipe import Recipe, merged
from ushape.repetition.ledger import Kind, Ledger
from ushape.train.plan import Plan, plan
from ushape.train.prepare import look
from ushape.train.run import with_precision
from ushape.train.session import wanted_axes, wanted_data

Tables = Mapping[str, Any]  # Any: settings of every kind, as `ushape.recipe.read` gives them


@dataclass(frozen=True)
class Beginning:
    """tables: what is asked for, the budget included. before: what is gone on with, None for a new repetition."""

    data: Path
    out: Path
    tables: Tables
    device: torch.device
    found: Survey
    annotation: Annotation
    before: Ledger | None

    @staticmethod
    def of(data: Path, out: Path, tables: Tables, *, device: str | None, overwrite: bool) -> Beginning:
        """Look at both folders. OutputError for a place of something else, DataError with every fault of the images."""
        check_place(out, overwrite=overwrite, ledger=ENSEMBLE, kind="cross-validation or training with several seeds")
        place = choose_device(device)
        before = Ledger.read(out) if (out / ENSEMBLE).exists() and not overwrite else None
        found, annotation = look(data, wanted_data(tables), wanted_axes(tables))
        return Beginning(data, out, tables, place, found, annotation, before)

    @property
    def seed(self) -> int:
        return int(self.tables.get("seed", 0))

    def planned(self, kind: Kind, judged: Mapping[str, tuple[str, ...]]) -> tuple[Plan, Ledger]:
        """The recipe of all, and the ledger to keep; CheckpointError where another was begun in this folder.

        Settings that nobody asked for are planned from all images and this machine, once: who goes on finds them in
        the ledger. They follow from sizes and from how much each class covers.
        """
        asked = merged(Recipe(), self.tables).to_dict()
        images = {pair.name: self._digest(pair.name) for pair in self.found.pairs}
        now = Ledger(kind, images, asked, {}, judged)
        if self.before is not None:
            now.require_same(self.before, self.out)
            recipe = Recipe.from_dict(self.before.recipe)
            return Plan(recipe, ()), replace(now, recipe=self.before.recipe, finished=self.before.finished)
        chosen = plan(self.found, self.annotation, self.tables, self.device)
        recipe = with_precision(chosen.recipe, self.device)
        recipe = replace(recipe, data=replace(recipe.data, task=self.annotation.task))
        return Plan(recipe, chosen.reasons), replace(now, recipe=json.loads(json.dumps(recipe.to_dict())))

    def _digest(self, name: str) -> str:
        return f"{self.found.images[name].digest} {self.annotation.counts.get(name, ())}"
