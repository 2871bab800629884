"""The report of a training: what it scored, what it shows, what it says about itself."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from ushape.evaluate import RunEvaluation
from ushape.images.simulated import write_folder
from ushape.metrics.families import FamilyName
from ushape.object_rule import ObjectRule
from ushape.predict.tiled import Predictor
from ushape.report.training import write_evaluation_report, write_training_report
from ushape.train.prepare import Prepared, prepare
from ushape.train.session import train
from ushape.train.turned import FlipsChosen

Read = type[Any]  # Any: the page read back, of conftest.py

RECIPE = {"model": {"options": {"width": 2, "depth": 2}}, "training": {"output_size": 32, "validations": 3}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predictor, Prepared]:
    """A run of a few steps on five small micrographs, its network, and what it was trained on."""
    folder = tmp_path_factory.mktemp("report")
    write_folder(folder / "data", "cells", count=5, height_width=(64, 72), seed=3)
    predictor = train(folder / "data", folder / "run", steps=6, recipe=RECIPE, device="cpu")
    return folder / "run", predictor, prepare(folder / "data", predictor.trained.recipe)


@pytest.fixture(scope="module")
def run_of_objects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predictor, Prepared]:
    """The same of numbered cells."""
    folder = tmp_path_factory.mktemp("objects")
    write_folder(folder / "data", "cells", count=5, height_width=(96, 80), seed=3, instances=True)
    recipe = {**RECIPE, "data": {"task": "instances"}}
    predictor = train(folder / "data", folder / "run", steps=6, recipe=recipe, device="cpu")
    return folder / "run", predictor, prepare(folder / "data", predictor.trained.recipe)


def test_a_training_is_told_on_one_page(run: tuple[Path, Predictor, Prepared]) -> None:
    folder, predictor, prepared = run
    scores = write_training_report(folder, predictor, prepared.truths)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{scores.table.summary().foreground.dice.mean:.3f}" in page
    assert f"{predictor.trained.model.parameter_count:,} parameters" in page
    assert all(truth.name in page for truth in prepared.truths)
    assert "Loss in training" in page and "Scores in validation" in page
    assert page.count("data:image/") >= len(prepared.truths)


def test_the_scores_are_those_of_the_best_checkpoint_in_validation(run: tuple[Path, Predictor, Prepared]) -> None:
    folder, predictor, prepared = run
    scores = write_training_report(folder, predictor, prepared.truths).to_dict()
    in_training = predictor.trained.provenance["validation_scores"]
    of_run, of_report = (s["summary"]["foreground"]["dice"]["mean"] for s in (in_training, scores))
    assert of_report == pytest.approx(of_run, abs=0.02)  # perhaps bfloat16 in training, exact here


def test_an_evaluation_says_which_images_were_trained_on(run: tuple[Path, Predictor, Prepared], tmp_path: Path) -> None:
    folder, predictor, prepared = run
    evaluation = RunEvaluation(predictor, folder.parent / "data")
    assert [event.done for event in evaluation.events()] == [1, 2, 3, 4, 5]
    result = evaluation.result()
    truths = [evaluation.truth(pair) for pair in evaluation.pairs]
    write_evaluation_report(tmp_path / "page.html", predictor, result, truths)
    assert set(result.trained_on) == {pair.name for pair in prepared.split.training}
    assert f"{len(result.trained_on)} of these images were trained on" in (tmp_path / "page.html").read_text("utf-8")


def test_the_temperature_and_what_flips_gained_stand_on_the_page(
    run: tuple[Path, Predictor, Prepared], tmp_path: Path, read: Read
) -> None:
    folder, predictor, prepared = run
    flips = FlipsChosen(False, "Dice", 1, 0.001)
    about = {**predictor.trained.provenance, "flips": json.loads(json.dumps(asdict(flips)))}
    labels = replace(predictor.trained.labels, temperature=1.5)
    warm = Predictor(replace(predictor.trained, labels=labels, provenance=about))
    shutil.copy(folder / "log.csv", tmp_path / "log.csv")
    evaluation = write_training_report(tmp_path, warm, prepared.truths)
    seen = read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert evaluation.confidence is not None
    for words in (
        evaluation.confidence.in_words(),
        "at temperature 1.5",
        "left out: +0.0010 Dice at 8 × the time",
        "Reliability",
        "The temperature was fitted on the validation images, which flatters the calibration error.",
    ):
        assert words in seen.text
    assert seen.faults == []


# Objects


def test_a_network_that_tells_objects_apart_says_how_and_how_well(
    run_of_objects: tuple[Path, Predictor, Prepared], read: Read
) -> None:
    folder, predictor, prepared = run_of_objects
    assert predictor.trained.object_rule is not None
    evaluation = write_training_report(folder, predictor, prepared.truths)
    seen = read((folder / "report.html").read_text(encoding="utf-8"))
    for words in (
        predictor.trained.object_rule.in_words(),
        "with border weights unet-2015",
        "Scores of objects on 1 validation image",
        "was chosen on the validation images, which flatters",
        "F1 of objects",
    ):
        assert words in seen.text
    (objects,) = evaluation.measures
    scores = {row[0]: row[1:] for row in seen.cells if len(row) == 4}
    assert scores["aggregated jaccard"] == ["1"] + [f"{objects.folder['aggregated_jaccard']:.3f}"] * 2
    f1 = objects.images[0]["f1_50"]
    assert f"F1 of objects {f1:.3f}" in next(v for _, name, v in seen.attributes if name == "alt")
    assert seen.faults == []


def test_other_trainings_say_nothing_of_objects(run: tuple[Path, Predictor, Prepared]) -> None:
    folder, predictor, prepared = run
    assert write_training_report(folder, predictor, prepared.truths).measures == ()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "objects" not in page and "border weights" not in page


def test_every_family_that_was_asked_for_has_its_table(
    run: tuple[Path, Predictor, Prepared], tmp_path: Path, read: Read
) -> None:
    folder, trained, _ = run
    predictor = Predictor(trained.trained, regions={"what is drawn": list(trained.trained.labels.names[1:])})
    wanted = get_args(FamilyName)
    course = RunEvaluation(predictor, folder.parent / "data", include="*00[01]", families=wanted)
    for _ in course.events():
        pass
    truths = [course.truth(pair) for pair in course.pairs]
    write_evaluation_report(tmp_path / "page.html", predictor, course.result(), truths)
    seen = read((tmp_path / "page.html").read_text(encoding="utf-8"))
    for family in wanted:
        assert f"Scores of {family} on 2 images" in seen.text
    rows = [row for row in seen.cells if len(row) == 4 and row[0] != "Score"]
    figures = [(name, figure) for of in course.result().measures for name, figure in of.figures().items()]
    assert [row[0] for row in rows] == [name.replace("_", " ") for name, _ in figures]
    for (_, images, mean, folder_figure), (_, figure) in zip(rows, figures, strict=True):
        assert mean.startswith("–" if math.isnan(figure.mean) else f"{figure.mean:.3f}") and images in ("0", "1", "2")
        assert folder_figure == ("–" if math.isnan(figure.pooled) else f"{figure.pooled:.3f}")
    assert seen.faults == [] and "nan" not in seen.text.replace("predominant", "")


def test_pictures_draw_a_line_between_objects_that_touch(
    run_of_objects: tuple[Path, Predictor, Prepared], tmp_path: Path, read: Read
) -> None:
    """A truth that is all one object has no outline; cut into two halves, it has a line where they meet."""
    folder, predictor, prepared = run_of_objects
    everything = replace(predictor.trained, object_rule=ObjectRule(threshold=0.001, fill_holes=False))
    (truth,) = prepared.truths
    halves = np.ones(truth.classes.shape, dtype=np.int32)
    halves[:, 40:] = 2
    for name, objects in (("one", np.ones_like(halves)), ("two", halves)):
        course = RunEvaluation(Predictor(everything), folder.parent / "data", include=truth.name)
        for _ in course.events():
            pass
        drawn = replace(truth, objects=objects, classes=np.ones_like(truth.classes))
        write_evaluation_report(tmp_path / f"{name}.html", Predictor(everything), course.result(), [drawn])
    one, two = (
        np.asarray(read((tmp_path / f"{name}.html").read_text("utf-8")).images()[0].convert("RGB")).astype(int)
        for name in ("one", "two")
    )
    differs = np.flatnonzero((np.abs(one - two).max(axis=2) > 60).mean(axis=0) > 0.9)
    scale = one.shape[1] / halves.shape[1]
    assert differs.size and 38 * scale < differs.min() and differs.max() < 42 * scale
