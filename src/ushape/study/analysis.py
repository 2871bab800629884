"""A trained network looked into: wrong pixels by their distance from the border, gradients, and skips cut one by one.

CELL/study.json holds what was found, beside the network in the folder of its training (compare/cell.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ushape.atomic import write_whole
from ushape.checkpoint import Trained
from ushape.data.annotation import Annotation
from ushape.data.borders import separated
from ushape.data.pair import Pair
from ushape.data.patches import Batch
from ushape.errors import CheckpointError
from ushape.labels import IGNORED
from ushape.metrics.pixels import PixelScores, confusion
from ushape.models.unet import UNet
from ushape.predict.tiled import Predictor
from ushape.study.bands import BandErrors, band_errors
from ushape.study.cuts import Place, cut, skips_of
from ushape.study.gradients import Energy, gradient_norms
from ushape.train.prepare import truths_of
from ushape.train.validate import Truth

FORMAT = "ushape study of skips 1"
ANALYSIS = "study.json"


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was found in one network.

    bands: of every test image. dice: of every test image, with all skips; cuts: of the images judged without one of
    them, NaN where undefined. judged: which of the test images these are, by their place among all.
    gradients_before, gradients_after: norms in each level of the contracting path, from the top down, with the weights
    that the training began with, and with those it ended with.
    """

    bands: tuple[BandErrors, ...]
    dice: tuple[float, ...]
    judged: tuple[int, ...]
    cuts: Mapping[Place, tuple[float, ...]]
    gradients_before: tuple[float, ...]
    gradients_after: tuple[float, ...]

    def write(self, path: Path) -> None:
        """The file, complete or not there."""
        values = {
            "format": FORMAT,
            "bands": [{"pixels": of.pixels.tolist(), "errors": of.errors.tolist()} for of in self.bands],
            "dice": _plain(self.dice),
            "judged": list(self.judged),
            "cuts": [{"kind": at.kind, "level": at.level, "dice": _plain(dice)} for at, dice in self.cuts.items()],
            "gradients_before": list(self.gradients_before),
            "gradients_after": list(self.gradients_after),
        }
        write_whole(path, json.dumps(values, allow_nan=False) + "\n")

    @staticmethod
    def read(path: Path) -> Analysis:
        """CheckpointError for a file that is none of ours, or damaged."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise ValueError(f"it is no {FORMAT}")
            return Analysis(
                bands=tuple(BandErrors(np.array(of["pixels"]), np.array(of["errors"])) for of in values["bands"]),
                dice=_with_nan(values["dice"]),
                judged=tuple(values["judged"]),
                cuts={Place(of["kind"], of["level"]): _with_nan(of["dice"]) for of in values["cuts"]},
                gradients_before=tuple(values["gradients_before"]),
                gradients_after=tuple(values["gradients_after"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path} is damaged: {error}. Delete it, and the same command looks into that network again."
            ) from error


def analysed(
    trained: Trained,
    before: UNet,
    pairs: Sequence[Pair],
    annotation: Annotation,
    batches: Sequence[Batch],
    energy: Energy,
    *,
    most_judged: int,
) -> Generator[float, None, Analysis]:
    """Yields the share that is done, and returns what was found.

    before: the network with the weights that the training began with. most_judged: on how many images, evenly spread,
    skips are cut.
    """
    net = trained.model
    assert isinstance(net, UNet), type(net)
    levels = [f"contracting.{level}" for level in range(net.depth + 1)]
    norms = [tuple(gradient_norms(model, levels, batches, energy)) for model in (before, net)]
    predictor, places = Predictor(trained, flips=False), skips_of(net)
    judged = tuple(range(0, len(pairs), -(-len(pairs) // most_judged)))
    bands, dice = [], []
    cuts: dict[Place, list[float]] = {place: [] for place in places}
    for number, pair in enumerate(pairs):
        truth = truths_of([pair], annotation)[0]
        wanted = asked(truth)
        answer = predictor.whole(truth.source)[0]
        bands.append(band_errors(wanted, answer))
        dice.append(_dice(wanted, answer, trained))
        for place in places if number in judged else ():
            with cut(net, place):
                cuts[place].append(_dice(wanted, predictor.whole(truth.source)[0], trained))
        yield (number + 1) / len(pairs)
    found = {place: tuple(of) for place, of in cuts.items()}
    return Analysis(tuple(bands), tuple(dice), judged, found, gradients_before=norms[0], gradients_after=norms[1])


def asked(truth: Truth) -> NDArray[np.uint8]:
    """(H, W) class numbers that the network was trained to answer: touching objects are set apart."""
    if truth.objects is None:
        return truth.classes
    apart = (separated(truth.objects) > 0).astype(np.uint8)
    return np.where(truth.classes == IGNORED, truth.classes, apart)


def _dice(wanted: NDArray[np.uint8], answer: NDArray[np.uint8], trained: Trained) -> float:
    return PixelScores.of(confusion(wanted, answer, trained.labels.classes)).mean_dice


def _plain(scores: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(score) else score for score in scores]


def _with_nan(scores: Sequence[Any]) -> tuple[float, ...]:
    return tuple(math.nan if score is None else float(score) for score in scores)
