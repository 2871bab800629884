"""What a training took and scored, there and back."""

from __future__ import annotations

import json
import math

import pytest

from ushape.compare.outcome import ImageScores, Outcome, Scores, Validated
from ushape.errors import CheckpointError

SCORES = Scores(
    (ImageScores("a", "g", {"dice": 0.5, "ap_50_95": math.nan}), ImageScores("b", "g", {"dice": 1.0})),
    {"dice": 0.75},
    "dice",
)


def outcome(**changed):
    about = {"entrant": "unet", "seed": 1, "failure": "", "seconds": 60.0, "steps": 20, "step_seconds": 2.5}
    about |= {"seconds_per_megapixel": 1.5, "curve": (Validated(20, 60.0, 0.75),), "scores": SCORES}
    return Outcome(**{**about, **changed})


def test_an_outcome_comes_back_from_its_file(tmp_path):
    outcome().write(tmp_path / "result.json")
    back = Outcome.read(tmp_path / "result.json")
    assert back.to_dict() == outcome().to_dict()
    assert math.isnan(back.scores.images[0].scores["ap_50_95"])
    assert back.curve == outcome().curve


def test_a_lost_training_comes_back_too(tmp_path):
    lost = outcome(failure="The loss became nan.", scores=None, seconds_per_megapixel=None, curve=())
    lost.write(tmp_path / "result.json")
    assert Outcome.read(tmp_path / "result.json") == lost
    assert math.isnan(lost.mean("dice"))


def test_means_are_over_images_where_a_score_is_defined():
    assert outcome().mean("dice") == 0.75
    assert math.isnan(outcome().mean("ap_50_95"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "another"}', '{"format": "ushape result 1"}'])
def test_a_damaged_file_is_named_and_can_be_mended(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"result\.json is damaged: .* Delete it, and the same command trains"):
        Outcome.read(path)


def test_json_holds_no_nan(tmp_path):
    outcome().write(tmp_path / "result.json")
    values = json.loads((tmp_path / "result.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert values["scores"]["images"][0]["scores"] == {"dice": 0.5, "ap_50_95": None}
