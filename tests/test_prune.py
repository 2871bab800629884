"""Pruning: the smaller network in its file, what each level costs and scores, and which is recommended."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ushape import checkpoint
from ushape.checkpoint import Trained
from ushape.errors import DataError, RecipeError
from ushape.evaluate import RunEvaluation
from ushape.images.simulated import write_folder
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.predict.tiled import Predictor
from ushape.prune import Level, LevelComparison, Levels, Measured, pruned
from ushape.recipe import ModelRecipe, Recipe

VALIDATION = ["cells_001", "cells_003"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "cells"
    write_folder(root, "cells", count=4, height_width=(48, 40), seed=1)
    return root


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "numbered"
    write_folder(root, "cells", count=4, height_width=(64, 64), seed=1, instances=True)
    return root


@pytest.fixture
def trained(cells: Path) -> Callable[..., Trained]:
    """A UNet++ of two levels with random weights, which says that it was validated on two images of `cells`."""

    def make(object_rule: ObjectRule | None = None, *, name: str = "unetpp", **options: object) -> Trained:
        options = {"width": 3, "depth": 2, **options}
        torch.manual_seed(4)
        model = build(name, in_channels=1, classes=2, **options).eval().placed(torch.device("cpu"))
        about = {"data": str(cells), "training": ["cells_000", "cells_002"], "validation": VALIDATION}
        about |= {"validation_scores": {"of": "the whole"}, "object_score": 0.5, "step": 7}
        about |= {"calibration": {"temperature": 1.0}, "flips": {"kept": False}}
        return Trained(
            model,
            Labels(("background", "foreground"), (0, 255)),
            Intensity((110.0,), (60.0,), "uint8"),
            Recipe(model=ModelRecipe(name, options)),
            about,
            object_rule,
        )

    return make


def levels(*scores: float, whole: float | None = None) -> Levels:
    """Level 1 has 1 parameter and takes 1 s, level 2 has 10 and takes 10, …; the whole is as its last level."""
    rows = [Level(n, 10**n // 10, 0.0, float(10**n // 10), score) for n, score in enumerate(scores, start=1)]
    if whole is not None:
        rows.append(replace(rows[-1], level=None, score=whole))
    return Levels(tuple(rows), "Dice", images=3)


def test_the_file_of_a_pruned_network_opens_with_no_other_argument(trained, tmp_path):
    whole = trained(ObjectRule(threshold=0.4), answer="fast")
    checkpoint.write(tmp_path / "small.safetensors", pruned(whole, 1, "run/best.safetensors"))
    small = checkpoint.read(tmp_path / "small.safetensors")
    x = torch.randn(1, 1, 32, 48)
    assert torch.equal(small.model(x), whole.model.outputs(x)[1])
    assert small.recipe.model.options == {"width": 3, "depth": 1, "deep_supervision": False}
    assert (small.labels, small.intensity, small.object_rule) == (whole.labels, whole.intensity, whole.object_rule)
    kept = {name: whole.provenance[name] for name in ("data", "training", "validation", "step")}
    assert small.provenance == {**kept, "pruned": {"from": "run/best.safetensors", "level": 1, "of": 2}}
    image = np.random.default_rng(0).integers(0, 256, (21, 34), dtype=np.uint8)
    assert Predictor(small).segment(image).shape == (21, 34)


def test_levels_are_scored_as_an_evaluation_scores_them(trained, cells):
    whole = trained()
    course = LevelComparison(whole)
    events = list(course.events())
    assert events[:3] == [Measured("timing", n, 9) for n in (1, 2, 3)]
    assert [event.doing for event in events[3:]] == [name for name in VALIDATION for _ in range(3)]
    assert events[-1].done == events[-1].total == 9
    result = course.result()
    assert [row.name for row in result.rows] == ["level 1", "level 2", "whole"]
    assert (result.measure, result.images) == ("Dice", 2)
    for row, network in zip(result.rows, [pruned(whole, 1, ""), pruned(whole, 2, ""), whole], strict=True):
        evaluation = RunEvaluation(Predictor(network), cells, include=",".join(VALIDATION))
        list(evaluation.events())
        assert row.score == evaluation.result().table.summary().foreground.dice.mean
        assert row.parameters == network.model.parameter_count
        assert row.seconds_per_megapixel > 0
    operations = [row.multiply_adds_per_megapixel for row in result.rows]
    assert 0 < operations[0] < operations[1] < operations[2] < 1.01 * operations[1]  # heads are next to nothing


def test_where_objects_are_told_apart_their_precision_is_the_score(trained, numbered):
    whole = replace(trained(ObjectRule()), labels=Labels(("background", "object"), (0, 1)))
    course = LevelComparison(whole, numbered)
    list(course.events())
    evaluation = RunEvaluation(Predictor(pruned(whole, 2, "")), numbered, include=",".join(VALIDATION))
    list(evaluation.events())
    expected = evaluation.result().measures[0].figures()["ap_50_95"].mean
    assert course.result().measure == "average precision of objects"
    assert course.result().rows[1].score == expected


def test_a_network_that_answers_with_its_last_head_is_its_last_level(trained):
    assert next(LevelComparison(trained(answer="fast")).events()).total == 6  # two networks, timed and on two images


def test_the_smallest_level_within_five_thousandths_of_the_best_is_recommended():
    assert levels(0.80, 0.906, 0.91, whole=0.9).recommended.level == 2
    assert levels(0.80, 0.9049, 0.91).recommended.level == 3
    assert levels(0.91, 0.90).recommended.level == 1
    assert levels(math.nan, 0.9).recommended.level == 2
    assert levels(0.8, 0.8, whole=0.9).recommended.level is None  # the whole itself
    assert levels(math.nan, math.nan).recommended is None


def test_the_recommendation_says_why():
    reason = levels(0.80, 0.906, 0.91, whole=0.9).reason
    assert reason == (
        "level 2: its Dice of 0.9060 on 3 validation images is within 0.005 of the best, 0.9100 (level 3); 10.0% of "
        "the parameters, 10.0 times as fast"
    )
    assert levels(0.8, 0.9).reason == "level 2: its Dice of 0.9000 on 3 validation images is the best"
    assert levels(0.8, 0.8, whole=0.9).reason.startswith("whole: its Dice of 0.9000")
    assert levels(math.nan).reason == "none: the validation images have nothing to score"


def test_json_holds_every_level_and_none_for_what_is_undefined():
    about = levels(math.nan, 0.9).to_dict()
    assert about["recommended"] == "level 2"
    assert [(row["name"], row["score"]) for row in about["levels"]] == [("level 1", None), ("level 2", 0.9)]
    assert levels(math.nan).to_dict()["recommended"] is None


def test_only_unetpp_has_levels(trained):
    unet = trained(name="unet")
    for refused in (lambda: pruned(unet, 1, ""), lambda: LevelComparison(unet)):
        with pytest.raises(RecipeError, match=r"Only UNet\+\+ has levels.*this network is unet\. .*--model unetpp"):
            refused()


def test_a_single_head_has_no_levels(trained):
    single = trained(deep_supervision=False)
    for refused in (lambda: pruned(single, 1, ""), lambda: LevelComparison(pruned(trained(), 1, ""))):
        with pytest.raises(RecipeError, match=r"single head.*deep_supervision = true"):
            refused()


def test_images_that_moved_are_found_where_the_user_says(trained, cells, tmp_path):
    moved = replace(trained(), provenance={**trained().provenance, "data": str(tmp_path / "gone")})
    with pytest.raises(DataError, match=r"no folder .*gone, where the network's images were.*--data"):
        LevelComparison(moved)
    assert next(LevelComparison(moved, cells).events()).total == 9


def test_other_images_than_those_of_the_validation_are_refused(trained, cells):
    about = {**trained().provenance, "validation": ["cells_001", "wasp"]}
    with pytest.raises(DataError, match=r"does not hold wasp, which the network was validated on.*--data"):
        LevelComparison(replace(trained(), provenance=about))


def test_a_network_that_knows_no_validation_images_cannot_be_compared(trained, cells):
    for about in ({}, {"data": str(cells)}, {"validation": VALIDATION}):
        with pytest.raises(DataError, match=r"does not say which images it was validated on.*--level"):
            LevelComparison(replace(trained(), provenance=about))
