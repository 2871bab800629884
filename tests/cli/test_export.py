"""`ushape export`: the file, its proof, and what is refused."""

from __future__ import annotations

import json

import onnxruntime


def test_a_run_becomes_a_file_with_its_proof(ushape, run, tmp_path):
    out = tmp_path / "cells.onnx"
    result = ushape("export", run, "--format", "onnx", "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["files"] == [str(out)]
    assert len(told["proof"]) == 3
    assert all(compared["agreement"]["difference"] < 1e-4 for compared in told["proof"])
    about = onnxruntime.InferenceSession(out).get_modelmeta().custom_metadata_map
    assert json.loads(about["ushape.labels"])["values"] == [0, 255]
    refused = ushape("export", run, "--format", "onnx", "--out", out)
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr


def test_several_networks_are_exported_one_by_one(ushape, tmp_path):
    (tmp_path / "ensemble.json").write_text("{}", encoding="utf-8")
    result = ushape("export", tmp_path, "--format", "onnx", "--out", tmp_path / "net.onnx")
    assert result.exit_code == 2
    assert "holds several networks, but one is asked for" in result.stderr
    assert not (tmp_path / "net.onnx").exists()


def test_a_format_that_there_is_not_is_refused(ushape, run, tmp_path):
    result = ushape("export", run, "--format", "tflite", "--out", tmp_path / "net.tflite")
    assert result.exit_code == 2
    assert "onnx" in result.stderr
