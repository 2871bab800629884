"""What each stage of a training in stages added, as its report tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ushape.images.simulated import write_folder
from ushape.report.stages import Course, courses, stage_chart, stage_facts
from ushape.report.training import write_training_report
from ushape.train.prepare import prepare
from ushape.train.session import train

COARSE = Course("fcn32s", 1e-3, steps=300, seconds=60.0, times=[30.0, 60.0], dices=[0.5, 0.75])
FINE = Course("fcn16s", 5e-4, steps=100, seconds=30.0, times=[15.0, 30.0], dices=[0.8125, 0.78125])


def test_each_stage_is_told_with_what_it_added_to_the_best_before():
    assert stage_facts([COARSE, FINE]) == [
        ("stage 1", "fcn32s: best Dice 0.7500, after 300 steps in 1.0 minutes at rate 0.001"),
        ("stage 2", "fcn16s: best Dice 0.8125, +0.0625, after 100 steps in 0.5 minutes at rate 0.0005"),
    ]


def test_the_curves_of_all_stages_follow_each_other_on_one_axis_of_time():
    title, svg = stage_chart([COARSE, FINE])
    assert title == "Stage by stage"
    assert "1. fcn32s" in svg and "2. fcn16s" in svg and "minutes" in svg


def test_a_run_without_stages_has_none(tmp_path: Path):
    assert courses(tmp_path) == []


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FCN's three trainings, of a few steps each, on small micrographs."""
    folder = tmp_path_factory.mktemp("stages")
    write_folder(folder / "data", "cells", count=5, height_width=(64, 72), seed=3)
    stages = [{"model": f"fcn{stride}s", "learning_rate": 1e-3} for stride in (32, 16, 8)]
    recipe = {
        "model": {"name": "fcn8s", "options": {"width": 4}},
        "stages": stages,
        "training": {"output_size": 64, "batch": 1, "validations": 2},
    }
    predictor = train(folder / "data", folder / "run", steps=6, recipe=recipe, device="cpu")
    write_training_report(folder / "run", predictor, prepare(folder / "data", predictor.trained.recipe).truths)
    return folder / "run"


def test_the_report_of_three_trainings_has_a_line_and_a_curve_for_each(staged: Path):
    found = courses(staged)
    assert [(course.model, course.steps) for course in found] == [("fcn32s", 2), ("fcn16s", 2), ("fcn8s", 2)]
    assert all(len(course.times) == len(course.dices) == 2 for course in found)
    page = (staged / "report.html").read_text(encoding="utf-8")
    assert "Stage by stage" in page and "3. fcn8s" in page
    assert page.count("best Dice") == 3
