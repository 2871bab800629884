"""Several networks as one: which fit together, what is known of them, and folders of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ushape import checkpoint
from ushape.checkpoint import ENSEMBLE, Trained
from ushape.ensemble import FORMAT, Ensemble, members_in, read
from ushape.errors import CheckpointError
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.recipe import ModelRecipe, Recipe

TWO = Labels(("background", "cell"), (0, 255))
ABOUT = {"training": ["a", "b"], "training_digests": ["1", "2"], "validation": ["c"], "step": 10, "seconds": 1.5}


def trained(*, labels: Labels = TWO, channels: int = 1, dtype: str = "uint8", mean: float = 0.0, **changes) -> Trained:
    options = {"width": 2, "depth": 1, **changes.pop("options", {})}
    model = build("unet", in_channels=channels, classes=labels.classes, **options)
    intensity = Intensity((mean,) * channels, (1.0,) * channels, dtype)
    about = {**ABOUT, **changes.pop("about", {})}
    return Trained(model.eval(), labels, intensity, Recipe(ModelRecipe("unet", options)), about, **changes)


def written(folder: Path, members: dict[str, Trained], finished: list[str] | None = None) -> Path:
    for name, member in members.items():
        (folder / name).mkdir()
        checkpoint.write(folder / name / "best.safetensors", member)
    done = list(members) if finished is None else finished
    text = json.dumps({"format": FORMAT, "members": list(members), "finished": done, "more": 1})
    (folder / ENSEMBLE).write_text(text, encoding="utf-8")
    return folder


def test_one_network_alone_is_itself(tmp_path: Path):
    one = trained()
    assert Ensemble.of({"a": one}).trained is one
    checkpoint.write(tmp_path / "best.safetensors", one)
    found = read(tmp_path)
    assert len(found.members) == 1 and found.trained is found.members[0]


def test_each_keeps_its_weights_and_its_intensity(tmp_path: Path):
    members = {"fold-1": trained(mean=3.0), "fold-2": trained(mean=5.0)}
    found = read(written(tmp_path, members))
    assert [member.intensity.mean for member in found.members] == [(3.0,), (5.0,)]
    for member, before in zip(found.members, members.values(), strict=True):
        weights = before.model.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in member.model.state_dict().items())


def test_all_images_that_any_was_trained_on_are_known():
    other = trained(about={"training": ["b", "d"], "training_digests": ["2", "4"], "validation": ["a"], "step": 5})
    about = Ensemble.of({"x": trained(), "y": other}).trained.provenance
    assert about["training"] == ["a", "b", "d"] and about["training_digests"] == ["1", "2", "4"]
    assert (about["step"], about["seconds"], about["ensemble"]) == (15, 3.0, ["x", "y"])


def test_its_temperature_is_the_geometric_mean_and_its_rule_the_common_one():
    rules = [ObjectRule(threshold=0.4), ObjectRule(threshold=0.6), ObjectRule("watershed")]
    temperatures = (0.5, 2.0, 8.0)
    members = {
        str(t): trained(labels=replace(TWO, temperature=t), object_rule=rule)
        for t, rule in zip(temperatures, rules, strict=True)
    }
    together = Ensemble.of(members).trained
    assert together.labels.temperature == pytest.approx(2.0)
    assert together.object_rule == ObjectRule(threshold=0.4)


@pytest.mark.parametrize(("flips", "most"), [((True, False, True), True), ((True, False), False)])
def test_it_flips_as_most_of_them_do(flips: tuple[bool, ...], most: bool):
    members = {}
    for number, each in enumerate(flips):
        one = trained()
        members[str(number)] = replace(one, recipe=one.recipe.changed(prediction={"flips": each}))
    assert Ensemble.of(members).trained.recipe.prediction.flips is most


def test_every_difference_is_told_at_once():
    members = {
        "fold-1": trained(),
        "fold-2": trained(labels=Labels(("background", "axon"), (0, 128)), options={"width": 3}),
        "fold-3": trained(channels=3, dtype="uint16"),
        "fold-4": trained(object_rule=ObjectRule()),
    }
    with pytest.raises(CheckpointError) as refused:
        Ensemble.of(members)
    for words in (
        "the network of fold-2 is unet (width 3, depth 1), but of fold-1 unet (width 2, depth 1)",
        "the classes of fold-2 is background 0, axon 128, but of fold-1 background 0, cell 255",
        "the image of fold-3 is 3 x uint16, but of fold-1 1 x uint8",
        "the answer of fold-4 is objects, but of fold-1 classes",
        "Give those of one recipe and one folder",
    ):
        assert words in str(refused.value)


def test_what_is_not_trained_to_the_end_answers_nothing(tmp_path: Path):
    folder = written(tmp_path, {"fold-1": trained(), "fold-2": trained()}, finished=["fold-1"])
    with pytest.raises(CheckpointError, match=r"Of the 2 networks .* 1 are not .*: fold-2\. Go on .*fold-1\.$"):
        read(folder)


def test_a_lost_member_is_named(tmp_path: Path):
    folder = written(tmp_path, {"fold-1": trained(), "fold-2": trained()})
    (folder / "fold-2" / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint .*fold-2/best\.safetensors"):
        read(folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ('{"format": "another"}', "it is no ushape ensemble 1"),
        (json.dumps({"format": FORMAT, "members": ["a"]}), "'finished' is missing"),
        (json.dumps({"format": FORMAT, "members": [], "finished": []}), "it names no network"),
        (json.dumps({"format": FORMAT, "members": ["../a"], "finished": []}), r"'\.\./a' names no folder in it"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, text: str, reason: str):
    (tmp_path / ENSEMBLE).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"ensemble\.json is damaged: .*{reason}.*train again with --overwrite"):
        members_in(tmp_path)


def test_who_asks_for_one_network_is_told_that_there_are_several(tmp_path: Path):
    folder = written(tmp_path, {"fold-1": trained(), "fold-2": trained()})
    with pytest.raises(CheckpointError, match=r"holds several networks, but one is asked for\. Give the folder of one"):
        checkpoint.read(folder)
    assert checkpoint.read(folder / "fold-1").provenance["step"] == 10
