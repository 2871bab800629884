"""Files of weights: what is read, and that nothing in a file is run."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ushape.errors import CheckpointError
from ushape.models.weights_file import read_state

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2, dtype=torch.float16)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


def saved(value: object, path: Path, **options: object) -> Path:
    torch.save(value, path, **options)
    return path


def test_safetensors_and_pth_give_the_tensors_as_stored(tmp_path: Path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert same(read_state(tmp_path / "a.safetensors"))
    assert same(read_state(saved(STATE, tmp_path / "a.pth")))
    assert same(read_state(saved(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)))
    assert read_state(tmp_path / "a.pth")["conv.bias"].dtype == torch.float16


def test_the_content_decides_and_not_the_name(tmp_path: Path):
    save_file(STATE, tmp_path / "a.pth")
    assert same(read_state(tmp_path / "a.pth"))
    assert same(read_state(saved(STATE, tmp_path / "b.safetensors")))


@pytest.mark.parametrize("entry", ["state_dict", "model_state_dict", "model", "net", "weights"])
def test_the_weights_are_found_among_the_state_of_a_training(tmp_path: Path, entry):
    state = {"epoch": 7, entry: STATE, "optimizer": {"lr": 0.1}}
    assert same(read_state(saved(state, tmp_path / "a.pth.tar")))


def test_plain_values_beside_the_weights_are_left_out(tmp_path: Path):
    assert same(read_state(saved({**STATE, "mask_values": [0, 1], "epoch": 3}, tmp_path / "a.pth")))


def test_the_prefix_of_several_gpus_is_taken_off_where_all_names_have_it(tmp_path: Path):
    assert same(read_state(saved({f"module.{name}": t for name, t in STATE.items()}, tmp_path / "a.pth")))
    mixed = {"module.conv.weight": torch.ones(1), "head.bias": torch.ones(1)}
    assert read_state(saved(mixed, tmp_path / "b.pth")).keys() == mixed.keys()


class Malice:
    """Would write a file where it is opened as a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("new_format", [True, False])
def test_what_would_run_code_is_refused_with_how_to_convert_it_and_is_not_run(tmp_path: Path, new_format):
    victim = tmp_path / "victim"
    for name, value in [("network", torch.nn.Linear(1, 1)), ("malice", {"state_dict": STATE, "x": Malice(victim)})]:
        path = saved(value, tmp_path / f"{name}.pth", _use_new_zipfile_serialization=new_format)
        with pytest.raises(CheckpointError, match=r"(?s)holds more than weights.*never do.*\.state_dict\(\), NEW_FILE"):
            read_state(path)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Malice(victim)))
    with pytest.raises(CheckpointError):
        read_state(tmp_path / "plain.pkl")
    assert not victim.exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2], "holds a list, but no table of weights by name"),
        ({"epoch": 1, "model": {"a": 3}}, "the entries epoch, model, but no table of weights.*state_dict.* alone"),
        ({}, "holds no tensor"),
    ],
)
def test_files_without_a_table_of_weights_are_refused(tmp_path: Path, value, words):
    with pytest.raises(CheckpointError, match=words):
        read_state(saved(value, tmp_path / "a.pth"))


def test_what_is_no_file_of_weights_is_told_apart(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"nothing\.pth does not exist\. Give a \.safetensors or \.pth file"):
        read_state(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="is a folder, not a file of weights"):
        read_state(tmp_path)
    for name, content in [("empty.pth", b""), ("page.pth", b"<!DOCTYPE html>")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            CheckpointError, match=re.escape(f"no file of weights that we know: it begins with {content[:9]!r}")
        ):
            read_state(tmp_path / name)


def test_damaged_files_are_told_to_be_so(tmp_path: Path):
    save_file(STATE, tmp_path / "a.safetensors")
    saved(STATE, tmp_path / "new.pth")
    saved(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "new.pth", "old.pth"):
        content = (tmp_path / name).read_bytes()
        for cut in range(9, len(content) - 1, max(1, len(content) // 60)):
            (tmp_path / name).write_bytes(content[:cut])
            with pytest.raises(CheckpointError, match=r"[Tt]ake another copy|more than weights"):
                read_state(tmp_path / name)
