"""After a training that tells objects apart: how its probabilities become objects, chosen on the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ushape.labels import IGNORED
from ushape.object_rule import ObjectRule
from ushape.predict.object_fit import fit_rule
from ushape.predict.tiled import Predictor
from ushape.train.prepare import Prepared
from ushape.train.validate import Truth

_SPECK = 1 / 16  # of the median object
_MOST_PIXELS = 8 * 2**20  # of all images together; more would take longer than it teaches


@dataclass(frozen=True)
class ObjectsChosen:
    """The rule, and its mean average precision over IoU 0.5 … 0.9 on the images it was chosen on."""

    rule: ObjectRule
    score: float
    images: int

    def in_words(self) -> str:
        """One line."""
        return f"{self.rule.in_words()}; average precision {self.score:.4f} over IoU .5 … .9"


def first_rule(prepared: Prepared) -> ObjectRule:
    """What serves while a network is in training: connected regions, but for specks beside the objects trained on."""
    sizes = [
        np.unique(example.objects.numpy()[example.objects.numpy() > 0], return_counts=True)[1]
        for example in prepared.examples
        if example.objects is not None and example.objects.any()
    ]
    median_px = float(np.median(np.concatenate(sizes))) if sizes else 0.0
    return ObjectRule(smallest_px=max(1, round(_SPECK * median_px)))


def choose_objects(predictor: Predictor, truths: Sequence[Truth]) -> ObjectsChosen | None:
    """The best rule for a network's foreground; None where no validation image has an object to judge by."""
    judged = spread([t for t in truths if t.objects is not None and t.objects.any()])
    if not judged:
        return None
    fitted = fit_rule(
        [predictor.whole(truth.source)[1][1] for truth in judged],
        [truth.objects for truth in judged if truth.objects is not None],
        [truth.classes == IGNORED for truth in judged],
    )
    return ObjectsChosen(fitted.rule, fitted.score, len(judged))


def spread(truths: Sequence[Truth]) -> list[Truth]:
    """Of many images, evenly chosen ones."""
    pixels = sum(truth.classes.size for truth in truths)
    return list(truths[:: -(-pixels // _MOST_PIXELS)]) if truths else []
