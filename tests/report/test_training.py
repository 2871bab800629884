"""The report of a training: what it scored, what it shows, what it says about itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.evaluate import RunEvaluation
from ushape.images.simulated import write_folder
from ushape.predict.tiled import Predictor
from ushape.report.training import write_evaluation_report, write_training_report
from ushape.train.prepare import Prepared, prepare
from ushape.train.session import train

RECIPE = {"model": {"options": {"width": 2, "depth": 2}}, "training": {"output_size": 32, "validations": 3}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predictor, Prepared]:
    """A run of a few steps on five small micrographs, its network, and what it was trained on."""
    folder = tmp_path_factory.mktemp("report")
    write_folder(folder / "data", "cells", count=5, height_width=(64, 72), seed=3)
    predictor = train(folder / "data", folder / "run", steps=6, recipe=RECIPE, device="cpu")
    return folder / "run", predictor, prepare(folder / "data", predictor.trained.recipe)


def test_a_training_is_told_on_one_page(run: tuple[Path, Predictor, Prepared]) -> None:
    folder, predictor, prepared = run
    scores = write_training_report(folder, predictor, prepared.truths)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{scores.summary().foreground.dice.mean:.3f}" in page
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
