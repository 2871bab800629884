from __future__ import annotations

import sys

import pytest
import torch

from ushape.engines import onnx_graph
from ushape.errors import ExportError, MissingExtra, RecipeError
from ushape.models.unet import UNet


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)  # Python's own way to say that there is no such module
    with pytest.raises(MissingExtra, match=r'pip install "ushape\[engines\]"'):
        onnx_graph.onnx_graph(UNet(depth=1, width=4))


def test_weights_that_no_graph_holds_are_refused():
    with torch.device("meta"):
        net = UNet(width=512)
    with pytest.raises(RecipeError, match=r"take 7\.4 GiB, and an ONNX graph holds at most 2"):
        onnx_graph.onnx_graph(net)


def test_what_the_exporter_cannot_do_is_one_clear_error(monkeypatch):
    def refusing(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("No decomposition for it.\nTraceback …")

    monkeypatch.setattr(torch.onnx, "export", refusing)
    with pytest.raises(
        ExportError, match=r"this UNet into .*: No decomposition for it\. Predict with .*--engine torch"
    ):
        onnx_graph.onnx_graph(UNet(depth=1, width=4))
