from __future__ import annotations

import json

from ushape.checkpoint import Trained
from ushape.export.description import description
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.recipe import ModelRecipe, Recipe


def test_all_that_a_user_needs_is_there_as_json():
    options = {"depth": 2, "width": 3}
    labels = Labels(("background", "cell"), (0, 255), temperature=1.5)
    trained = Trained(
        build("unet", **options),
        labels,
        Intensity((120.0,), (70.0,), "uint8"),
        Recipe(model=ModelRecipe("unet", options)),
        {"command": "ushape train Zellen-ä"},
        ObjectRule(threshold=0.4),
    )
    about = {key: json.loads(text) for key, text in description(trained).items()}
    assert about["ushape.format"] == "ushape export 1"
    assert about["ushape.version"].count(".") == 2
    assert about["ushape.model"] == {"name": "unet", "options": options}
    assert about["ushape.intensity"] == {"mean": [120.0], "deviation": [70.0], "dtype": "uint8"}
    assert (
        Labels(**{key: tuple(v) if isinstance(v, list) else v for key, v in about["ushape.labels"].items()}) == labels
    )
    assert ObjectRule.from_dict(about["ushape.object_rule"]) == trained.object_rule
    assert about["ushape.provenance"] == trained.provenance
    geometry = about["ushape.geometry"]
    assert (geometry["margin"], geometry["multiple"], geometry["smallest_input"]) == (20, 4, 44)  # 44 → 4: 4b + 12
    assert geometry["output"] == "input - 40"


def test_a_padded_network_answers_its_whole_input_and_says_its_margin():
    model = build("unet", depth=2, width=3, padding="same")
    trained = Trained(model, Labels(("a", "b"), (0, 1)), Intensity((0.0,), (1.0,), "uint8"), Recipe())
    geometry = json.loads(description(trained)["ushape.geometry"])
    assert geometry["output"] == "input"
    assert geometry["margin"] == model.footprint.margin > 0
    assert json.loads(description(trained)["ushape.object_rule"]) is None
