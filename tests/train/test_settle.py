"""What the checkpoints of a finished training get from the validation images: flips, a temperature, an object rule."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.labels import IGNORED
from ushape.metrics.calibration import Calibration
from ushape.predict.tiled import Predictor
from ushape.recipe import DataRecipe, ModelRecipe, PredictionRecipe, Recipe, TrainingRecipe
from ushape.train import choose
from ushape.train.choose import ObjectsChosen, choose_objects
from ushape.train.run import Run
from ushape.train.settle import Settled, settle, settling_time, trial_time
from ushape.train.temperature import Calibrated
from ushape.train.turned import FlipsChosen
from ushape.train.validate import validated

CPU = torch.device("cpu")
MANY_STEPS = 10**6  # as if there had been: a trial costs next to nothing beside them


def recipe(task: str, flips: bool | str = "auto") -> Recipe:
    return Recipe(
        model=ModelRecipe("unet", {"width": 4, "depth": 1, "padding": "same"}),
        data=DataRecipe(task=task, validation_fraction=0.4),  # type: ignore[arg-type]
        training=TrainingRecipe(
            steps=20, output_size=16, batch=2, validations=1, learning_rate=3e-2, precision="float32"
        ),
        prediction=PredictionRecipe(flips=flips),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A training that is over, of classes or of objects; nobody changes its folder."""
    made: dict[str, Run] = {}

    def of(task: str) -> Run:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            data = drawn(folder / "data", numbered=task == "instances")
            made[task] = Run(data, folder / "run", recipe(task), device=CPU)
            for _ in made[task].events():
                pass
        return made[task]

    return of


def drawn(root: Path, *, numbered: bool) -> Path:
    """Five images of two squares on noise."""
    rng = np.random.default_rng(0)
    for name in "abcde":
        image, mask = rng.integers(0, 120, (28, 36)), np.zeros((28, 36), np.uint8)
        for number, (y, x) in enumerate([(3, 4), (15, 20)], start=1):
            image[y : y + 8, x : x + 8] += 100
            mask[y : y + 8, x : x + 8] = number if numbered else 255
        for kind, pixels in (("images", image), ("masks", mask)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            np.save(root / kind / f"{name}.npy", pixels.astype(np.uint8))
    return root


def settled(
    run: Run, out: Path, wanted: Recipe | None = None, *, steps: int = 20, tries: bool | None = None
) -> list[Settled]:
    if not out.exists():
        shutil.copytree(run.out, out)
    return list(settle(out, run.prepared, wanted or run.recipe, steps=steps, device=CPU, tries_flips=tries))


def both(out: Path) -> list[Trained]:
    return [checkpoint.read(out / f"{name}.safetensors") for name in ("best", "last")]


def untempered(trained: Trained) -> Trained:
    return replace(trained, labels=replace(trained.labels, temperature=1.0))


def pooled(trained: Trained, run: Run, *, flips: bool = False) -> Calibration:
    answers = [(truth.classes, Predictor(trained, flips=flips).whole(truth.source)[1]) for truth in run.prepared.truths]
    return sum((Calibration.of(*answer) for answer in answers), Calibration.none(2))


def test_the_temperature_is_in_both_checkpoints_and_nothing_else_changes(finished, tmp_path: Path):
    run = finished("semantic")
    before = both(run.out)
    flips, calibrated = settled(run, tmp_path / "run")
    assert isinstance(flips, FlipsChosen) and isinstance(calibrated, Calibrated)
    for old, new in zip(before, both(tmp_path / "run"), strict=True):
        assert new.labels == replace(old.labels, temperature=calibrated.temperature)
        assert new.provenance["calibration"] == asdict(calibrated)
        assert (new.intensity, new.object_rule) == (old.intensity, None)
        weights = old.model.state_dict()
        assert all(torch.equal(tensor, weights[name]) for name, tensor in new.model.state_dict().items())
        for truth in run.prepared.truths:
            masks = [Predictor(trained).whole(truth.source)[0] for trained in (old, new)]
            np.testing.assert_array_equal(*masks)


def test_it_is_the_best_for_the_best_network_on_the_validation_images(finished, tmp_path: Path):
    run = finished("semantic")
    calibrated = settled(run, tmp_path / "run")[-1]
    assert isinstance(calibrated, Calibrated)
    best = both(tmp_path / "run")[0]
    assert calibrated.before == pytest.approx(pooled(untempered(best), run).ece, abs=1e-5)
    assert calibrated.after == pytest.approx(pooled(best, run).ece, abs=1e-5)
    assert calibrated.pixels == sum(truth.classes.size for truth in run.prepared.truths)
    surprise = pooled(best, run).scores()["nll"]
    for factor in (0.9, 1.1):
        other = replace(best, labels=replace(best.labels, temperature=calibrated.temperature * factor))
        assert pooled(other, run).scores()["nll"] > surprise


def test_where_the_training_knows_whether_there_is_time_steps_do_not_tell(finished, tmp_path: Path):
    run = finished("semantic")
    (flips, _) = settled(run, tmp_path / "no", steps=MANY_STEPS, tries=False)
    assert flips == FlipsChosen(False, "Dice", 0)
    (flips, _) = settled(run, tmp_path / "yes", tries=True)
    assert isinstance(flips, FlipsChosen) and flips.gain is not None


def test_few_steps_try_no_flips_and_many_do(finished, tmp_path: Path):
    run = finished("semantic")
    (flips, _) = settled(run, tmp_path / "few")
    assert flips == FlipsChosen(False, "Dice", 0)
    assert [trained.recipe.prediction.flips for trained in both(tmp_path / "few")] == [False, False]
    (flips, _) = settled(run, tmp_path / "many", steps=MANY_STEPS)
    assert isinstance(flips, FlipsChosen) and flips.images == 2 and flips.gain is not None
    best = untempered(both(tmp_path / "many")[0])
    scores = [
        np.array([validated(Predictor(best, flips=way), [truth]).dice for truth in run.prepared.truths])
        for way in (False, True)
    ]
    assert flips.gain == pytest.approx(float((scores[1] - scores[0]).mean()))
    for trained in both(tmp_path / "many"):
        assert trained.recipe.prediction.flips is flips.kept
        assert trained.provenance["flips"]["gain"] == flips.gain


@pytest.mark.parametrize("flips", [True, False])
def test_who_decides_on_flips_is_left_alone_and_the_temperature_is_of_what_is_predicted(
    finished, tmp_path: Path, flips: bool
):
    run = finished("semantic")
    (calibrated,) = settled(run, tmp_path / "run", recipe("semantic", flips), steps=MANY_STEPS)
    assert isinstance(calibrated, Calibrated)
    best = both(tmp_path / "run")[0]
    assert best.recipe.prediction.flips is flips and "flips" not in best.provenance
    assert calibrated.after == pytest.approx(pooled(best, run, flips=flips).ece, abs=1e-5)


def test_flips_that_help_are_kept(finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run, kept = finished("semantic"), FlipsChosen(True, "Dice", 2, 0.1, (0.05, 0.15))
    monkeypatch.setattr("ushape.train.settle.choose_flips", lambda *_: kept)
    (flips, calibrated) = settled(run, tmp_path / "run", steps=MANY_STEPS)
    assert flips == kept and isinstance(calibrated, Calibrated)
    best = both(tmp_path / "run")[0]
    assert Predictor(best).flips and not Predictor(best, flips=False).flips
    assert calibrated.after == pytest.approx(pooled(best, run, flips=True).ece, abs=1e-5)


def test_objects_are_found_in_calibrated_probabilities(finished, tmp_path: Path):
    run = finished("instances")
    flips, calibrated, chosen = settled(run, tmp_path / "run")
    assert isinstance(flips, FlipsChosen) and flips.measure == "average precision of objects"
    assert isinstance(calibrated, Calibrated) and isinstance(chosen, ObjectsChosen)
    best = both(tmp_path / "run")[0]
    assert best.labels.temperature == calibrated.temperature
    assert choose_objects(Predictor(best), run.prepared.truths) == chosen
    for trained in both(tmp_path / "run"):
        assert trained.object_rule == chosen.rule
        assert (trained.provenance["object_score"], trained.provenance["object_images"]) == (chosen.score, 2)


@pytest.mark.parametrize("task", ["semantic", "instances"])
def test_to_settle_again_gives_the_same(finished, tmp_path: Path, task: str):
    run = finished(task)
    first = settled(run, tmp_path / "run", steps=MANY_STEPS)
    before = [(each.labels, each.recipe, each.object_rule, each.provenance) for each in both(tmp_path / "run")]
    assert settled(run, tmp_path / "run", steps=MANY_STEPS) == first
    after = [(each.labels, each.recipe, each.object_rule, each.provenance) for each in both(tmp_path / "run")]
    assert after == before


def test_where_nothing_is_annotated_the_temperature_is_1(finished, tmp_path: Path):
    run = finished("semantic")

    def ignored(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.full_like(classes, IGNORED)

    shutil.copytree(run.out, tmp_path / "run")
    truths = tuple(replace(truth, classes=ignored(truth.classes)) for truth in run.prepared.truths)
    prepared = replace(run.prepared, truths=truths)
    events = list(settle(tmp_path / "run", prepared, run.recipe, steps=20, device=CPU))
    assert events == [FlipsChosen(False, "Dice", 0)]
    assert [trained.labels.temperature for trained in both(tmp_path / "run")] == [1, 1]


@pytest.mark.parametrize(
    ("task", "flips", "validations"), [("semantic", "auto", 1), ("instances", False, 2), ("instances", True, 16)]
)
def test_the_time_it_takes_is_known_before_in_validations(finished, monkeypatch, task, flips, validations):
    prepared = finished(task).prepared
    assert settling_time(prepared, recipe(task, flips)) == validations
    assert trial_time(prepared, recipe(task, flips)) == (8 if flips == "auto" else 0)
    assert settling_time(replace(prepared, truths=()), recipe(task, flips)) == 0
    monkeypatch.setattr(choose, "_MOST_PIXELS", prepared.truths[0].classes.size)
    assert len(prepared.truths) == 2
    assert settling_time(prepared, recipe(task, flips)) == validations / 2
