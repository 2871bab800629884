"""A trained network → one ONNX file."""

from __future__ import annotations

from pathlib import Path

from ushape.atomic import replacing
from ushape.checkpoint import Trained
from ushape.engines import onnx_runtime
from ushape.engines.onnx_graph import onnx_graph
from ushape.export.description import description
from ushape.export.parity import Compared, prove


def write_onnx(path: Path, trained: Trained) -> tuple[Compared, ...]:
    """Write the file once ONNX Runtime computes from it what PyTorch does; the figures of that proof.

    Raises ExportError where it does not, OutputError, and MissingExtra without the packages.
    """
    onnx_runtime.package()
    graph = onnx_graph(trained.model)
    for key, value in description(trained).items():
        graph.metadata_props.add(key=key, value=value)
    graph.producer_name = "ushape"
    with replacing(path) as temporary:
        temporary.write_bytes(graph.SerializeToString())
        session = onnx_runtime.Session(temporary.read_bytes())
        return prove(trained.model, session, str(path))
