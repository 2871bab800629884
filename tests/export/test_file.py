"""Exported files are opened by the libraries that they are for, as anybody would, without ushape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from ushape.engines import onnx_runtime
from ushape.engines.onnx_graph import onnx_graph
from ushape.errors import ExportError, OutputError, RecipeError
from ushape.export.file import export
from ushape.models.unet3d import UNet3D
from ushape.recipe import ModelRecipe, Recipe


@pytest.fixture(scope="module", autouse=True)
def _one_graph(trained) -> Iterator[None]:
    """It takes longest, and is made once."""
    graph = onnx_graph(trained.model)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("onnx", "openvino"):
            patch.setattr(f"ushape.export.{module}.onnx_graph", lambda _: deepcopy(graph))
        yield


@pytest.fixture(scope="module")
def onnx_file(trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "cells.onnx"
    exported = export(trained, path, "onnx")
    assert exported.files == (path,)
    assert len(exported.proof) == 3
    return path


@pytest.fixture(scope="module")
def openvino_file(trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openvino") / "cells.xml"
    exported = export(trained, path, "openvino")
    assert exported.files == (path, path.with_suffix(".bin"))
    assert sorted(path.parent.iterdir()) == sorted(exported.files)
    return path


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(1, 2, height, width)).astype(np.float32) for height, width in [(18, 46), (100, 62)]]


def require_the_same(model, run) -> None:
    for x in images():
        with torch.inference_mode():
            expected = model(torch.from_numpy(x)).numpy()
        found = run(x)
        assert found.shape == (1, 2, x.shape[2] - 16, x.shape[3] - 16)
        assert np.abs(found - expected).max() < 1e-4 * expected.std()
        assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_onnx_runtime_computes_the_network_from_the_file(trained, onnx_file):
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    require_the_same(trained.model, lambda x: session.run(["logits"], {"image": x})[0])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["ushape.intensity"])["mean"] == [100.0, 90.0]
    assert json.loads(about["ushape.geometry"])["margin"] == 8
    assert json.loads(about["ushape.object_rule"]) == trained.object_rule.to_dict()


def test_the_onnx_file_is_a_valid_one_whose_normalisation_is_folded(onnx_file):
    graph = onnx.load(onnx_file)
    onnx.checker.check_model(graph, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    assert [each.name for each in (*graph.graph.input, *graph.graph.output)] == ["image", "logits"]


def test_openvino_computes_the_network_from_the_files(trained, openvino_file):
    model = openvino.Core().read_model(openvino_file)
    assert json.loads(model.get_rt_info(["ushape", "labels"]).value)["values"] == [0, 255]
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    require_the_same(trained.model, lambda x: compiled([x])[0])


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("net.onnx", "openvino", "does not end in .xml"),
        ("net.xml", "onnx", "does not end in .onnx"),
        ("there.onnx", "onnx", "there.onnx exists already"),
        ("there.xml", "openvino", "there.bin exists already"),
        ("nowhere/net.onnx", "onnx", "no folder"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_any_work(trained, tmp_path, name, format, words):
    for there in ("there.onnx", "there.bin"):
        (tmp_path / there).touch()
    with pytest.raises(OutputError, match=words):
        export(trained, tmp_path / name, format)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.bin", "there.onnx"]


def test_a_file_that_computes_otherwise_is_not_written(trained, tmp_path, monkeypatch):
    whole = onnx_runtime.Session.__call__
    monkeypatch.setattr(onnx_runtime.Session, "__call__", lambda self, x: 1.01 * whole(self, x))
    with pytest.raises(ExportError, match="is not written"):
        export(trained, tmp_path / "net.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_networks_of_volumes_are_refused(trained, tmp_path: Path):
    of_volumes = replace(trained, model=UNet3D(2, 2, width=2, depth=1), recipe=Recipe(model=ModelRecipe("unet3d")))
    with pytest.raises(RecipeError, match="unet3d is a network of volumes, which are not exported yet"):
        export(of_volumes, tmp_path / "net.onnx", "onnx")
    assert not list(tmp_path.iterdir())
