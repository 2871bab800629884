"""DIR/comparison.json: what a comparison was begun with, so that it goes on with nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ushape.atomic import write_whole
from ushape.data.pair import listed
from ushape.device import Precision
from ushape.errors import CheckpointError, OutputError

FORMAT = "ushape comparison 1"
LEDGER = "comparison.json"


@dataclass(frozen=True)
class Ledger:
    """All that decides on the outcomes: the images by name, each with a digest; the machine; each entrant's recipe.

    Entrants and seeds may be added later: each training stands for itself.
    """

    training: Mapping[str, str]
    test: Mapping[str, str]
    machine: Mapping[str, str]
    recipes: Mapping[str, Mapping[str, Any]]  # Any: as Recipe.to_dict gives them

    def write(self, out: Path) -> None:
        """The file, complete or not there."""
        values = {"format": FORMAT, **{name: getattr(self, name) for name in self.__dataclass_fields__}}
        write_whole(out / LEDGER, json.dumps(values, indent=1) + "\n")

    @staticmethod
    def read(out: Path) -> Ledger:
        """CheckpointError for a file that is damaged, or of another version."""
        path = out / LEDGER
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != FORMAT:
                raise ValueError(f"it is no {FORMAT}")
            return Ledger(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged: {error}. Begin anew with --overwrite.") from error

    def precision_of(self, entrant: str) -> Precision:
        """In which a comparison that goes on computes, too, as was measured once; a new entrant as the first."""
        recipe = self.recipes.get(entrant) or next(iter(self.recipes.values()))
        precision: Precision = recipe["training"]["precision"]
        return precision

    def with_earlier(self, before: Ledger) -> Ledger:
        """This ledger, with the entrants of an earlier one that this one does not name."""
        return Ledger(self.training, self.test, self.machine, {**before.recipes, **self.recipes})

    def require_same(self, before: Ledger, out: Path) -> None:
        """CheckpointError, with every difference, where an earlier comparison was begun with something else."""
        differences = [
            *image_differences("training images", before.training, self.training),
            *image_differences("test images", before.test, self.test),
            *(
                f"{name} was {before.machine.get(name)} and is {now}"
                for name, now in self.machine.items()
                if before.machine.get(name) != now
            ),
        ]
        for entrant, recipe in self.recipes.items():
            if entrant in before.recipes:
                differences += recipe_differences(entrant, before.recipes[entrant], recipe)
        if differences:
            raise CheckpointError(
                f"The comparison in {out} was begun with something else: {'; '.join(differences)}. Go on with what it "
                "began with, choose another --out, or begin anew with --overwrite."
            )


def check_place(out: Path, *, overwrite: bool, ledger: str = LEDGER, kind: str = "comparison") -> None:
    """OutputError where `out` is a file, or a folder without this ledger, of something else: that is never overwritten.

    kind: what the folder is to hold, in a word.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the {kind}.")
    held = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if held and ledger not in held:
        overwritten = f"; --overwrite only replaces a {kind}" if overwrite else ""
        raise OutputError(f"{out} holds something else: {listed(held, most=4)}{overwritten}. Choose another folder.")


def image_differences(kind: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What has become of images by name, each with its digest."""
    gone, new = before.keys() - now.keys(), now.keys() - before.keys()
    changed = [name for name in before.keys() & now.keys() if before[name] != now[name]]
    for names, words in ((gone, "are gone"), (new, "are new"), (changed, "have changed")):
        if names:
            yield f"of the {kind} {listed(sorted(names))} {words}"


def recipe_differences(whose: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Every setting but the names of the images, which have been compared."""
    for table, values in now.items():
        earlier = before.get(table)
        if not isinstance(values, Mapping) or not isinstance(earlier, Mapping):
            if earlier != values:
                yield f"{table} of {whose} was {earlier!r} and is {values!r}"
            continue
        for key, value in values.items():
            if earlier.get(key) != value and (table, key) != ("data", "include"):
                yield f"{table}.{key} of {whose} was {earlier.get(key)!r} and is {value!r}"
