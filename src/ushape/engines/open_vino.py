"""OpenVINO computes a network, in the process's own memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ushape.engines.onnx_graph import onnx_graph
from ushape.errors import MissingExtra
from ushape.models.segmenter import Segmenter


class Session:
    """(1, C, H, W) float32 → (1, K, h, w), in float32, on as many threads as PyTorch uses."""

    def __init__(self, graph: Any) -> None:  # Any: openvino.Model, of an optional package
        settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        self._request = package().Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._request.infer([x])[0]
        return logits.copy()  # the library writes its next answer to the same place


def session_of(model: Segmenter) -> Session:
    """Of a network in memory; MissingExtra where a package is missing."""
    package()
    return Session(graph_of(onnx_graph(model).SerializeToString()))


def graph_of(onnx_file: bytes) -> Any:  # Any: openvino.Model, of an optional package
    """An ONNX file's bytes → the same network as OpenVINO holds it."""
    return package().Core().read_model(onnx_file)


def package() -> Any:  # Any: a module
    """OpenVINO itself; MissingExtra where it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise MissingExtra('OpenVINO is not installed. Install it: pip install "ushape[engines]"') from error
    return openvino
