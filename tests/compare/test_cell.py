"""One training and its scores: what its log tells, and that it stands for itself."""

from __future__ import annotations

import pytest

from ushape.compare.cell import median_step_seconds
from ushape.evaluate import RunEvaluation
from ushape.predict.tiled import load
from ushape.recipe import Recipe, merged, read
from ushape.train.diary import read as read_log


def row(seconds: float, *, step: bool) -> dict[str, str]:
    return {"seconds": str(seconds), "loss": "1" if step else ""}


def test_a_step_takes_the_median_of_all_steps_and_no_validation_counts():
    rows = [row(1, step=True), row(3, step=True), row(13, step=False), row(16, step=True)]
    assert median_step_seconds(rows) == 2  # of 1, 2 and 3
    assert median_step_seconds([]) == 0


def test_its_scores_are_those_of_an_evaluation(done):
    cell = done.cells[0]
    names = [pair.name for pair in done.division.test]
    evaluation = RunEvaluation(load(cell.folder, device="cpu"), done.data, include=",".join(names))
    for _ in evaluation.events():
        pass
    table, scores = evaluation.result().table, cell.outcome().scores
    assert [image.name for image in scores.images] == [row.name for row in table.rows] == names
    for image, expected in zip(scores.images, table.scores, strict=True):
        assert image.scores["dice"] == pytest.approx(expected.mean_dice)
        assert image.scores["recall"] == pytest.approx(expected.mean_recall)
    assert scores.folder["iou"] == pytest.approx(table.pooled.mean_iou)
    assert scores.primary == "dice"


def test_its_recipe_is_all_that_a_training_outside_needs(done):
    for cell in done.cells:
        recipe = merged(Recipe(), read(cell.folder / "recipe.toml"))
        assert recipe == cell.recipe
        assert recipe.seed == cell.seed


def test_what_it_took_is_what_its_log_says(done):
    cell = done.cells[0]
    rows, outcome = read_log(cell.folder / "log.csv"), cell.outcome()
    assert (outcome.seconds, outcome.steps) == (float(rows[-1]["seconds"]), int(rows[-1]["step"]))
