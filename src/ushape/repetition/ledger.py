"""DIR/ensemble.json: the trainings of a repetition, which of them are done, and what all were begun with.

`ushape.ensemble` reads the names from it, so that the folder answers as one predictor once all are done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ushape.atomic import write_whole
from ushape.checkpoint import ENSEMBLE
from ushape.compare.ledger import image_differences, recipe_differences
from ushape.ensemble import FORMAT, members_in
from ushape.errors import CheckpointError

Kind = Literal["cross-validation", "seeds", "learning-curve"]
_FOLDERS: dict[Kind, str] = {
    "cross-validation": "a cross-validation",
    "seeds": "trainings with several seeds",
    "learning-curve": "a learning curve",
}


@dataclass(frozen=True)
class Ledger:
    """images: by name, each with a digest. asked: the recipe as far as it was asked for; recipe: the one that is
    trained, planned once. judged: the images on which each member is judged, by its name. finished: members.
    """

    kind: Kind
    images: Mapping[str, str]
    asked: Mapping[str, Any]  # Any: as Recipe.to_dict gives it
    recipe: Mapping[str, Any]
    judged: Mapping[str, tuple[str, ...]]
    finished: tuple[str, ...] = ()

    def write(self, out: Path) -> None:
        """The file, complete or not there."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values = {"format": FORMAT, "members": list(self.judged), **own}
        write_whole(out / ENSEMBLE, json.dumps(values, indent=1) + "\n")

    @staticmethod
    def read(out: Path) -> Ledger:
        """CheckpointError for a file that is damaged, or of another version."""
        members_in(out)
        values = json.loads((out / ENSEMBLE).read_text(encoding="utf-8"))
        try:
            own = {name: values[name] for name in Ledger.__dataclass_fields__}
            judged = {name: tuple(images) for name, images in own["judged"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{out / ENSEMBLE} does not say what its trainings were begun with ({error}). Begin anew with "
                "--overwrite."
            ) from error
        return Ledger(**{**own, "judged": judged, "finished": tuple(own["finished"])})

    def with_finished(self, name: str) -> Ledger:
        """One more member is done."""
        return replace(self, finished=(*self.finished, name))

    def require_same(self, before: Ledger, out: Path) -> None:
        """CheckpointError, with every difference, where the trainings in `out` were begun with something else."""
        differences = list(self._differences(before))
        if differences:
            raise CheckpointError(
                f"The trainings in {out} were begun with something else: {'; '.join(differences)}. Go on with what "
                "they began with, choose another --out, or begin anew with --overwrite."
            )

    def _differences(self, before: Ledger) -> Iterator[str]:
        if self.kind != before.kind:
            yield f"it holds {_FOLDERS[before.kind]}, not {_FOLDERS[self.kind]}"
            return
        yield from image_differences("images", before.images, self.images)
        yield from recipe_differences("the recipe", before.asked, json.loads(json.dumps(self.asked)))
        were, are = before.judged, self.judged
        if self.kind == "seeds" and set(were) - set(are):
            yield f"there were {len(were)} seeds and are {len(are)}; more may join, but none may leave"
        elif self.kind != "seeds" and len(were) != len(are):
            parts = "folds" if self.kind == "cross-validation" else "parts"
            yield f"there were {len(were)} {parts} and are {len(are)}"
        elif before.images == self.images:
            others = [name for name in were if were[name] != are[name]]
            if others:
                yield f"other images are held back in {', '.join(others)}"
