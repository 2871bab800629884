"""A trained network → OpenVINO's two files, NAME.xml and NAME.bin."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from ushape.atomic import output_error
from ushape.checkpoint import Trained
from ushape.engines import open_vino
from ushape.engines.onnx_graph import onnx_graph
from ushape.export.description import PREFIX, description
from ushape.export.parity import Compared, prove


def weights_beside(path: Path) -> Path:
    """The file of the weights, which OpenVINO finds by its name."""
    return path.with_suffix(".bin")


def write_openvino(path: Path, trained: Trained) -> tuple[Compared, ...]:
    """Write both files, in float32, once OpenVINO computes from them what PyTorch does; the figures of that proof.

    Raises ExportError where it does not, OutputError, and MissingExtra without the packages.
    """
    library = open_vino.package()
    graph = open_vino.graph_of(onnx_graph(trained.model).SerializeToString())
    for key, value in description(trained).items():
        graph.set_rt_info(value, ["ushape", key.removeprefix(PREFIX)])
    try:
        with TemporaryDirectory(prefix=".ushape-", suffix=".part", dir=path.parent) as folder:
            written = Path(folder) / "network.xml"
            library.save_model(graph, str(written), compress_to_fp16=False)
            figures = prove(trained.model, open_vino.Session(library.Core().read_model(str(written))), str(path))
            os.replace(weights_beside(written), weights_beside(path))
            os.replace(written, path)
    except OSError as error:
        raise output_error(path, error) from error
    return figures
