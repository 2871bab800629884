"""One file, opened with no other argument: the same network, or a refusal that says why."""

from __future__ import annotations

import io
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from ushape import checkpoint
from ushape.checkpoint import FORMAT, Trained
from ushape.errors import CheckpointError, OutputError
from ushape.intensity import Intensity
from ushape.labels import Labels
from ushape.models import build
from ushape.object_rule import ObjectRule
from ushape.predict.tiled import Predictor
from ushape.recipe import ModelRecipe, Recipe

CPU = torch.device("cpu")
OPTIONS = {"width": 4, "depth": 2, "normalisation": "batch", "padding": "same"}


def trained(**provenance: Any) -> Trained:
    torch.manual_seed(0)
    return Trained(
        build("unet", in_channels=3, classes=2, **OPTIONS).placed(CPU).eval(),
        Labels(("background", "cell σ"), (7, 200), ignored_values=(9,)),
        Intensity((1 / 3, 2.0, 3.0), (0.1, 1e-7, 1e9), "uint16"),
        Recipe(model=ModelRecipe("unet", OPTIONS), seed=5),
        provenance,
    )


def about(path: Path) -> dict[str, Any]:
    """The metadata, by a reader that takes no NaN."""
    _, metadata = checkpoint.read_tensors(path)
    return json.loads(metadata["about"], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def rewritten(path: Path, change) -> Path:
    """The file with its description changed by a function."""
    state, metadata = checkpoint.read_tensors(path)
    described = json.loads(metadata["about"])
    change(described)
    path.write_bytes(save(state, {"format": FORMAT, "about": json.dumps(described)}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    checkpoint.write(tmp_path / "best.safetensors", trained(step=3, scores={"dice": None}, name="σ.tif"))
    return tmp_path / "best.safetensors"


def test_it_opens_with_no_other_argument_and_answers_the_same_to_the_last_bit(path: Path):
    before, after = trained(), checkpoint.read(path)
    x = torch.randn(1, 3, 24, 16).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(after.model(x), before.model(x))
    image = np.random.default_rng(0).integers(0, 9, (21, 17, 3)).astype(np.uint16)
    mask, same = Predictor(before).segment(image), Predictor(after).segment(image)
    assert (mask == same).all() and set(np.unique(mask)) <= {7, 200}
    assert (after.labels, after.intensity, after.recipe) == (before.labels, before.intensity, before.recipe)
    assert after.provenance == {"step": 3, "scores": {"dice": None}, "name": "σ.tif"}
    assert not after.model.training


def test_the_rule_by_which_objects_are_found_comes_back(path: Path):
    rule = ObjectRule("watershed", 1 / 3, "distance", 0.95, 2.5, fill_holes=False, smallest_px=7, grow_px=1)
    for stored in (rule, ObjectRule(), None):
        checkpoint.write(path, replace(trained(), object_rule=stored))
        assert checkpoint.read(path).object_rule == stored
        assert about(path)["object_rule"] == (stored.to_dict() if stored else None)


def test_a_checkpoint_from_before_there_were_rules_opens_without_one(path: Path):
    old = rewritten(path, lambda a: a.pop("object_rule"))
    assert "object_rule" not in about(old)
    assert checkpoint.read(old).object_rule is None


def test_a_rule_of_which_something_is_not_said_has_the_default_there(path: Path):
    assert checkpoint.read(rewritten(path, lambda a: a.update(object_rule={"grow_px": 2}))).object_rule == ObjectRule(
        grow_px=2
    )


def test_the_temperature_comes_back(path: Path):
    before = trained()
    checkpoint.write(path, replace(before, labels=replace(before.labels, temperature=1.37)))
    assert checkpoint.read(path).labels == replace(before.labels, temperature=1.37)


def test_a_checkpoint_from_before_there_was_a_temperature_has_1(path: Path):
    old = rewritten(path, lambda a: a["labels"].pop("temperature"))
    assert "temperature" not in about(old)["labels"]
    assert checkpoint.read(old).labels == trained().labels
    assert checkpoint.read(old).labels.temperature == 1


@pytest.mark.parametrize("value", [0, -2.0, "warm", True, None])
def test_a_temperature_that_cannot_be_is_refused(path: Path, value: Any):
    with pytest.raises(CheckpointError, match=r"its temperature is .*, which is no number above 0\. Use the version"):
        checkpoint.read(rewritten(path, lambda a: a["labels"].update(temperature=value)))


def test_a_folder_stands_for_its_best_checkpoint(path: Path):
    assert checkpoint.read(path.parent).provenance["step"] == 3


def test_other_weights_can_be_given_in_place_of_the_models_own(path: Path):
    before = trained()
    weights = {name: torch.full_like(t, 2) for name, t in before.model.state_dict().items()}
    checkpoint.write(path, before, weights)
    assert all(bool((t == 2).all()) for t in checkpoint.read(path).model.state_dict().values())
    assert not any(bool((t == 2).all()) for t in before.model.parameters())


def test_a_network_in_training_is_left_as_it_is(path: Path):
    before = trained()
    before.model.train()
    checkpoint.write(path, before)
    assert before.model.training
    assert all(p.requires_grad for p in before.model.parameters())


def test_any_reader_of_safetensors_and_json_can_read_it(path: Path):
    state = load(path.read_bytes())
    assert set(state) == set(trained().model.state_dict())
    assert about(path)["model"] == {"name": "unet", "in_channels": 3, "classes": 2, "options": OPTIONS}
    assert about(path)["labels"]["values"] == [7, 200]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_json_is_never_written(tmp_path: Path, value: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoint.write(tmp_path / "a.safetensors", trained(score=value))
    assert list(tmp_path.iterdir()) == []


def test_the_tensors_of_equal_networks_are_equal_bytes(tmp_path: Path):
    bodies = []
    for name in "ab":
        checkpoint.write(tmp_path / name, trained(step=1))
        content = (tmp_path / name).read_bytes()
        bodies.append(content[8 + int.from_bytes(content[:8], "little") :])  # the header's keys come in any order
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > 4 * 1000


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*none\.safetensors\. Give the folder"):
        checkpoint.read(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*best\.safetensors"):
        checkpoint.read(tmp_path)


def test_a_file_cut_short_anywhere_is_refused(path: Path):
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"best\.safetensors is not a readable checkpoint.*cut short.*copy"):
            checkpoint.read(path)


def pickles() -> list[bytes]:
    weights = {"head.weight": torch.zeros(3)}
    new, old = io.BytesIO(), io.BytesIO()
    torch.save(weights, new)
    torch.save(weights, old, _use_new_zipfile_serialization=False)
    return [new.getvalue(), old.getvalue(), pickle.dumps({"weights": [1, 2]})]


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("content", [*pickles(), pickle.dumps(Bomb()), b"PK\x03\x04 no archive", b"{}", bytes(1000)])
def test_pickles_and_other_files_are_refused_unopened(tmp_path: Path, content: bytes):
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"net\.pth is not a readable checkpoint: .*\(pickles such as \.pth are nev"
    ):
        checkpoint.read(tmp_path / "net.pth")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"counters": "{}"}])
def test_safetensors_of_another_program_are_refused(tmp_path: Path, metadata: dict[str, str] | None):
    (tmp_path / "a.safetensors").write_bytes(save({"w": torch.zeros(2)}, metadata))
    with pytest.raises(CheckpointError, match=r"is a safetensors file, but not a checkpoint of ushape \('ushape check"):
        checkpoint.read(tmp_path / "a.safetensors")


def test_a_file_tells_whether_it_is_one_of_ours(path: Path, tmp_path: Path):
    assert checkpoint.is_checkpoint(path)
    other = tmp_path / "other.safetensors"
    other.write_bytes(save({"a": torch.zeros(1)}))
    assert not any(map(checkpoint.is_checkpoint, [other, tmp_path, tmp_path / "nowhere"]))
    other.write_bytes(b"PK\x03\x04")
    assert not checkpoint.is_checkpoint(other)


def test_a_format_to_come_is_told_from_another_program(tmp_path: Path):
    (tmp_path / "a").write_bytes(save({"w": torch.zeros(2)}, {"format": "ushape checkpoint 12"}))
    with pytest.raises(CheckpointError, match=r"is an ushape checkpoint 12; this version of ushape reads .* 1"):
        checkpoint.read(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.clear(), "'model' is missing"),
        (lambda a: a.pop("labels"), "'labels' is missing"),
        (lambda a: a.pop("provenance"), "'provenance' is missing"),
        (lambda a: a["intensity"].pop("mean"), "'mean' is missing"),
        (lambda a: a.update(recipe=3), "cannot build"),
        (lambda a: a.update(model=[]), "cannot build"),
        (lambda a: a["recipe"].update(trainig={}), "did you mean 'training'"),
        (lambda a: a["model"].update(name="wnet"), "There is no model 'wnet'"),
        (lambda a: a["model"]["options"].update(heads=8), "no option 'heads'"),
        (lambda a: a["model"]["options"].update(width=-1), "width = -1"),
        (
            lambda a: a["model"].update(classes=3),
            "takes 3 channels and tells 3 classes apart.*of 3 and the labels of 2",
        ),
        (
            lambda a: a.update(object_rule={"treshold": 0.5}),
            "An object rule has no 'treshold'; it has method, threshold",
        ),
        (lambda a: a.update(object_rule={"threshold": 2}), "threshold of the object rule is 2; it takes a number from"),
        (lambda a: a.update(object_rule={"threshold": [0.5]}), r"threshold of the object rule is \[0.5\]; it takes"),
        (lambda a: a.update(object_rule={"method": {}}), "method of the object rule is {}; it takes 'components' or"),
        (lambda a: a.update(object_rule={"method": "watershed", "threshold": 1}), "looks for seeds above 0.9 inside"),
        (
            lambda a: a.update(object_rule=["threshold"]),
            r"object rule is \['threshold'\], which is no table of settings",
        ),
        (lambda a: a.update(object_rule=5), "its object rule is 5, which is no table"),
        (lambda a: a.update(object_rule=False), "its object rule is False, which is no table"),
        (lambda a: a.update(object_rule=""), "its object rule is '', which is no table"),
        (lambda a: a["model"].update(in_channels=1), "takes 1 channels and tells 2 classes apart.*intensity of 3"),
    ],
)
def test_a_description_that_cannot_be_built_is_refused(path: Path, change, words: str):
    with pytest.raises(CheckpointError, match=f"best.safetensors describes .*{words}.*Use the version that wrote it"):
        checkpoint.read(rewritten(path, change))


def test_metadata_that_are_no_json_are_refused(path: Path):
    path.write_bytes(save({"w": torch.zeros(2)}, {"format": FORMAT, "about": "{"}))
    with pytest.raises(CheckpointError, match="cannot build: Expecting property name"):
        checkpoint.read(path)


def test_every_tensor_that_does_not_fit_is_listed(path: Path):
    state, metadata = checkpoint.read_tensors(path)
    del state["head.bias"], state["head.weight"]
    state |= {"tail.weight": torch.zeros(1), "contracting.0.0.weight": torch.zeros(4, 3, 5, 5)}
    path.write_bytes(save(state, metadata))
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    message = str(caught.value)
    assert message.startswith(f"The weights in {path} do not fit the network: ")
    for words in ["head.bias is missing", "head.weight is missing", "tail.weight is unknown"]:
        assert words in message
    assert "contracting.0.0.weight is (4, 3, 5, 5), not (4, 3, 3, 3)" in message


def test_tensors_of_every_kind_come_back_as_they_were(tmp_path: Path):
    base = torch.arange(24.0).view(1, 2, 3, 4)
    tensors: dict[str, Tensor] = {
        "channels last": base.contiguous(memory_format=torch.channels_last),
        "turned": base.transpose(2, 3),
        "number": torch.tensor(3.5, dtype=torch.float64),
        "state": torch.get_rng_state(),
        "empty": torch.empty(0, dtype=torch.int64),
        "needs gradient": torch.ones(2, requires_grad=True),
        "half": torch.ones(3, dtype=torch.bfloat16),
    }
    checkpoint.write_tensors(tmp_path / "a", tensors, {"key": "σ"})
    read, metadata = checkpoint.read_tensors(tmp_path / "a")
    assert metadata == {"key": "σ"}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor.detach())


def test_equal_contents_are_equal_bytes_in_whatever_order_they_come(tmp_path: Path):
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, 2), "odd": torch.zeros(5, dtype=torch.uint8)}
    metadata = {"format": "x", "about": "y", "more": "z"}
    checkpoint.write_tensors(tmp_path / "first", tensors, metadata)
    checkpoint.write_tensors(tmp_path / "second", dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_formats_own_library_would_put_the_same_numbers_in_the_same_places(tmp_path: Path):
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, 2), "odd": torch.zeros(5, dtype=torch.uint8)}
    checkpoint.write_tensors(tmp_path / "a", tensors, {"key": "σ"})
    ours, theirs = ((content[:8], content[8:]) for content in ((tmp_path / "a").read_bytes(), save(tensors)))
    headers = [json.loads(rest[: int.from_bytes(length, "little")]) for length, rest in (ours, theirs)]
    assert headers[0].pop("__metadata__") == {"key": "σ"}
    assert headers[0] == headers[1]
    assert ours[1].endswith(theirs[1][int.from_bytes(theirs[0], "little") :])


def test_reading_leaves_the_callers_random_numbers_alone(path: Path):
    before = torch.get_rng_state()
    checkpoint.read(path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_told_as_the_system_tells_it():
    with pytest.raises(OSError, match="No space left on device"):
        checkpoint.put_tensors(Path("/dev/full"), {"a": torch.ones(10**5)}, {})


def test_where_it_cannot_be_written(tmp_path: Path):
    with pytest.raises(OutputError, match="there is no folder"):
        checkpoint.write(tmp_path / "nowhere" / "best.safetensors", trained())
