"""Maps of numbers that a job writes beside its masks: how probable each class is, and where not to trust the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ushape.labels import Labels
from ushape.predict.predicted import Predicted


@dataclass(frozen=True)
class NumberMap:
    """A float32 map. ending: of its file's name, after the stem of the image; number: of the class it is of."""

    what: str
    ending: str
    kind: Literal["probability", "uncertainty"]
    number: int = 0

    def values(self, tile: Predicted, labels: Labels) -> NDArray[np.float32]:
        """(h, w) of a tile, from 0 to 1."""
        if self.kind == "uncertainty":
            return labels.uncertainty(tile.probability)
        probability: NDArray[np.float32] = tile.probability[self.number]
        return probability


def maps_of(labels: Labels, *, probability: bool, uncertainty: bool) -> Iterator[NumberMap]:
    """The maps that are wanted: the probability of each foreground class; the uncertainty of the decision."""
    for k in labels.foreground if probability else ():
        yield NumberMap(f"probability of {labels.names[k]}", f"_probability{_of_class(labels, k)}", "probability", k)
    if uncertainty:
        yield NumberMap("uncertainty", "_uncertainty", "uncertainty")


def _of_class(labels: Labels, number: int) -> str:
    """What tells the file of one class from those of others: nothing where there is only one."""
    if labels.classes == 2:
        return ""
    names = ["".join(c if c.isalnum() else "-" for c in name) for name in labels.names]
    alone = [name.casefold() for name in names].count(names[number].casefold()) == 1
    return f"_{names[number]}" if alone else f"_{names[number]}-{number}"
