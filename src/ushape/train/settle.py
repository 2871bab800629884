"""After a training: what else its checkpoints hold is chosen on the validation images, by the best network.

flips         where the recipe leaves them open (train/turned.py)
temperature   fitted to what the network then answers (train/temperature.py); not where all images are trained on
object rule   where objects are told apart, for the probabilities at that temperature (train/choose.py)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.predict.tiled import Predictor
from ushape.recipe import Recipe
from ushape.train.choose import ObjectsChosen, choose_objects, first_rule, spread
from ushape.train.prepare import Prepared
from ushape.train.temperature import Calibrated, PixelSample, sample_of
from ushape.train.turned import PASSES, FlipsChosen, affordable, choose_flips
from ushape.train.validate import Truth, validated

Settled = FlipsChosen | Calibrated | ObjectsChosen

_CHOSEN = ("flips", "calibration", "object_score", "object_images")  # what a provenance says of it


def settle(
    out: Path,
    prepared: Prepared,
    recipe: Recipe,
    *,
    steps: int,
    device: torch.device,
    tries_flips: bool | None = None,
) -> Iterator[Settled]:
    """Choose with RUN/best.safetensors, write it into both checkpoints of the run, then tell of it.

    recipe: of the training, which took so many steps. tries_flips: whether it left time to try them; the steps tell
    where left out. What an earlier end of it chose counts for nothing.
    """
    told_apart = prepared.annotation.task == "instances"
    best = checkpoint.read(out / "best.safetensors", device)
    best = replace(best, recipe=recipe, object_rule=first_rule(prepared) if told_apart else None)
    flips, calibrated = _settled(best, spread(prepared.truths), steps, tries_flips)
    if not prepared.split.held_back:  # what was learned from is answered with more confidence than it deserves
        calibrated = None
    best = _with(best, flips, calibrated)
    objects = choose_objects(Predictor(best), prepared.truths) if told_apart else None
    about: dict[str, Any] = {}  # Any: JSON
    about |= {"flips": asdict(flips)} if flips else {}
    about |= {"calibration": asdict(calibrated)} if calibrated else {}
    about |= {"object_score": objects.score, "object_images": objects.images} if objects else {}
    for name in ("best.safetensors", "last.safetensors"):
        trained = _with(replace(checkpoint.read(out / name), recipe=recipe), flips, calibrated)
        rule = objects.rule if objects else best.object_rule
        kept = {what: value for what, value in trained.provenance.items() if what not in _CHOSEN}
        checkpoint.write(out / name, replace(trained, object_rule=rule, provenance={**kept, **about}))
    yield from (event for event in (flips, calibrated, objects) if event is not None)


def settling_time(prepared: Prepared, recipe: Recipe) -> float:
    """How long `settle` takes, flips that are only tried aside, in validations.

    The temperature takes one, and objects another; eight each where flips are averaged; fewer of very many images.
    """
    times = 2 if prepared.annotation.task == "instances" else 1
    return times * (PASSES if recipe.prediction.flips is True else 1) * _looked_at(prepared)


def trial_time(prepared: Prepared, recipe: Recipe) -> float:
    """How long it takes to try flips where the recipe leaves them open, in validations."""
    return PASSES * _looked_at(prepared) if recipe.prediction.flips == "auto" else 0.0


def _looked_at(prepared: Prepared) -> float:
    """The share of a validation's pixels that `settle` looks at."""
    seen, every = (sum(truth.classes.size for truth in of) for of in (spread(prepared.truths), prepared.truths))
    return seen / every if every else 0.0


@dataclass(frozen=True, eq=False)
class _Trial:
    """One way to predict: the score of each image, and pixels with their probabilities."""

    scores: list[float]
    sample: PixelSample


def _settled(
    best: Trained, truths: Sequence[Truth], steps: int, tries_flips: bool | None
) -> tuple[FlipsChosen | None, Calibrated | None]:
    wanted, training = best.recipe.prediction.flips, best.recipe.training
    *_, rows, columns = best.model.footprints
    if wanted == "auto" and rows != columns:  # quarter turns exchange them
        wanted = False
    if wanted != "auto":
        return None, _tried(best, truths, flips=wanted).sample.fitted()
    measure = "Dice" if best.object_rule is None else "average precision of objects"
    plain = _tried(best, truths, flips=False)
    if tries_flips is None:
        pixels = sum(truth.classes.size for truth in truths)
        patch = math.prod(training.output_sizes(best.model.axes))
        tries_flips = affordable(pixels, steps * training.batch * patch)
    if not tries_flips:
        return FlipsChosen(False, measure, 0), plain.sample.fitted()
    turned = _tried(best, truths, flips=True)
    chosen = choose_flips(plain.scores, turned.scores, [truth.group for truth in truths], measure)
    return chosen, (turned if chosen.kept else plain).sample.fitted()


def _tried(best: Trained, truths: Sequence[Truth], *, flips: bool) -> _Trial:
    """At temperature 1, whatever the checkpoint has."""
    plain = replace(best, labels=replace(best.labels, temperature=1.0))
    predictor = Predictor(plain, flips=flips)
    rng = np.random.default_rng(best.recipe.seed)
    sample = sample_of([truth.classes for truth in truths], best.labels.classes, rng)
    return _Trial([_score(predictor, truth, sample) for truth in truths], sample)


def _score(predictor: Predictor, truth: Truth, sample: PixelSample) -> float:
    """Of one image: of its objects where these are told apart, else its foreground Dice; NaN where undefined."""
    validation = validated(predictor, [truth], sample)
    dice = validation.table.summary().foreground.dice.mean
    return dice if validation.objects is None else validation.objects


def _with(trained: Trained, flips: FlipsChosen | None, calibrated: Calibrated | None) -> Trained:
    labels = replace(trained.labels, temperature=calibrated.temperature if calibrated else 1.0)
    recipe = trained.recipe.changed(prediction={"flips": flips.kept}) if flips else trained.recipe
    return replace(trained, labels=labels, recipe=recipe)
