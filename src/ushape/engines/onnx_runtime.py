"""ONNX Runtime computes a network, in the process's own memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ushape.engines.onnx_graph import INPUT, OUTPUT, onnx_graph
from ushape.errors import MissingExtra
from ushape.models.segmenter import Segmenter


class Session:
    """(1, C, H, W) float32 → (1, K, h, w), by the graph of an ONNX file's bytes, on as many threads as PyTorch uses."""

    def __init__(self, graph: bytes) -> None:
        runtime = package()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors: the optimiser warns of its own doings
        self._session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        (logits,) = self._session.run([OUTPUT], {INPUT: x})
        answer: NDArray[np.float32] = logits
        return answer


def session_of(model: Segmenter) -> Session:
    """Of a network in memory; MissingExtra where a package is missing."""
    package()
    return Session(onnx_graph(model).SerializeToString())


def package() -> Any:  # Any: a module
    """ONNX Runtime itself; MissingExtra where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra('ONNX Runtime is not installed. Install it: pip install "ushape[engines]"') from error
    return onnxruntime
